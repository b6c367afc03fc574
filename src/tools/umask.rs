//! Which permissions new files get: allm's own are for their owner alone, and what tools make is like anything else a person makes.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use nix::sys::stat::{Mode, umask};

static FORMER: OnceLock<u32> = OnceLock::new();

/// Makes all that this process creates from now on private, libraries' files included: a umask is the only way to reach those from the
/// moment they are made.
pub fn keep_private() {
    former();
}

/// Returns the umask that the process was started with.
#[allow(clippy::useless_conversion, reason = "macOS has u16 there")]
pub fn former() -> u32 {
    *FORMER.get_or_init(|| u32::from(umask(Mode::S_IRWXG | Mode::S_IRWXO).bits()))
}

/// Makes the folders that are missing, with the permissions of any new folder.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match DirBuilder::new().create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(()),
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o777 & !former())),
    }
}
