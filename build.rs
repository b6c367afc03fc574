//! Says how the binary is linked.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |what: &str| var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // What LanceDB brings has some 390,000 addresses in its tables. A program that may lie anywhere has each of them written at each
    // start, which takes longer than all else that `allm --version` does. Its heap, its stacks and its libraries still lie anywhere.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
