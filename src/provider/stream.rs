//! An answer as it comes: a request is sent, again where that may help, and lines become events until the model has said all.

use std::time::{Duration, Instant};

use futures::StreamExt;

use super::failure::reported;
use super::http::{Http, reason};
use super::lines::Lines;
use super::said::Said;
use super::{ChatEvent, ChatStream, ProviderError};

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
    /// Sends `body` and decodes the answer as it comes.
    pub fn stream(
        &self,
        path: &str,
        body: String,
        model: String,
        mut decoder: impl Decode,
    ) -> ChatStream {
        let http = self.clone();
        let path = path.to_owned();
        Box::pin(async_stream::try_stream! {
            yield ChatEvent::Sent(body.clone());
            let mut attempt = 0;
            let response = loop {
                match http.post(&path, &body, &model).await {
                    Ok(response) => break response,
                    Err(failed) => {
                        let delay = failed.wait.unwrap_or_else(|| backoff(attempt));
                        if !failed.may_pass || attempt >= http.retries || delay > LONGEST_WAIT {
                            Err(failed.error)?;
                            return;
                        }
                        attempt += 1;
                        yield ChatEvent::Retry { reason: failed.error.to_string(), delay };
                        tokio::time::sleep(delay).await;
                    }
                }
            };
            let mut chunks = response.bytes_stream();
            let mut lines = Lines::default();
            let (mut received, mut told) = (0, 0);
            let mut end: Option<Instant> = None;
            let mut last = String::new();
            loop {
                if decoder.is_finished() && end.is_none() {
                    end = Some(Instant::now() + LINGER);
                }
                let left = end.map(|end| end.saturating_duration_since(Instant::now()));
                let patience = left.map_or(http.idle, |left| left.min(http.idle));
                let (complete, mut failure) = match tokio::time::timeout(patience, chunks.next()).await {
                    Ok(Some(Ok(chunk))) => {
                        received += chunk.len();
                        lines.push(&chunk).map_or_else(
                            |reason| (Vec::new(), Some(http.broken(reason))),
                            |lines| (lines, None),
                        )
                    }
                    Ok(Some(Err(error))) => (Vec::new(), Some(http.broken(reason(&error)))),
                    Ok(None) => {
                        let closed = http.broken("the connection closed before the answer ended".to_owned());
                        (lines.finish().into_iter().collect(), Some(closed))
                    }
                    Err(_) => (Vec::new(), Some(http.stalled())),
                };
                for line in complete {
                    let decoded = decoder.line(&line);
                    if !line.trim().is_empty() {
                        last = line;
                    }
                    let events = match decoded {
                        Ok(events) => events,
                        Err(error) => {
                            failure = Some(http.undecodable(error, &last));
                            break;
                        }
                    };
                    for event in events {
                        told += weight(&event);
                        let done = matches!(event, ChatEvent::Done(_));
                        yield event;
                        if done {
                            return;
                        }
                    }
                }
                if told > LONGEST_ANSWER || received > LONGEST_STREAM {
                    let longest = LONGEST_ANSWER >> 20;
                    failure = Some(http.broken(format!("it is longer than {longest} MiB")));
                }
                let Some(mut failure) = failure else { continue };
                // A model that has finished is not failed by what the server does then.
                let rest = decoder.end().unwrap_or_else(|error| {
                    failure = http.undecodable(error, &last);
                    Vec::new()
                });
                let whole = matches!(rest.last(), Some(ChatEvent::Done(_)));
                for event in rest {
                    yield event;
                }
                if !whole {
                    Err(failure)?;
                }
                return;
            }
        })
    }
}

impl Http {
    fn undecodable(&self, error: DecodeError, line: &str) -> ProviderError {
        match error {
            DecodeError::Malformed(reason) => self.malformed(&reason, line),
            DecodeError::Reported(said) => reported(self.provider, said),
        }
    }
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
