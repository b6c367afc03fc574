//! Runs the binary in a home of its own: through pipes, or on a terminal.

use std::fs::{File, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;
use serde_json::Value;
use tempfile::TempDir;

pub use crate::terminal::Terminal;

const BINARY: &str = env!("CARGO_BIN_EXE_allm");

/// The longest that a run may take.
pub const PATIENCE: Duration = Duration::from_mins(3);
pub const PAUSE: Duration = Duration::from_millis(10);

/// Returns the folder of the project. It is asked for when a test runs: what was built in one copy of it may run in another.
pub fn project() -> PathBuf {
    std::env::current_dir().expect("cargo runs tests in the folder of the package")
}

/// Says something about a test to whoever runs it, also where it passes.
pub fn say(text: &str) {
    // The macros write into what is only shown of tests that fail.
    writeln!(std::io::stderr(), "    {text}").ok();
}

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(PAUSE);
    }
}

/// Says that a test is left out, and why.
pub fn left_out(why: &str) {
    say(&format!("left out: {why}"));
}

/// Holds a fresh home directory and a folder to work in, removed when dropped.
pub struct Home(TempDir, TempDir);

impl Home {
    pub fn new() -> Self {
        let private = Permissions::from_mode(0o700);
        let mut builder = tempfile::Builder::new();
        builder.permissions(private);
        let folder = || builder.tempdir().expect("a temporary folder can be made");
        Self(folder(), folder())
    }

    /// Returns the working directory of every run.
    pub fn folder(&self) -> &Path {
        self.1.path()
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Prepares a run of `allm` that reaches no model server and reads no one's settings.
    pub fn allm(&self) -> Run {
        self.program(BINARY)
    }

    /// Prepares a run of a shell script in the same surroundings; `$ALLM` is the binary.
    pub fn shell(&self, script: &str) -> Run {
        let run = self.program("sh").env("ALLM", BINARY);
        run.args(["-c", script])
    }

    fn program(&self, name: &str) -> Run {
        let mut command = Command::new(name);
        command
            .env_clear()
            .envs(self.environment())
            .env("NO_COLOR", "1")
            .current_dir(self.folder());
        Run {
            command,
            stdin: None,
        }
    }

    /// Starts `allm` on a terminal of 100 columns and 40 rows, in colour.
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        self.terminal_with(args, &[])
    }

    /// Starts `allm` on a terminal, with more in its environment.
    pub fn terminal_with(&self, args: &[&str], env: &[(&str, &str)]) -> Terminal {
        let mut command = CommandBuilder::new(BINARY);
        command.args(args);
        command.cwd(self.folder());
        command.env_clear();
        command.env("TERM", "xterm-256color");
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        for (name, value) in env {
            command.env(name, value);
        }
        Terminal::start(command)
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let home = self
            .path()
            .to_str()
            .expect("the temporary folder's path is text")
            .to_owned();
        vec![
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("ALLM_HOME", home.clone()),
            ("HOME", home),
            ("COLUMNS", "100".to_owned()),
            ("PAGER", "cat".to_owned()),
            ("TZ", "UTC".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("ALLM_USER", "alice".to_owned()),
            // Nothing listens on the discard port.
            ("OLLAMA_HOST", "http://127.0.0.1:9".to_owned()),
        ]
    }
}

/// Holds a run that has not started.
pub struct Run {
    command: Command,
    stdin: Option<String>,
}

impl Run {
    /// Starts it and waits for nothing; what it prints is lost.
    pub fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::null());
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.command.spawn().expect("the binary starts")
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets what is piped into the program; without it, its standard input is empty.
    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    /// Runs to success and returns the one JSON object it prints.
    #[track_caller]
    pub fn ok_json(self) -> Value {
        let mut values = self.run().ok().json();
        assert_eq!(values.len(), 1, "{values:?}");
        values.remove(0)
    }

    /// Runs to the end, at most three minutes.
    #[track_caller]
    pub fn run(mut self) -> Output {
        let stdout = Capture::new(|file| self.command.stdout(file));
        let stderr = Capture::new(|file| self.command.stderr(file));
        self.command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut child = self.command.spawn().expect("the binary starts");
        if let (Some(text), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // The program may leave before it has read everything.
            thread::spawn(move || pipe.write_all(text.as_bytes()).ok());
        }
        let status = wait(&mut child);
        let (stdout, stderr) = (stdout.read(), stderr.read());
        let Some(status) = status else {
            panic!("still running after {PATIENCE:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        };
        Output {
            status,
            stdout,
            stderr,
        }
    }
}

/// Returns the exit status, as a shell gives it for a signal; a child that takes too long is killed.
fn wait(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal));
        }
        if start.elapsed() > PATIENCE {
            child
                .kill()
                .and_then(|()| child.wait())
                .expect("a child can be killed");
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Collects a stream in a file, so that a full pipe never blocks the program.
struct Capture(File);

impl Capture {
    fn new<T>(connect: impl FnOnce(File) -> T) -> Self {
        let file = tempfile::tempfile().expect("a temporary file can be made");
        connect(file.try_clone().expect("a file can be opened twice"));
        Self(file)
    }

    fn read(mut self) -> String {
        let mut bytes = Vec::new();
        self.0.rewind().expect("a file can be read from its start");
        self.0.read_to_end(&mut bytes).expect("a file can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Holds what a run left behind.
#[derive(Debug, Clone)]
pub struct Output {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Returns the JSON value of every line of standard output.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {line}\n--- stderr\n{}", self.stderr),
        };
        let mut values = Vec::new();
        for line in self.stdout.lines() {
            values.push(parse(line));
        }
        values
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.fails(0)
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        let Self {
            status,
            stdout,
            stderr,
        } = &self;
        assert!(
            *status == code,
            "exit {status}, not {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
        self
    }
}
