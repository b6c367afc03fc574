//! An answer as it comes: a request is sent, again where that may help, and lines become events until the model has said all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::Value;

use super::failure::{Failed, reported};
use super::http::{Http, reason};
use super::lines::Lines;
use super::said::Said;
use super::{ChatEvent, ChatStream};

/// The longest wait that a server may ask for before a request is tried again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long the end of a stream may take once the model has finished.
const LINGER: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes of text; a server that sends more does not end.
const LONGEST_ANSWER: usize = 16 << 20;
/// The most that is read of its stream, which has some hundred bytes around each word, and signs of life.
const LONGEST_STREAM: usize = 1 << 30;
/// Turns the lines of an answer into events.
pub trait Decode: Send + 'static {
    /// Decodes one line.
    fn line(&mut self, line: &str) -> Result<Vec<ChatEvent>, DecodeError>;
    /// Returns what is left when nothing more comes, or is readable; the last event is [`ChatEvent::Done`] where the answer is whole.
    fn end(&mut self) -> Result<Vec<ChatEvent>, DecodeError>;
    /// Returns whether the model has said all, so that only the end of the stream is missing.
    fn is_finished(&self) -> bool {
        false
    }
}

/// Says why a line could not be decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum DecodeError {
    Malformed(String),
    /// The line carries the server's own error.
    Reported(Said),
}

impl Http {
    /// Sends `body`, in the form that the server has turned out to take, and decodes the answer as it comes.
    pub fn stream<D: Decode>(
        &self,
        path: &str,
        body: Value,
        model: String,
        decoder: impl Fn() -> D + Send + 'static,
    ) -> ChatStream {
        let http = self.clone();
        let path = path.to_owned();
        Box::pin(async_stream::try_stream! {
            let mut sent = http.dialects.spoken(&model, &body);
            let mut text = sent.to_string();
            yield ChatEvent::Sent(text.clone());
            let mut attempt = 0;
            loop {
                let mut heard = false;
                let failed = match http.post(&path, &text, &model).await {
                    Err(failed) => failed,
                    Ok(response) => {
                        let mut answer = Answer::new(&http, &model, response, decoder());
                        loop {
                            match answer.next().await {
                                Ok(None) => return,
                                Ok(Some(event)) => {
                                    heard = true;
                                    yield event;
                                }
                                Err(failed) => break failed,
                            }
                        }
                    }
                };
                // What has been heard would be heard twice.
                if heard {
                    Err(failed.error)?;
                    return;
                }
                let learnt = failed.refusal.and_then(|said| http.dialects.learn(&model, &said, &sent));
                if let Some(notice) = learnt {
                    sent = http.dialects.spoken(&model, &body);
                    text = sent.to_string();
                    yield ChatEvent::Notice(notice);
                    yield ChatEvent::Sent(text.clone());
                    continue;
                }
                let delay = failed.wait.unwrap_or_else(|| backoff(attempt));
                if !failed.may_pass || attempt >= http.retries || delay > LONGEST_WAIT {
                    Err(failed.error)?;
                    return;
                }
                attempt += 1;
                yield ChatEvent::Retry { reason: failed.error.to_string(), delay };
                tokio::time::sleep(delay).await;
            }
        })
    }
}

/// Reads an answer.
struct Answer<'h, D> {
    http: &'h Http,
    model: &'h str,
    response: Response,
    lines: Lines,
    /// The last line that was not blank.
    last: String,
    decoder: D,
    ready: VecDeque<ChatEvent>,
    failed: Option<Failed>,
    received: usize,
    told: usize,
    /// How long the end of the stream is waited for, once the model has finished.
    end: Option<Instant>,
    over: bool,
}

impl<'h, D: Decode> Answer<'h, D> {
    fn new(http: &'h Http, model: &'h str, response: Response, decoder: D) -> Answer<'h, D> {
        Answer {
            http,
            model,
            response,
            lines: Lines::default(),
            last: String::new(),
            decoder,
            ready: VecDeque::new(),
            failed: None,
            received: 0,
            told: 0,
            end: None,
            over: false,
        }
    }

    /// Returns the next event, or nothing after the last.
    async fn next(&mut self) -> Result<Option<ChatEvent>, Failed> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if let Some(failed) = self.failed.take() {
                return Err(failed);
            }
            if self.over {
                return Ok(None);
            }
            let (lines, failed) = self.read().await;
            self.over = self.decode(lines, failed);
        }
    }

    /// Waits for the next piece; returns the lines that it completes, and why none follow.
    async fn read(&mut self) -> (Vec<String>, Option<Failed>) {
        if self.decoder.is_finished() && self.end.is_none() {
            self.end = Some(Instant::now() + LINGER);
        }
        let left = self
            .end
            .map(|end| end.saturating_duration_since(Instant::now()));
        let patience = left.map_or(self.http.idle, |left| left.min(self.http.idle));
        // Before the first byte, nothing has been lost.
        let broken = |reason: String, received: usize| Failed {
            may_pass: received == 0,
            ..Failed::from(self.http.broken(reason))
        };
        match tokio::time::timeout(patience, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                self.received += chunk.len();
                match self.lines.push(&chunk) {
                    Ok(lines) => (lines, None),
                    Err(reason) => (Vec::new(), Some(broken(reason, self.received))),
                }
            }
            Ok(Ok(None)) => {
                let closed = "the connection closed before the answer ended".to_owned();
                let rest = self.lines.finish().into_iter().collect();
                (rest, Some(broken(closed, self.received)))
            }
            Ok(Err(error)) => (Vec::new(), Some(broken(reason(&error), self.received))),
            Err(_) => (Vec::new(), Some(self.http.stalled().into())),
        }
    }

    /// Turns lines into events; returns whether these are the last.
    fn decode(&mut self, lines: Vec<String>, mut failed: Option<Failed>) -> bool {
        for line in lines {
            let decoded = self.decoder.line(&line);
            if !line.trim().is_empty() {
                self.last = line;
            }
            match decoded {
                Ok(events) => self.ready.extend(events),
                Err(error) => {
                    failed = Some(self.undecodable(error));
                    break;
                }
            }
            if let Some(done) = self.ready.iter().position(is_done) {
                self.ready.truncate(done + 1);
                return true;
            }
        }
        self.told += self.ready.iter().map(weight).sum::<usize>();
        if self.told > LONGEST_ANSWER || self.received > LONGEST_STREAM {
            let longest = LONGEST_ANSWER >> 20;
            failed = Some(
                self.http
                    .broken(format!("it is longer than {longest} MiB"))
                    .into(),
            );
        }
        let Some(mut failed) = failed else {
            return false;
        };
        // A model that has finished is not failed by what the server does then.
        match self.decoder.end() {
            Ok(events) => self.ready.extend(events),
            Err(error) => failed = self.undecodable(error),
        }
        if !self.ready.back().is_some_and(is_done) {
            self.failed = Some(failed);
        }
        true
    }

    fn undecodable(&self, error: DecodeError) -> Failed {
        match error {
            DecodeError::Malformed(reason) => self.http.malformed(&reason, &self.last).into(),
            DecodeError::Reported(said) => reported(self.http.provider, self.model, said),
        }
    }
}

fn is_done(event: &ChatEvent) -> bool {
    matches!(event, ChatEvent::Done(_))
}

/// Returns how much of an answer an event holds, in bytes.
fn weight(event: &ChatEvent) -> usize {
    match event {
        ChatEvent::Text(text) | ChatEvent::Reasoning(text) => text.len(),
        _ => 0,
    }
}

/// Returns 250 ms, doubled with each attempt, and spread by half so that many clients do not come back at once.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(250 << attempt.min(8)).mul_f64(0.5 + fastrand::f64())
}
