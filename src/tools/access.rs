//! Which files tools may touch: what lies in the working directory or in a place that the person named, and holds no secrets.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Real, secrets};

/// Says which files may be read and written. Symbolic links are followed before anything is decided.
pub struct Access {
    root: PathBuf,
    /// What the person named.
    named: Vec<PathBuf>,
    /// What is refused even inside `root`, unless it is named.
    private: Vec<PathBuf>,
}

impl Access {
    /// Allows what is below `root` and `named`, but for what is below `private` or usually holds secrets. What is named need not be there:
    /// a disk may be mounted later.
    pub fn new(root: &Path, named: &[PathBuf], private: &[PathBuf]) -> Result<Access> {
        let root = root
            .canonicalize()
            .context("cannot find the working directory")?;
        // The person may allow what cannot be read now; it is refused when it is wanted.
        let real = |path: &PathBuf| followed(&root.join(path)).unwrap_or_else(|_| root.join(path));
        let mut hidden: Vec<PathBuf> = private
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        // The environment of a process holds keys.
        hidden.push(PathBuf::from("/proc"));
        Ok(Access {
            named: named.iter().map(real).collect(),
            private: hidden,
            root,
        })
    }

    /// Returns the working directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the real path of something that is there.
    pub fn existing(&self, path: &str) -> Result<Real> {
        let real = self.root.join(path).canonicalize();
        let real = real.with_context(|| format!("cannot open `{path}`"))?;
        self.check(&real, path)?;
        Ok(Real::new(real))
    }

    /// Returns the real path of a file that may not be there yet, nor the folders it is to be in.
    pub fn writable(&self, path: &str) -> Result<Real> {
        let real = followed(&self.root.join(path));
        let real = real.with_context(|| format!("cannot open `{path}`"))?;
        self.check(&real, path)?;
        Ok(Real::new(real))
    }

    /// Returns a path that a walk without links has come upon, if it may be read.
    pub fn found(&self, path: &Path) -> Option<Real> {
        self.check(path, "").ok()?;
        Some(Real::new(path.to_owned()))
    }

    /// Returns a path as the model knows it: relative to the working directory where it lies there.
    pub fn shown(&self, real: &Path) -> String {
        let shown = real.strip_prefix(&self.root).unwrap_or(real);
        shown.display().to_string()
    }

    /// Returns whether a shell, an editor, git or a login may run what a file holds, or obey it, without being told to: whether it or a
    /// folder that it is in is hidden.
    pub fn acts_by_itself(&self, real: &Real) -> bool {
        let base = self.base(real.path());
        let below = real.path().strip_prefix(base).unwrap_or(real.path());
        let mut parts = below.iter().chain(real.path().file_name());
        parts.any(|part| part.as_encoded_bytes().starts_with(b"."))
    }

    fn check(&self, real: &Path, path: &str) -> Result<()> {
        let named = self.named.iter().any(|named| real.starts_with(named));
        if !named && !real.starts_with(&self.root) {
            bail!(
                "`{path}` is outside the working directory, and the user has not allowed it with `--allow-path`"
            );
        }
        let private = self.private.iter().any(|private| {
            let meant = |named: &PathBuf| real.starts_with(named) && named.starts_with(private);
            real.starts_with(private) && !self.named.iter().any(meant)
        });
        if private || secrets::are_likely_in(real, self.base(real)) {
            bail!(
                "`{path}` may hold secrets, and the user has not allowed it by name with `--allow-path`"
            );
        }
        Ok(())
    }

    /// Returns the closest folder around a path that the person has named, or works in. That one is meant; what lies below it may be
    /// there by accident.
    fn base(&self, real: &Path) -> &Path {
        let named = self.named.iter().chain([&self.root]);
        named
            .filter(|named| real.starts_with(named))
            .max_by_key(|named| named.as_os_str().len())
            .unwrap_or(&self.root)
    }
}

/// Follows the links of a path as far as something is there.
fn followed(path: &Path) -> Result<PathBuf> {
    let mut there = path;
    let mut missing = Vec::new();
    let mut real = loop {
        match there.canonicalize() {
            Ok(real) => break real,
            // A link to nowhere could lead anywhere.
            Err(error)
                if error.kind() == ErrorKind::NotFound && there.symlink_metadata().is_err() =>
            {
                let (Some(name), Some(parent)) = (there.file_name(), there.parent()) else {
                    bail!("a folder on the way is not there");
                };
                missing.push(name);
                there = parent;
            }
            Err(error) => return Err(error.into()),
        }
    };
    real.extend(missing.iter().rev());
    Ok(real)
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
            let shown = result.map_or_else(
                |error| format!("{error:#}"),
                |real| plain.shown(real.path()),
            );
            assert!(shown.contains(expected), "{path}: {shown}");
        };
        check_write("new/deep/file", "new/deep/file");
        check_write("inner", "a.txt");
        check_write("link/new", "outside the working directory");
        check_write("../new", "outside the working directory");
        check_write("dangling", "cannot open");
        check_write("new/../../x", "a folder on the way is not there");
        check_write(".env", "may hold secrets");

        let wider = access(&[outside.clone(), root.join(".env.local")]).unwrap();
        for path in ["link/b.txt", &absolute, ".env.local"] {
            check(&wider, path, "ok");
        }
        check(&wider, "../outside/.env", "may hold secrets");
        let home_too = access(std::slice::from_ref(&home)).unwrap();
        check(&home_too, "home/x", "ok");
    }

    // Finding L8.
    #[test]
    fn a_place_that_is_allowed_may_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let (root, disk) = (folder.path().join("work"), folder.path().join("disk"));
        fs::create_dir(&root).unwrap();
        let access = Access::new(&root, &[disk.join("notes")], &[]).unwrap();
        fs::create_dir_all(disk.join("notes")).unwrap();
        for name in ["notes/a", "b"] {
            fs::write(disk.join(name), "x").unwrap();
        }
        assert!(access.existing("../disk/notes/a").is_ok());
        assert!(access.existing("../disk/b").is_err());
    }

    // Finding M21.
    #[test]
    fn a_folder_that_only_looks_secret_is_one_to_work_in() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(".envs/id_rsa-tools");
        let named = folder.path().join(".docker/x");
        let secrets = [
            ".envs/id_rsa-tools/.env",
            ".envs/id_rsa-tools/.docker/x",
            ".envs/id_rsa-tools/.cargo/credentials.toml",
            ".envs/id_rsa-tools/.config/gh/hosts.yml",
            ".envs/id_rsa-tools/.config/gcloud/x",
            ".envs/id_rsa-tools/.git/config",
            ".envs/id_rsa-tools/terraform.tfstate",
            ".envs/id_rsa-tools/.bash_history",
            ".docker/x/credentials.json",
        ];
        let others = [
            ".envs/id_rsa-tools/src/a",
            ".envs/id_rsa-tools/.cargo/config.toml",
            ".envs/id_rsa-tools/.config/x",
            ".envs/id_rsa-tools/search_history",
            ".docker/x/a",
        ];
        for file in secrets.iter().chain(&others) {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        // What is wider takes nothing away.
        let access = Access::new(&root, &[folder.path().to_owned(), named], &[]).unwrap();
        let open = |file: &str| access.existing(folder.path().join(file).to_str().unwrap());
        for file in secrets {
            assert!(open(file).is_err(), "{file}");
        }
        for file in others {
            assert!(open(file).is_ok(), "{file}");
        }
    }

    // Finding L6.
    #[test]
    fn hidden_files_are_taken_to_act_by_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(".dotfiles");
        fs::create_dir_all(root.join(".git/hooks")).unwrap();
        fs::write(root.join(".git/hooks/pre-commit"), "").unwrap();
        symlink(".git/hooks/pre-commit", root.join("innocent")).unwrap();
        let profile = folder.path().join(".profile");
        let access = Access::new(&root, std::slice::from_ref(&profile), &[]).unwrap();
        let check = |path: &str, expected: bool| {
            let real = access.writable(path).unwrap();
            assert_eq!(access.acts_by_itself(&real), expected, "{path}");
        };
        for path in [
            ".bashrc",
            "x/.git/hooks/post-merge",
            "innocent",
            "../.profile",
        ] {
            check(path, true);
        }
        for path in ["src/main.rs", "git/hooks"] {
            check(path, false);
        }
    }
}
