//! Where a turn is had: the working directory, and the branch that git has checked out there.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// More than the name of any branch takes, in bytes.
const LONGEST: u64 = 4 << 10;
/// How many digits of a commit tell it from others, as git shows them.
const SHORT: usize = 7;

/// Returns the working directory, and its branch.
pub fn here() -> (Option<String>, Option<String>) {
    let Ok(folder) = std::env::current_dir() else {
        // Somebody has removed it.
        return (None, None);
    };
    let branch = branch(&folder);
    (folder.into_os_string().into_string().ok(), branch)
}

/// Returns the branch that is checked out in the repository that a folder is in; where none is, the commit.
fn branch(folder: &Path) -> Option<String> {
    let read = |folder: &Path| text(&repository(&folder.join(".git"))?.join("HEAD"));
    let head = folder.ancestors().find_map(read)?;
    let Some(name) = head.strip_prefix("ref:") else {
        let is_commit = head.len() >= SHORT && head.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_commit.then(|| head[..SHORT].to_owned());
    };
    let name = name.trim();
    let name = name.strip_prefix("refs/heads/").unwrap_or(name);
    // Where branches are kept in a table, this file only says that it does not say.
    Some(name.to_owned()).filter(|name| !name.is_empty() && name != ".invalid")
}

/// Returns where a repository is kept: in `.git` itself, or, for a further work tree or a submodule, where that file says.
fn repository(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_owned());
    }
    let text = text(git)?;
    let place = text.strip_prefix("gitdir:")?.trim();
    Some(git.parent()?.join(place))
}

/// Reads a small file.
fn text(path: &Path) -> Option<String> {
    // What is no file may never end, or wait for someone.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let mut file = File::open(path).ok()?.take(LONGEST);
    file.read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_told_without_git() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let check = |folder: &str, expected: Option<&str>| {
            let folder = place.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            assert_eq!(branch(&folder).as_deref(), expected, "{}", folder.display());
        };
        check("none", None);
        write("a/.git/HEAD", "ref: refs/heads/feature/x y\n");
        check("a", Some("feature/x y"));
        check("a/src/deep", Some("feature/x y"));
        // What is broken is no repository, and the one around it is meant.
        write("a/inner/.git/config", "");
        check("a/inner", Some("feature/x y"));
        write("a/.git/worktrees/b/HEAD", "ref: refs/heads/b");
        write("b/.git", "gitdir: ../a/.git/worktrees/b\n");
        check("b/src", Some("b"));
        let commit = "0123456789abcdef0123456789abcdef01234567";
        write("c/.git/HEAD", &format!("{commit}\n"));
        check("c", Some("0123456"));
        for odd in ["", "ref:", "ref: refs/heads/.invalid", "no commit"] {
            write("d/.git/HEAD", odd);
            check("d", None);
        }
    }
}
