//! Which files tools may touch: what lies in the working directory or in a place that the person named, and holds no secrets.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Says which files may be read and written. Symbolic links are followed before anything is decided.
pub struct Access {
    root: PathBuf,
    /// What the person named.
    named: Vec<PathBuf>,
    /// What is refused even inside `root`, unless it is named.
    private: Vec<PathBuf>,
}

impl Access {
    /// Allows what is below `root` and `named`, but for what is below `private` or usually holds secrets.
    pub fn new(root: &Path, named: &[PathBuf], private: &[PathBuf]) -> Result<Access> {
        let real = |path: &PathBuf| {
            path.canonicalize()
                .with_context(|| format!("cannot allow `{}`", path.display()))
        };
        let root = root
            .canonicalize()
            .context("cannot find the working directory")?;
        let mut hidden: Vec<PathBuf> = private
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        // The environment of a process holds keys.
        hidden.push(PathBuf::from("/proc"));
        Ok(Access {
            root,
            named: named.iter().map(real).collect::<Result<_>>()?,
            private: hidden,
        })
    }

    /// Returns the working directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the real path of something that is there.
    pub fn existing(&self, path: &str) -> Result<PathBuf> {
        let real = self.root.join(path).canonicalize();
        let real = real.with_context(|| format!("cannot open `{path}`"))?;
        self.check(&real, path)?;
        Ok(real)
    }

    /// Returns the real path of a file that may not be there yet, nor the folders it is to be in.
    pub fn writable(&self, path: &str) -> Result<PathBuf> {
        let whole = self.root.join(path);
        let mut there = whole.as_path();
        let mut missing = Vec::new();
        let mut real = loop {
            match there.canonicalize() {
                Ok(real) => break real,
                // A link to nowhere could lead anywhere.
                Err(error)
                    if error.kind() == ErrorKind::NotFound && there.symlink_metadata().is_err() =>
                {
                    let (Some(name), Some(parent)) = (there.file_name(), there.parent()) else {
                        bail!("cannot find the folder of `{path}`");
                    };
                    missing.push(name);
                    there = parent;
                }
                Err(error) => return Err(error).with_context(|| format!("cannot open `{path}`")),
            }
        };
        real.extend(missing.iter().rev());
        self.check(&real, path)?;
        Ok(real)
    }

    /// Returns whether a real path may be read.
    pub fn allows(&self, real: &Path) -> bool {
        self.check(real, "").is_ok()
    }

    /// Returns a path as the model knows it: relative to the working directory where it lies there.
    pub fn shown(&self, real: &Path) -> String {
        let shown = real.strip_prefix(&self.root).unwrap_or(real);
        shown.display().to_string()
    }

    fn check(&self, real: &Path, path: &str) -> Result<()> {
        let named = self.named.iter().filter(|named| real.starts_with(named));
        let named = named.max_by_key(|named| named.as_os_str().len());
        if named.is_none() && !real.starts_with(&self.root) {
            bail!(
                "`{path}` is outside the working directory, and the user has not allowed it with `--allow-path`"
            );
        }
        // What the person named is meant; what lies below it, or in the working directory, may be there by accident.
        let unnamed = named.map_or(real, |named| real.strip_prefix(named).unwrap_or(real));
        let private = self.private.iter().any(|private| {
            real.starts_with(private) && !named.is_some_and(|named| named.starts_with(private))
        });
        let secret = unnamed
            .iter()
            .any(|part| is_secret(&part.to_string_lossy().to_lowercase()));
        if private || secret {
            bail!(
                "`{path}` may hold secrets, and the user has not allowed it by name with `--allow-path`"
            );
        }
        Ok(())
    }
}

/// Returns whether a file or folder of this name, in lower case, usually holds secrets.
fn is_secret(name: &str) -> bool {
    const NAMES: [&str; 18] = [
        ".ssh",
        ".gnupg",
        ".aws",
        ".azure",
        ".kube",
        ".docker",
        ".gcloud",
        ".password-store",
        ".netrc",
        "_netrc",
        ".pgpass",
        ".my.cnf",
        ".npmrc",
        ".pypirc",
        ".htpasswd",
        ".git-credentials",
        ".vault-token",
        "credentials.json",
    ];
    const STARTS: [&str; 5] = [".env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"];
    const ENDS: [&str; 8] = [
        ".pem",
        ".key",
        ".p12",
        ".pfx",
        ".jks",
        ".keystore",
        ".kdbx",
        ".ppk",
    ];
    NAMES.contains(&name)
        || STARTS.iter().any(|start| name.starts_with(start))
        || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_is_inside_and_holds_no_secret_may_be_touched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("work");
        let outside = folder.path().join("outside");
        let home = root.join("home");
        for folder in [&root, &outside, &home, &root.join(".ssh")] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in [
            "work/a.txt",
            "work/.env.local",
            "work/server.PEM",
            "work/.ssh/config",
            "work/home/x",
            "outside/b.txt",
            "outside/.env",
        ] {
            fs::write(folder.path().join(file), "x").unwrap();
        }
        symlink(&outside, root.join("link")).unwrap();
        symlink("a.txt", root.join("inner")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let access = |named: &[PathBuf]| Access::new(&root, named, std::slice::from_ref(&home));
        let check = |access: &Access, path: &str, expected: &str| {
            let result = access.existing(path);
            let shown = result.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
            assert!(shown.contains(expected), "{path}: {shown}");
        };
        let plain = access(&[]).unwrap();
        let absolute = outside.join("b.txt").display().to_string();
        for path in ["a.txt", "./home/../a.txt", "inner", "."] {
            check(&plain, path, "ok");
        }
        for path in [
            "../outside/b.txt",
            "link/b.txt",
            "link",
            "..",
            "/",
            &absolute,
        ] {
            check(&plain, path, "outside the working directory");
        }
        for path in [".env.local", "server.PEM", ".ssh/config", ".ssh", "home/x"] {
            check(&plain, path, "may hold secrets");
        }
        let check_write = |path: &str, expected: &str| {
            let result = plain.writable(path);
            let shown = result.map_or_else(|error| format!("{error:#}"), |real| plain.shown(&real));
            assert!(shown.contains(expected), "{path}: {shown}");
        };
        check_write("new/deep/file", "new/deep/file");
        check_write("inner", "a.txt");
        check_write("link/new", "outside the working directory");
        check_write("../new", "outside the working directory");
        check_write("dangling", "cannot open");
        check_write("new/../../x", "cannot find the folder");
        check_write(".env", "may hold secrets");

        let wider = access(&[outside.clone(), root.join(".env.local")]).unwrap();
        for path in ["link/b.txt", &absolute, ".env.local"] {
            check(&wider, path, "ok");
        }
        check(&wider, "../outside/.env", "may hold secrets");
        let home_too = access(std::slice::from_ref(&home)).unwrap();
        check(&home_too, "home/x", "ok");
        assert!(access(&[root.join("missing")]).is_err());
    }
}
