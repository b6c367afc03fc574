//! A terminal that `allm` runs on, with someone who types.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::harness::PAUSE;

/// The longest that a terminal may stay without what is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Holds a running `allm` on a terminal; it is killed when dropped.
pub struct Terminal {
    output: Arc<Mutex<Vec<u8>>>,
    keyboard: Keyboard,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    reader: JoinHandle<()>,
    /// How much of the output has been matched.
    seen: usize,
    master: Box<dyn MasterPty + Send>,
}

type Keyboard = Arc<Mutex<Box<dyn Write + Send>>>;

impl Terminal {
    /// Starts a program on a terminal of 100 columns and 40 rows.
    pub fn start(command: CommandBuilder) -> Self {
        let size = PtySize {
            rows: 40,
            cols: 100,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system()
            .openpty(size)
            .expect("a terminal can be opened");
        let child = pair
            .slave
            .spawn_command(command)
            .expect("the binary starts");
        // The reader sees the end only when no one here holds the other side.
        drop(pair.slave);
        let stream = pair
            .master
            .try_clone_reader()
            .expect("a terminal can be read");
        let writer = pair
            .master
            .take_writer()
            .expect("a terminal can be written to");
        let keyboard = Arc::new(Mutex::new(writer));
        let output = Arc::default();
        let (sink, answers) = (Arc::clone(&output), Arc::clone(&keyboard));
        let reader = thread::spawn(move || follow(stream, &sink, &answers));
        Self {
            output,
            keyboard,
            child,
            reader,
            seen: 0,
            master: pair.master,
        }
    }

    /// Changes how many columns there are.
    pub fn resize(&self, cols: u16) {
        let size = PtySize {
            rows: 40,
            cols,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).expect("a terminal can be resized");
    }

    /// Waits for a text to appear after the last one that was waited for.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // Read first: what a finished reader has not collected will never come.
            let finished = self.reader.is_finished();
            let found = find(&lock(&self.output)[self.seen..], text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return;
            }
            if finished {
                break;
            }
            thread::sleep(PAUSE);
        }
        panic!(
            "no {text:?} on the screen after {:?}:\n{}",
            start.elapsed(),
            self.screen()
        );
    }

    /// Types a text as it is; Enter is `\r`, Ctrl-C `\u{3}`, Ctrl-D `\u{4}`, Tab `\t`.
    #[track_caller]
    pub fn type_keys(&mut self, text: &str) {
        let mut keyboard = lock(&self.keyboard);
        keyboard
            .write_all(text.as_bytes())
            .and_then(|()| keyboard.flush())
            .expect("the terminal is open");
    }

    /// Returns all output so far, escape sequences included.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&lock(&self.output)).into_owned()
    }

    /// Waits for the program to leave and returns its exit status.
    #[track_caller]
    pub fn exit_status(&mut self) -> u32 {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                let left = Instant::now();
                while !self.reader.is_finished() && left.elapsed() < Duration::from_secs(1) {
                    thread::sleep(PAUSE);
                }
                return status.exit_code();
            }
            thread::sleep(PAUSE);
        }
        panic!("still running after {PATIENCE:?}:\n{}", self.screen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has usually left already.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// Collects what the program writes and answers its question for the cursor: the first column.
fn follow(mut stream: Box<dyn Read + Send>, sink: &Mutex<Vec<u8>>, keyboard: &Keyboard) {
    let mut buffer = [0; 4096];
    let mut asked = 0;
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let mut output = lock(sink);
        output.extend_from_slice(&buffer[..length]);
        while let Some(at) = find(&output[asked..], b"\x1b[6n") {
            asked += at + b"\x1b[6n".len();
            lock(keyboard).write_all(b"\x1b[1;1R").ok();
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
