//! Which permissions new files get: allm's own are for their owner alone, and what tools make is like anything else a person makes.

use std::sync::OnceLock;

use nix::sys::stat::{Mode, umask};

static FORMER: OnceLock<Mode> = OnceLock::new();

/// Makes all that this process creates from now on private, libraries' files included: Lance takes no mode for the files of its tables,
/// so a umask is the only way to reach those from the moment they are made.
pub fn keep_private() {
    former();
}

/// Returns the umask that the process was started with.
pub fn former() -> Mode {
    *FORMER.get_or_init(|| umask(Mode::S_IRWXG | Mode::S_IRWXO))
}
