//! `run_command`: a shell command in the working directory, for a limited time.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::BoxFuture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{Access, Heard, Preview, Tool, plain, read, spec, umask};
use crate::conversation::ToolSpec;

/// How much is kept of the beginning and of the end of an output, each, in bytes.
const KEPT: usize = 256 << 10;
/// The longest that a model may let a command run, in seconds.
const LONGEST_S: u64 = 600;
/// How long an output may stay open when the command has ended: a process that it left behind may hold it.
const GRACE: Duration = Duration::from_millis(500);
/// Waits for the end of its input, which comes when this process dies, however it does, and then kills a process group.
const WATCH: &str = "trap '' HUP INT TERM; read -r never; kill -KILL \"-$1\"";

/// The name of the tool.
pub const RUN_COMMAND: &str = "run_command";

/// Runs a shell command.
pub struct RunCommand {
    pub access: Arc<Access>,
    /// How long a command may run when the model does not say.
    pub limit: Duration,
    /// Variables that commands do not get: what they print is recorded and told to the model.
    pub withheld: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    command: String,
    timeout_s: Option<u64>,
}

impl Tool for RunCommand {
    fn spec(&self) -> ToolSpec {
        spec(
            RUN_COMMAND,
            "Run a shell command in the working directory and return its exit code, stdout and stderr. The user is asked first.",
            json!({
                "command": {"type": "string", "description": "What `sh -c` is to run. It cannot read from the keyboard."},
                "timeout_s": {"type": "integer", "description": format!("Kill it after so many seconds; without it {}.", self.limit.as_secs())},
            }),
            &["command"],
        )
    }

    fn mutates(&self) -> bool {
        true
    }

    fn preview<'c>(&'c self, arguments: &'c Value) -> BoxFuture<'c, Result<Preview>> {
        Box::pin(async {
            let Arguments { command, timeout_s } = read(arguments)?;
            let limit = timeout_s.map_or(String::new(), |seconds| {
                format!("\n(for {seconds} s at most)")
            });
            Ok(Preview {
                text: format!("$ {command}{limit}"),
                cover: plain::cover(&command),
            })
        })
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move { self.call_heard(&arguments, None).await })
    }

    fn call_heard<'c>(
        &'c self,
        arguments: &'c Value,
        heard: Option<&'c Heard>,
    ) -> BoxFuture<'c, Result<String>> {
        Box::pin(async move {
            let Arguments { command, timeout_s } = read(arguments)?;
            let limit = timeout_s.map_or(self.limit, |seconds| {
                Duration::from_secs(seconds.clamp(1, LONGEST_S))
            });
            self.run(&command, limit, heard).await
        })
    }
}

impl RunCommand {
    async fn run(&self, command: &str, limit: Duration, heard: Option<&Heard>) -> Result<String> {
        let mut shell = Command::new("sh");
        for name in &self.withheld {
            shell.env_remove(name);
        }
        let mut child = shell
            .arg("-c")
            .arg(format!("umask {:04o}\n{command}", umask::former().bits()))
            .current_dir(self.access.root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start `sh`")?;
        let mut group = Group(child.id());
        let _watchman = watch(child.id().context("`sh` has no id")?)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut out, mut err) = (Captured::default(), Captured::default());
        let whole = async {
            let drains = async {
                tokio::join!(
                    drain(stdout, &mut out, heard),
                    drain(stderr, &mut err, heard)
                )
            };
            tokio::pin!(drains);
            let mut open = true;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    _ = &mut drains, if open => open = false,
                }
            };
            if open {
                drop(tokio::time::timeout(GRACE, drains).await);
            }
            status
        };
        let finished = tokio::time::timeout(limit, whole).await;
        let Ok(status) = finished else {
            drop(group);
            child.wait().await?;
            bail!(
                "it was killed because it ran longer than {} s{}",
                limit.as_secs(),
                report(&out, &err)
            );
        };
        // What the command left running on purpose may go on.
        group.0 = None;
        let (status, report) = (status?, report(&out, &err));
        if !status.success() {
            bail!("{}{report}", ending(status));
        }
        Ok(format!("{}{report}", ending(status)))
    }
}

/// Kills a whole process group when it is dropped, which is also what an interrupt comes to.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // All of it may have ended already.
            killpg(Pid::from_raw(id), Signal::SIGKILL).ok();
        }
    }
}

/// Starts a process that kills a process group if this one dies before the watchman is dropped. The group is its own, so nothing else
/// would.
fn watch(group: u32) -> Result<Child> {
    let mut watchman = Command::new("sh");
    watchman
        .args(["-c", WATCH, "sh", &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    watchman.spawn().context("cannot watch over the command")
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
    }
}

fn report(out: &Captured, err: &Captured) -> String {
    let mut text = String::new();
    for (name, captured) in [("stdout", out), ("stderr", err)] {
        if captured.total > 0 {
            text.push_str(&format!("\n--- {name}\n{}", captured.text()));
        }
    }
    if text.is_empty() {
        text.push_str("\n(no output)");
    }
    text
}

/// Holds the beginning and the end of an output, however long it is.
#[derive(Default)]
struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: usize,
}

impl Captured {
    fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len();
        let (head, rest) = bytes.split_at(bytes.len().min(KEPT - self.head.len()));
        self.head.extend(head);
        self.tail.extend(rest);
        self.tail.drain(..self.tail.len().saturating_sub(KEPT));
    }

    fn text(&self) -> String {
        let missing = self.total - self.head.len() - self.tail.len();
        let mark = match missing {
            0 => Vec::new(),
            _ => format!("\n[… {missing} of {} bytes left out …]\n", self.total).into_bytes(),
        };
        let bytes: Vec<u8> = self
            .head
            .iter()
            .chain(&mark)
            .chain(&self.tail)
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

async fn drain(
    stream: Option<impl AsyncRead + Unpin>,
    captured: &mut Captured,
    heard: Option<&Heard>,
) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 64 << 10];
    // A stream that breaks has ended.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        captured.push(&buffer[..read]);
        if let Some(heard) = heard {
            heard(&buffer[..read]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn tool(folder: &std::path::Path) -> RunCommand {
        RunCommand {
            access: Arc::new(Access::new(folder, &[], &[]).unwrap()),
            limit: Duration::from_secs(30),
            withheld: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_command_is_killed_at_its_limit_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let command = "echo begun; (sleep 2; touch survived) & sleep 60";
        let started = Instant::now();
        let arguments = json!({"command": command, "timeout_s": 1});
        let error = tool(folder.path()).call(arguments).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "it was killed because it ran longer than 1 s\n--- stdout\nbegun\n"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!folder.path().join("survived").exists());
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let tool = tool(folder.path());
        let call = tool.call(json!({"command": "(sleep 2; touch survived) & sleep 60"}));
        assert!(
            tokio::time::timeout(Duration::from_millis(500), call)
                .await
                .is_err()
        );
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!folder.path().join("survived").exists());
    }

    #[tokio::test]
    async fn exit_code_and_both_outputs_are_reported_and_long_ones_keep_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let tool = tool(folder.path());
        let run = async |command: &str| {
            let result = tool.call(json!({"command": command})).await;
            result.unwrap_or_else(|error| format!("error: {error}"))
        };
        assert_eq!(
            run("echo out; echo err >&2; exit 3").await,
            "error: exit code 3\n--- stdout\nout\n\n--- stderr\nerr\n"
        );
        assert_eq!(run("true").await, "exit code 0\n(no output)");
        assert_eq!(
            run("kill -9 $$").await,
            "error: killed by signal 9\n(no output)"
        );
        let long = run("head -c 2000000 /dev/zero | tr '\\0' x; echo end").await;
        assert!(long.len() < 600_000 && long.ends_with("xend\n"));
        assert!(long.contains("\n[… 1475716 of 2000004 bytes left out …]\n"));
        // A process left behind holds the output open, and is not waited for.
        let started = Instant::now();
        assert_eq!(
            run("sleep 20 & echo done").await,
            "exit code 0\n--- stdout\ndone\n"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
