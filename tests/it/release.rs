//! What is published with a release: it is packed under the names that are looked for, and installed when its sum is right.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::project;
use crate::server::{Reply, Server};

/// Packs a program that says its name, for the system that this is.
fn pack(folder: &Path, says: &str) -> String {
    let program = folder.join("program");
    fs::write(&program, format!("#!/bin/sh\necho {says}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let system = match std::env::consts::OS {
        "macos" => "apple-darwin",
        _ => "unknown-linux-gnu",
    };
    let mut pack = Command::new(project().join(".ci/pack"));
    pack.arg(&program);
    pack.arg(format!("{}-{system}", std::env::consts::ARCH));
    let packed = pack.arg(folder.join("releases")).output().unwrap();
    assert!(packed.status.success(), "{packed:?}");
    let packed = String::from_utf8(packed.stdout).unwrap();
    let name = Path::new(packed.trim()).file_name().unwrap();
    name.to_str().unwrap().to_owned()
}

fn install(server: &Server, bin: &Path) -> Output {
    let mut install = Command::new("sh");
    install.arg(project().join(".github/install.sh"));
    install.env("ALLM_RELEASES", &server.url);
    install.env("ALLM_VERSION", env!("CARGO_PKG_VERSION"));
    install.env("ALLM_BIN", bin).output().unwrap()
}

#[test]
fn a_release_is_installed_when_its_sum_is_right_and_else_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let releases = folder.path().join("releases");
    let archive = pack(folder.path(), "allm-as-packed");
    let expected = concat!("allm-v", env!("CARGO_PKG_VERSION"), "-");
    assert!(archive.starts_with(expected), "{archive}");
    let files = releases.clone();
    let server = Server::start(move |request| {
        let name = Path::new(&request.path).file_name().unwrap();
        match fs::read(files.join(name)) {
            Ok(bytes) => Reply::text(200, "application/octet-stream", bytes),
            Err(_) => Reply::text(404, "text/plain", "not found"),
        }
    });
    let bin = folder.path().join("bin");
    let installed = install(&server, &bin);
    assert!(installed.status.success(), "{installed:?}");
    let says = || Command::new(bin.join("allm")).output().unwrap().stdout;
    assert_eq!(says(), b"allm-as-packed\n");

    let changed = pack(folder.path(), "another");
    let sum = releases.join(format!("{changed}.sha256"));
    fs::write(&sum, format!("{}  {changed}\n", "0".repeat(64))).unwrap();
    let refused = install(&server, &bin);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && told.contains("nothing was installed"),
        "{told}"
    );
    fs::remove_file(&sum).unwrap();
    let refused = install(&server, &bin);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && told.contains("cannot fetch"),
        "{told}"
    );
    assert_eq!(says(), b"allm-as-packed\n");
    assert_eq!(fs::read_dir(&bin).unwrap().count(), 1);
}
