//! HTTP as every server here wants it: a JSON body out, lines in, with retries, time limits and errors that say what happened.

use std::time::Duration;

use futures::StreamExt;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::lines::Lines;
use super::url::{is_loopback, shown};
use super::{ChatEvent, ChatStream, ProviderError, Settings};
use crate::conversation::cut;

/// The longest wait that a server may ask for before a request is tried again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long a question may take that a turn waits for.
const ASIDE: Duration = Duration::from_secs(3);
/// How long a list of models may take.
const LISTING: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; a server that sends more does not end.
const LONGEST_ANSWER: usize = 16 << 20;

/// Turns the lines of an answer into events.
pub trait Decode: Send + 'static {
    /// Decodes one line.
    fn line(&mut self, line: &str) -> Result<Vec<ChatEvent>, DecodeError>;
    /// Returns what is left when the server has closed the connection.
    fn end(&mut self) -> Vec<ChatEvent>;
}

/// Says why a line could not be decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum DecodeError {
    Malformed(String),
    /// The line carries the server's own error.
    Reported(String),
}

/// Speaks HTTP with one server.
#[derive(Clone)]
pub struct Http {
    provider: &'static str,
    client: Client,
    /// Without a slash at the end.
    base: String,
    key: Option<String>,
    idle: Duration,
    retries: u32,
}

impl Http {
    /// Prepares to talk to the server at `base`.
    pub fn new(
        provider: &'static str,
        base: String,
        key: Option<String>,
        settings: &Settings,
    ) -> Result<Http, ProviderError> {
        let bad = |reason: String| ProviderError::BadUrl {
            url: shown(&base),
            reason,
        };
        let url = Url::parse(&base).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it must begin with http:// or https://".to_owned()));
        }
        let mut client = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .user_agent(concat!("allm/", env!("CARGO_PKG_VERSION")))
            // What is said goes to the server that was chosen, and to no other that it names.
            .redirect(Policy::none());
        if is_loopback(&base) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| bad(reason(&error)))?;
        Ok(Http {
            provider,
            client,
            base,
            key,
            idle: settings.idle_timeout,
            retries: settings.retries,
        })
    }

    /// Fetches a JSON document.
    pub async fn get_json(&self, path: &str) -> Result<Value, ProviderError> {
        let request = self.client.get(format!("{}{path}", self.base));
        self.json(self.signed(request.timeout(LISTING))).await
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, ProviderError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response, "").await);
        }
        let broken = |error: reqwest::Error| ProviderError::Broken {
            provider: self.provider,
            reason: reason(&error),
        };
        let text = response.text().await.map_err(broken)?;
        serde_json::from_str(&text).map_err(|error| self.malformed(&error.to_string(), &text))
    }

    /// Posts a small JSON document and reads another.
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Value, ProviderError> {
        let request = self.client.post(format!("{}{path}", self.base));
        self.json(self.signed(request.json(body).timeout(ASIDE)))
            .await
    }

    /// Sends `body` and decodes the answer as it comes.
    pub fn stream(
        &self,
        path: &str,
        body: String,
        model: String,
        mut decoder: impl Decode,
    ) -> ChatStream {
        let http = self.clone();
        let url = format!("{}{path}", self.base);
        Box::pin(async_stream::try_stream! {
            yield ChatEvent::Sent(body.clone());
            let mut attempt = 0;
            let response = loop {
                match http.post(&url, &body, &model).await {
                    Ok(response) => break response,
                    Err((error, wait)) => {
                        let delay = wait.filter(|_| attempt < http.retries).map(|wait| wait.unwrap_or_else(|| backoff(attempt)));
                        let Some(delay) = delay.filter(|delay| *delay <= LONGEST_WAIT) else { Err(error)?; return };
                        attempt += 1;
                        yield ChatEvent::Retry { reason: error.to_string(), delay };
                        tokio::time::sleep(delay).await;
                    }
                }
            };
            let mut chunks = response.bytes_stream();
            let mut lines = Lines::default();
            let mut received = 0;
            loop {
                let chunk = tokio::time::timeout(http.idle, chunks.next()).await.map_err(|_| http.stalled())?;
                let complete = match &chunk {
                    Some(Ok(chunk)) => {
                        received += chunk.len();
                        lines.push(chunk).map_err(|reason| http.broken(reason))?
                    }
                    Some(Err(error)) => Err(http.broken(reason(error)))?,
                    None => lines.finish().into_iter().collect(),
                };
                if received > LONGEST_ANSWER {
                    Err(http.broken(format!("it is longer than {} MiB", LONGEST_ANSWER >> 20)))?;
                }
                for line in complete {
                    let events = decoder.line(&line).map_err(|error| match error {
                        DecodeError::Malformed(reason) => http.malformed(&reason, &line),
                        DecodeError::Reported(message) => ProviderError::Reported { provider: http.provider, message },
                    })?;
                    for event in events {
                        let done = matches!(event, ChatEvent::Done(_));
                        yield event;
                        if done {
                            return;
                        }
                    }
                }
                if chunk.is_none() {
                    break;
                }
            }
            let rest = decoder.end();
            let whole = rest.iter().any(|event| matches!(event, ChatEvent::Done(_)));
            for event in rest {
                yield event;
            }
            if !whole {
                Err(http.broken("the connection closed before the answer ended".to_owned()))?;
            }
        })
    }

    /// Sends the request once. With an error comes whether it may be tried again, and after what wait the server asks for.
    async fn post(
        &self,
        url: &str,
        body: &str,
        model: &str,
    ) -> Result<Response, (ProviderError, Option<Option<Duration>>)> {
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let sent = tokio::time::timeout(self.idle, self.signed(request).send()).await;
        let response = match sent {
            Err(_) => return Err((self.stalled(), None)),
            Ok(Err(error)) => {
                let again = error.is_connect() && !error.is_timeout();
                return Err((self.unreachable(&error), again.then_some(None)));
            }
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let busy = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        Err((
            self.refused(response, model).await,
            busy.then_some(wait.map(Duration::from_secs)),
        ))
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ProviderError {
        ProviderError::Unreachable {
            provider: self.provider,
            url: shown(&self.base),
            reason: reason(error),
        }
    }

    fn stalled(&self) -> ProviderError {
        ProviderError::Stalled {
            provider: self.provider,
            seconds: self.idle.as_secs(),
        }
    }

    fn broken(&self, reason: String) -> ProviderError {
        ProviderError::Broken {
            provider: self.provider,
            reason,
        }
    }

    fn malformed(&self, reason: &str, line: &str) -> ProviderError {
        ProviderError::Malformed {
            provider: self.provider,
            reason: reason.to_owned(),
            line: cut(line, 200),
        }
    }

    /// Turns a response that is no success into an error with the server's own words.
    async fn refused(&self, response: Response, model: &str) -> ProviderError {
        const LONGEST: usize = 64 << 10;
        let (provider, status) = (self.provider, response.status());
        let to = response.headers().get("location");
        if let (true, Some(to)) = (status.is_redirection(), to) {
            let to = shown(&String::from_utf8_lossy(to.as_bytes()));
            return ProviderError::Redirect { provider, to };
        }
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout(self.idle, chunks.next()).await {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                break;
            }
        }
        let message = message(&String::from_utf8_lossy(&body)).unwrap_or_else(|| {
            status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned()
        });
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                ProviderError::Unauthorized { provider, message }
            }
            StatusCode::NOT_FOUND
                if !model.is_empty()
                    && message.contains("model")
                    && !refuses_tools(status, &message) =>
            {
                ProviderError::NoSuchModel {
                    provider,
                    model: model.to_owned(),
                    message,
                }
            }
            _ if refuses_tools(status, &message) => ProviderError::NoTools {
                provider,
                model: model.to_owned(),
                message,
            },
            _ => ProviderError::Status {
                provider,
                status: status.as_u16(),
                message,
            },
        }
    }
}

/// Returns whether a server refused a request for the tools in it: `… does not support tools` (Ollama), `tools param requires --jinja
/// flag` (llama.cpp), `"auto" tool choice requires --enable-auto-tool-choice` (vLLM), `No endpoints found that support tool use`.
fn refuses_tools(status: StatusCode, message: &str) -> bool {
    let message = message.to_lowercase();
    matches!(status.as_u16(), 400 | 404 | 422 | 500 | 501)
        && message.contains("tool")
        && ["support", "require", "not enabled"]
            .iter()
            .any(|word| message.contains(word))
}

/// Finds the message in an error body: `{"error": "…"}`, `{"error": {"message": "…"}}`, `{"message": "…"}`, or plain text.
fn message(body: &str) -> Option<String> {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let found = json.as_ref().and_then(|json| {
        let error = &json["error"];
        [error, &error["message"], &json["message"]]
            .into_iter()
            .find_map(Value::as_str)
    });
    let text = cut(found.unwrap_or(body).trim(), 300);
    (!text.is_empty()).then_some(text)
}

/// Returns 250 ms, doubled with each attempt, and spread by half so that many clients do not come back at once.
fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(250 << attempt.min(8)).mul_f64(0.5 + fastrand::f64())
}

/// Returns what is at the bottom of an error, without the number of the operating system.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = match innermost.source().is_none() && std::ptr::addr_eq(innermost, error) {
        // The outermost error names the URL, credentials and all.
        true => "the request failed".to_owned(),
        false => innermost.to_string(),
    };
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_message_is_found() {
        for body in [
            r#"{"error":"no"}"#,
            r#"{"error":{"message":"no"}}"#,
            r#"{"message":"no"}"#,
            " no\n",
        ] {
            assert_eq!(message(body).as_deref(), Some("no"), "{body}");
        }
        assert_eq!(message(""), None);
    }
}
