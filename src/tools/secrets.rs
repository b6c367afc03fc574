//! Which files usually hold secrets, by their names and places.

use std::path::{Path, PathBuf};

/// Files and folders, in lower case, wherever they are.
const NAMES: [&str; 27] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".dockercfg",
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
    ".terraformrc",
    ".s3cfg",
    ".boto",
    ".histfile",
    ".zhistory",
    ".lesshst",
    "fish_history",
    "credentials.json",
    "rclone.conf",
];
/// Those whose name alone says little, with the folder that they are in.
const PLACES: [&str; 13] = [
    ".bundle/config",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".config/gcloud",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/op",
    ".gem/credentials",
    // The address of a remote may hold a password or a token.
    ".git/config",
    ".m2/settings.xml",
    ".terraform.d/credentials.tfrc.json",
    "composer/auth.json",
];
const STARTS: [&str; 5] = [".env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"];
const ENDS: [&str; 10] = [
    ".pem",
    ".key",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".kdbx",
    ".ppk",
    ".tfstate",
    ".tfstate.backup",
];

/// Returns whether a file, or a folder that it is in, usually holds secrets. Folders down to `base` do not count.
pub fn are_likely_in(real: &Path, base: &Path) -> bool {
    let below = real.components().count();
    let below = below.saturating_sub(base.components().count());
    let lower = PathBuf::from(real.to_string_lossy().to_lowercase());
    lower.ancestors().take(below).any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // `.bash_history`, `.python_history` and their like.
        let is_history = name.starts_with('.') && name.ends_with("_history");
        is_history
            || NAMES.contains(&&*name)
            || STARTS.iter().any(|start| name.starts_with(start))
            || ENDS.iter().any(|end| name.ends_with(end))
            || PLACES.iter().any(|place| path.ends_with(place))
    })
}
