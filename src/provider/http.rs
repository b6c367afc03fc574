//! HTTP as every server here wants it: JSON out and in, with time limits and errors that say what happened.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde_json::Value;

use super::dialect::Dialects;
use super::failure::{Failed, Refusal};
use super::said::read;
use super::secrets::Secrets;
use super::url::{is_loopback, shown};
use super::{ProviderError, Settings};
use crate::conversation::cut;

/// How long a question may take that a turn waits for.
const ASIDE: Duration = Duration::from_secs(3);
/// How long a list of models may take.
const LISTING: Duration = Duration::from_secs(10);

/// The longest document that is read, in bytes.
const LONGEST_DOCUMENT: usize = 16 << 20;
/// The most that is read of an error, in bytes.
const LONGEST_ERROR: usize = 64 << 10;

/// Speaks HTTP with one server.
#[derive(Clone)]
pub struct Http {
    pub provider: &'static str,
    client: Client,
    /// Without a slash at the end.
    base: String,
    /// What comes behind every path, with its question mark.
    query: String,
    /// `base` without what is secret in it.
    server: String,
    with_key: bool,
    /// The longest silence.
    pub idle: Duration,
    /// How often a request is tried again.
    pub retries: u32,
    /// What its models have refused.
    pub dialects: Dialects,
}

impl Http {
    /// Prepares to talk to the server at `base`.
    pub fn new(
        provider: &'static str,
        base: String,
        secrets: Secrets,
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
        let headers = secrets.headers()?;
        let mut client = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .user_agent(concat!("allm/", env!("CARGO_PKG_VERSION")))
            // What is said goes to the server that was chosen, and to no other that it names.
            .redirect(Policy::none());
        if is_loopback(&base) {
            client = client.no_proxy();
        }
        let with_key = headers.contains_key(AUTHORIZATION);
        let client = client.default_headers(headers).build();
        let client = client.map_err(|error| bad(reason(&error)))?;
        let (path, query) = match base.split_once('?') {
            Some((path, query)) => (path.trim_end_matches('/'), format!("?{query}")),
            None => (base.as_str(), String::new()),
        };
        Ok(Http {
            provider,
            client,
            server: shown(path),
            base: path.to_owned(),
            query,
            with_key,
            idle: settings.idle_timeout,
            retries: settings.retries,
            dialects: Dialects::default(),
        })
    }

    /// Returns which server this is, without anything secret.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Fetches a JSON document.
    pub async fn get_json(&self, path: &str) -> Result<Value, ProviderError> {
        let request = self.client.get(self.url(path));
        self.json(request.timeout(LISTING)).await
    }

    /// Fetches a JSON document for which a turn waits.
    pub async fn get_soon(&self, path: &str) -> Result<Value, ProviderError> {
        self.json(self.client.get(self.url(path)).timeout(ASIDE))
            .await
    }

    /// Fetches a small JSON document for which a turn waits; `path` begins where the server does, and not below `/v1`.
    pub async fn get_aside(&self, path: &str) -> Result<Value, ProviderError> {
        let root = self.base.strip_suffix("/v1").unwrap_or(&self.base);
        let request = self.client.get(format!("{root}{path}{}", self.query));
        self.json(request.timeout(ASIDE)).await
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value, ProviderError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unanswered(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response, "").await.error);
        }
        let (body, whole) = self.body(response, LONGEST_DOCUMENT).await;
        whole?;
        let text = String::from_utf8_lossy(&body);
        serde_json::from_str(&text).map_err(|error| self.malformed(&error.to_string(), &text))
    }

    /// Reads a body up to some length. Returns what has come, and whether that is all.
    async fn body(
        &self,
        response: Response,
        longest: usize,
    ) -> (Vec<u8>, Result<(), ProviderError>) {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        loop {
            match tokio::time::timeout(self.idle, chunks.next()).await {
                Ok(None) => return (body, Ok(())),
                Ok(Some(Ok(chunk))) => body.extend_from_slice(&chunk),
                Ok(Some(Err(error))) => return (body, Err(self.broken(reason(&error)))),
                Err(_) => return (body, Err(self.stalled())),
            }
            if body.len() > longest {
                let error = self.broken(format!("it is longer than {} kiB", longest >> 10));
                return (body, Err(error));
            }
        }
    }

    /// Posts a small JSON document and reads another.
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Value, ProviderError> {
        let request = self.client.post(self.url(path));
        self.json(request.json(body).timeout(ASIDE)).await
    }

    /// Sends the request once.
    pub async fn post(&self, path: &str, body: &str, model: &str) -> Result<Response, Failed> {
        let request = self
            .client
            .post(self.url(path))
            .header("content-type", "application/json")
            .body(body.to_owned());
        match tokio::time::timeout(self.idle, request.send()).await {
            Err(_) => Err(self.stalled().into()),
            Ok(Err(error)) => Err(Failed {
                may_pass: !error.is_timeout(),
                ..Failed::from(self.unanswered(&error))
            }),
            Ok(Ok(response)) if response.status().is_success() => Ok(response),
            Ok(Ok(response)) => Err(self.refused(response, model).await),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}{}", self.base, self.query)
    }

    fn unanswered(&self, error: &reqwest::Error) -> ProviderError {
        // What broke off had been reached.
        if !error.is_connect() && !error.is_timeout() && !error.is_builder() {
            return self.broken(reason(error));
        }
        ProviderError::Unreachable {
            provider: self.provider,
            url: self.server.clone(),
            reason: reason(error),
        }
    }

    pub fn stalled(&self) -> ProviderError {
        ProviderError::Stalled {
            provider: self.provider,
            seconds: self.idle.as_secs(),
        }
    }

    pub fn broken(&self, reason: String) -> ProviderError {
        ProviderError::Broken {
            provider: self.provider,
            reason,
        }
    }

    pub fn malformed(&self, reason: &str, line: &str) -> ProviderError {
        ProviderError::Malformed {
            provider: self.provider,
            reason: reason.to_owned(),
            line: cut(line, 200),
        }
    }

    /// Turns a response that is no success into an error with the server's own words.
    async fn refused(&self, response: Response, model: &str) -> Failed {
        let refusal = Refusal {
            provider: self.provider,
            model,
            status: response.status(),
            with_key: self.with_key,
        };
        let to = response.headers().get("location");
        if let (true, Some(to)) = (refusal.status.is_redirection(), to) {
            return Failed::from(ProviderError::Redirect {
                provider: self.provider,
                to: shown(&String::from_utf8_lossy(to.as_bytes())),
            });
        }
        let wait = response.headers().get("retry-after");
        let wait = wait.and_then(|value| wait_until(value.to_str().ok()?));
        let (body, _) = self.body(response, LONGEST_ERROR).await;
        let said = read(&String::from_utf8_lossy(&body));
        let failed = refusal.failed(said);
        Failed {
            wait: wait.or(failed.wait),
            ..failed
        }
    }
}

/// Reads how long a server wants to be left alone: seconds, or a date.
pub fn wait_until(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    // What has passed is no wait.
    Some((until.to_utc() - Utc::now()).to_std().unwrap_or_default())
}

/// Returns what is at the bottom of an error, without the number of the operating system.
pub fn reason(error: &reqwest::Error) -> String {
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
    fn a_wait_is_a_number_or_a_date() {
        assert_eq!(wait_until("2"), Some(Duration::from_secs(2)));
        assert_eq!(wait_until(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(wait_until("soon"), None);
        assert_eq!(wait_until("-1"), None);
        let past = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(wait_until(past), Some(Duration::ZERO));
        let soon = (Utc::now() + Duration::from_secs(20)).to_rfc2822();
        let soon = wait_until(&soon.replace("+0000", "GMT")).unwrap();
        assert!((18..=20).contains(&soon.as_secs()), "{soon:?}");
    }
}
