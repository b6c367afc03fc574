//! What is piped in beside a message: its material; with `-`, the message itself.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use anyhow::{Context, Result};
use encoding_rs_io::DecodeReaderBytesBuilder;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep_until};

use crate::commands::interrupt;
use crate::conversation::counted;
use crate::store::Hinted;
use crate::ui::Ui;

/// The most that is taken, in bytes.
const MOST: usize = 1 << 20;
/// How long nothing may come before it is said what is waited for.
const MOMENT: Duration = Duration::from_secs(1);
/// How long to wait for the first byte. Programs that start others often leave them a pipe that nothing ever comes from.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the message that words on the command line and standard input make; nothing when Ctrl-C ended that.
pub async fn message(words: &[String], ui: &Ui) -> Result<Option<String>> {
    let (said, is_all) = (words.join(" "), words == ["-"]);
    let is_typed = io::stdin().is_terminal();
    if is_typed && !is_all {
        return Ok(Some(said));
    }
    if is_typed {
        ui.note("type the message; Ctrl-D on an empty line ends it");
    }
    let Some(bytes) = collect(listen(), is_all, is_typed, ui).await? else {
        return Ok(None);
    };
    let text = text(&bytes, ui)?;
    if is_all {
        return Ok(Some(text.trim_end().to_owned()));
    }
    if text.trim().is_empty() {
        return Ok(Some(said));
    }
    Ok(Some(format!("{said}\n\n{}", fenced(&text))))
}

/// Reads standard input in a thread of its own: a read cannot be interrupted.
fn listen() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = match stdin.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map(|count| buffer[..count].to_vec()),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// Returns all that comes; nothing when Ctrl-C ended that.
async fn collect(
    mut chunks: Receiver<io::Result<Vec<u8>>>,
    is_all: bool,
    is_typed: bool,
    ui: &Ui,
) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let started = Instant::now();
    let mut told = is_typed;
    loop {
        let chunk = tokio::select! {
            biased;
            () = interrupt() => return Ok(None),
            chunk = chunks.recv() => chunk,
            () = sleep_until(started + MOMENT), if !told => {
                told = true;
                ui.note(match is_all {
                    true => "waiting for standard input to end: it is the message",
                    false => "waiting for standard input to end: it is part of the message; `< /dev/null` leaves it out",
                });
                continue;
            }
            () = sleep_until(started + PATIENCE), if !is_all && bytes.is_empty() => {
                let seconds = PATIENCE.as_secs();
                ui.warn(&format!("nothing came from standard input in {seconds} s, so the message goes without it"));
                return Ok(Some(bytes));
            }
        };
        let Some(chunk) = chunk else {
            return Ok(Some(bytes));
        };
        bytes.extend(chunk.context("cannot read standard input")?);
        if bytes.len() > MOST {
            return Err(anyhow::Error::new(Hinted {
                message: format!(
                    "there is more than {} MiB in standard input, which is the most that a message takes",
                    MOST >> 20
                ),
                hint: "send the part that matters, for example its end: `… | tail -c 100000 | allm chat …`".to_owned(),
            }));
        }
    }
}

/// Returns bytes as text: of UTF-8, or of what a byte order mark says. What is no text at all is refused.
fn text(bytes: &[u8], ui: &Ui) -> Result<String> {
    let mut decoded = Vec::new();
    // Without a mark the bytes stay as they are.
    DecodeReaderBytesBuilder::new()
        .bom_sniffing(true)
        .strip_bom(true)
        .utf8_passthru(true)
        .build(bytes)
        .read_to_end(&mut decoded)
        .context("cannot read standard input")?;
    if decoded.contains(&0) {
        return Err(anyhow::Error::new(Hinted {
            message: "what came from standard input is no text".to_owned(),
            hint: "make it text first, for example with `pdftotext file.pdf -`".to_owned(),
        }));
    }
    let broken = decoded.utf8_chunks();
    let broken = broken.filter(|chunk| !chunk.invalid().is_empty()).count();
    if broken > 0 {
        let places = counted(broken, "place");
        ui.warn(&format!(
            "standard input is not all UTF-8: {places} in it read as `\u{fffd}`"
        ));
    }
    Ok(String::from_utf8_lossy(&decoded).into_owned())
}

/// Puts a text between fences that are longer than any in it.
fn fenced(text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or_default().max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}\n{text}{end}{fence}")
}
