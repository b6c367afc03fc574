//! The binary: calls the library.

fn main() -> std::process::ExitCode {
    allm::run(std::env::args_os())
}
