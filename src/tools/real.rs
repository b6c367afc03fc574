//! Files by real paths. No link is followed on the way to one, so that what is opened is what was checked, whatever other processes
//! put in its place meanwhile.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::umask;

/// How a folder is opened to find something in it: one that may be passed need not be readable.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PASS: OFlag = OFlag::O_PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PASS: OFlag = OFlag::O_RDONLY;

const FOLDER: OFlag = OFlag::O_DIRECTORY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// Is an absolute path without links that tools may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Real(PathBuf);

impl Real {
    /// Takes a path that has been checked.
    pub(super) fn new(path: PathBuf) -> Real {
        Real(path)
    }

    /// Returns the path; to open it would follow links.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns whether anything is there.
    pub fn exists(&self) -> bool {
        self.status().is_ok()
    }

    /// Returns whether a file is there: no folder, no link and no pipe.
    pub fn is_file(&self) -> bool {
        self.status()
            .is_ok_and(|status| kind(&status) == SFlag::S_IFREG)
    }

    /// Opens the file for reading. Fails for anything else: a pipe or a device could wait for ever.
    pub fn open(&self) -> Result<File> {
        let (folder, name) = self.place(false)?;
        let status = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match kind(&status) {
            SFlag::S_IFREG => {}
            SFlag::S_IFDIR => bail!("it is a folder"),
            _ => bail!("it is not a file"),
        }
        // A pipe that has just taken its place is opened without waiting, and then found out.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = File::from(openat(&folder, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            bail!("it is not a file");
        }
        Ok(file)
    }

    /// Puts a whole new file in the place of the old one, so that a full disk costs nothing, and makes the folders that are missing.
    pub fn replace(&self, content: &[u8]) -> Result<()> {
        let (folder, name) = self.place(true)?;
        // A file that was not there gets the permissions of any new one.
        let mode = match fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(old) => match kind(&old) {
                SFlag::S_IFREG => Mode::from_bits_truncate(old.st_mode),
                SFlag::S_IFDIR => bail!("it is a folder"),
                _ => bail!("it is not a file"),
            },
            Err(Errno::ENOENT) => Mode::from_bits_truncate(0o666) - umask::former(),
            Err(error) => return Err(error.into()),
        };
        let new = New {
            folder: &folder,
            name: format!(".allm-{}", uuid::Uuid::new_v4().simple()),
        };
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut file = File::from(openat(&folder, new.name.as_str(), flags, private)?);
        file.write_all(content)?;
        fchmod(&file, mode)?;
        file.sync_all()?;
        renameat(&folder, new.name.as_str(), &folder, name)?;
        Ok(())
    }

    fn status(&self) -> Result<FileStat> {
        let (folder, name) = self.place(false)?;
        Ok(fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Opens the folder that the last name of the path is in; makes it where it is missing.
    fn place(&self, make: bool) -> Result<(OwnedFd, &Path)> {
        let name = self.0.file_name().context("it is a folder")?;
        let parent = self.0.parent().context("it has no folder")?;
        Ok((folder(parent, make)?, Path::new(name)))
    }
}

/// Removes a file that is still under its first name when it is dropped.
struct New<'f> {
    folder: &'f OwnedFd,
    name: String,
}

impl Drop for New<'_> {
    fn drop(&mut self) {
        // Once it is whole it has another name.
        unlinkat(self.folder, self.name.as_str(), UnlinkatFlags::NoRemoveDir).ok();
    }
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

/// Opens a folder, name after name from the root.
fn folder(path: &Path, make: bool) -> io::Result<OwnedFd> {
    let mut folder = open("/", PASS | FOLDER, Mode::empty())?;
    for part in path.components() {
        if let Component::Normal(name) = part {
            folder = match openat(&folder, name, PASS | FOLDER, Mode::empty()) {
                Err(Errno::ENOENT) if make => make_folder(&folder, Path::new(name))?,
                opened => opened?,
            };
        }
    }
    Ok(folder)
}

/// Makes a folder with the permissions of any new one.
fn make_folder(parent: &OwnedFd, name: &Path) -> nix::Result<OwnedFd> {
    match mkdirat(parent, name, Mode::S_IRWXU) {
        // Somebody else was quicker, and the folder is theirs.
        Err(Errno::EEXIST) => return openat(parent, name, PASS | FOLDER, Mode::empty()),
        made => made?,
    }
    let folder = openat(parent, name, OFlag::O_RDONLY | FOLDER, Mode::empty())?;
    fchmod(&folder, Mode::from_bits_truncate(0o777) - umask::former())?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::stat::stat;

    use super::*;

    // Finding L7.
    #[test]
    fn a_link_that_takes_the_place_of_what_was_checked_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["work/sub", "outside/sub"] {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join("a"), name).unwrap();
        }
        let real = Real::new(root.join("work/sub/a"));
        assert!(real.is_file() && real.open().is_ok());
        let new = Real::new(root.join("work/sub/new/b"));

        // The folder becomes a link.
        fs::rename(root.join("work/sub"), root.join("work/was")).unwrap();
        symlink(root.join("outside/sub"), root.join("work/sub")).unwrap();
        assert!(!real.is_file() && real.open().is_err());
        assert!(real.replace(b"x").is_err() && new.replace(b"x").is_err());
        let outside = fs::read_dir(root.join("outside/sub")).unwrap();
        assert_eq!(outside.count(), 1);
        assert_eq!(
            fs::read(root.join("outside/sub/a")).unwrap(),
            b"outside/sub"
        );

        // The file becomes one.
        fs::remove_file(root.join("work/sub")).unwrap();
        fs::create_dir(root.join("work/sub")).unwrap();
        symlink(root.join("outside/sub/a"), root.join("work/sub/a")).unwrap();
        assert!(!real.is_file() && real.open().is_err() && real.replace(b"x").is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let real = Real::new(root.join("new/deep/a"));
        let mode = |path: &Path| Mode::from_bits_truncate(stat(path).unwrap().st_mode);
        let any = |bits| Mode::from_bits_truncate(bits) - umask::former();
        real.replace(b"one").unwrap();
        assert_eq!(mode(real.path()), any(0o666));
        assert_eq!(mode(&root.join("new/deep")), any(0o777));
        fs::set_permissions(real.path(), fs::Permissions::from_mode(0o754)).unwrap();
        real.replace(b"two").unwrap();
        assert_eq!(mode(real.path()).bits(), 0o754);
        assert_eq!(fs::read(real.path()).unwrap(), b"two");
        assert!(Real::new(root.join("new")).replace(b"x").is_err());
        // Nothing half-made is left.
        assert_eq!(fs::read_dir(root.join("new/deep")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }
}
