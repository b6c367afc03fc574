//! Speaks to a receiver of spans: OTLP over HTTP.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::time::Duration;

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;

use super::wire;
use crate::provider::{is_loopback, read_refusal, reason, shown, wait_until};
use crate::store::Hinted;

/// How often a request is sent to a receiver that is busy, and the longest wait that it may ask for.
const TRIES: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// Says how spans are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    #[value(name = "http/protobuf")]
    Protobuf,
    #[value(name = "http/json")]
    Json,
}

/// Says where a receiver is.
pub enum Address<'a> {
    /// What the path of traces is put after.
    Base(&'a str),
    /// The place itself.
    Whole(&'a str),
}

/// Takes spans.
pub struct Receiver {
    url: Url,
    protocol: Protocol,
    client: Client,
}

impl Receiver {
    /// Prepares to send to a receiver, with headers as `OTEL_EXPORTER_OTLP_HEADERS` holds them.
    pub fn new(
        address: &Address,
        protocol: Protocol,
        headers: &str,
        timeout: Duration,
    ) -> Result<Self> {
        let url = endpoint(address)?;
        let mut client = Client::builder()
            .timeout(timeout)
            .user_agent(concat!("allm/", env!("CARGO_PKG_VERSION")))
            .default_headers(read_headers(headers)?)
            // What was said goes to the receiver that was named, and to no other that it names.
            .redirect(Policy::none());
        if is_loopback(url.as_str()) {
            client = client.no_proxy();
        }
        let client = client.build().context("cannot prepare to send spans")?;
        Ok(Self {
            url,
            protocol,
            client,
        })
    }

    /// Returns the URL as it may be shown.
    pub fn shown(&self) -> String {
        shown(self.url.as_str())
    }

    /// Sends a request until the receiver takes it. Returns how many spans it rejects, and what it says.
    pub async fn post(&self, request: Vec<u8>, say: &dyn Fn(&str)) -> Result<(usize, String)> {
        let (kind, body) = match self.protocol {
            Protocol::Protobuf => ("application/x-protobuf", request),
            Protocol::Json => {
                let request = wire::Request::decode(&*request)?;
                ("application/json", serde_json::to_vec(&request)?)
            }
        };
        let (mut tries, mut pause) = (0, Duration::from_secs(1));
        loop {
            tries += 1;
            let request = self
                .client
                .post(self.url.clone())
                .header(CONTENT_TYPE, kind);
            let sent = request.body(body.clone()).send().await;
            let response = sent.map_err(|error| self.failed(&reason(&error), UNREACHABLE))?;
            let status = response.status();
            let wait = response.headers().get(RETRY_AFTER);
            let wait = wait.and_then(|value| wait_until(value.to_str().ok()?));
            let answer = Answer::read(response).await;
            if status.is_success() {
                return Ok(answer.rejected());
            }
            if tries == TRIES || ![429, 502, 503, 504].contains(&status.as_u16()) {
                return Err(self.refused(status, &answer));
            }
            let wait = wait.unwrap_or(pause).min(LONGEST_WAIT);
            say(&format!(
                "the receiver is busy ({}), trying again in {} s",
                status.as_u16(),
                wait.as_secs()
            ));
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    fn refused(&self, status: StatusCode, answer: &Answer) -> anyhow::Error {
        let hint = match (status.as_u16(), self.protocol) {
            (401 | 403, _) => {
                "put what it asks for into `OTEL_EXPORTER_OTLP_HEADERS`, such as `authorization=Bearer%20…`"
            }
            (404 | 405, _) => {
                "check the URL: `/v1/traces` is put after it, but for that in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`"
            }
            (413, _) => "allow it longer requests",
            (415, Protocol::Protobuf) => "it may take JSON: `--otlp-protocol http/json`",
            (415, Protocol::Json) => "it may take protobuf: `--otlp-protocol http/protobuf`",
            (300..=399, _) => "it names another address: give that one",
            _ => "spans that it has already are the same when they are sent again",
        };
        let said = answer.refusal();
        let colon = if said.is_empty() { "" } else { ": " };
        let code = status.as_u16();
        self.failed(&format!("it answered {code}{colon}{said}"), hint)
    }

    fn failed(&self, why: &str, hint: &str) -> anyhow::Error {
        anyhow::Error::new(Hinted {
            message: format!("cannot send spans to `{}`: {why}", self.shown()),
            hint: hint.to_owned(),
        })
    }
}

const UNREACHABLE: &str =
    "is a receiver running there? OTLP over HTTP mostly has port 4318; 4317 is for gRPC";

/// Holds what a receiver answered.
struct Answer {
    is_json: bool,
    is_protobuf: bool,
    body: Vec<u8>,
}

impl Answer {
    async fn read(mut response: Response) -> Self {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let is = |name: &str| kind.is_some_and(|kind| kind.contains(name));
        let (is_json, is_protobuf) = (is("json"), is("protobuf"));
        let mut body = Vec::new();
        // The status says what counts.
        while let Ok(Some(chunk)) = response.chunk().await
            && body.len() < LONGEST_ANSWER
        {
            body.extend_from_slice(&chunk);
        }
        Self {
            is_json,
            is_protobuf,
            body,
        }
    }

    /// Returns how many spans were not taken though the rest was, and why.
    fn rejected(&self) -> (usize, String) {
        let (rejected, said) = if self.is_json {
            let answer: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            let partial = &answer["partialSuccess"];
            let count = &partial["rejectedSpans"];
            let written = count.as_str().and_then(|count| count.parse().ok());
            let said = partial["errorMessage"].as_str().unwrap_or_default();
            (
                count.as_i64().or(written).unwrap_or_default(),
                said.to_owned(),
            )
        } else {
            let answer = wire::Response::decode(&*self.body).unwrap_or_default();
            let partial = answer.partial_success.unwrap_or_default();
            (partial.rejected_spans, partial.error_message)
        };
        (usize::try_from(rejected).unwrap_or_default(), said)
    }

    /// Returns why nothing was taken, as far as it is said.
    fn refusal(&self) -> String {
        if self.is_protobuf {
            return wire::Refusal::decode(&*self.body)
                .unwrap_or_default()
                .message;
        }
        read_refusal(&String::from_utf8_lossy(&self.body)).shown()
    }
}

/// Completes the URL of a receiver.
fn endpoint(address: &Address) -> Result<Url> {
    const PATH: &str = "/v1/traces";
    let (Address::Base(given) | Address::Whole(given)) = address;
    let given = given.trim();
    let whole = if given.contains("://") {
        given.to_owned()
    } else {
        format!("http://{given}")
    };
    let bad = |why: String| Hinted {
        message: format!("`{}` is no URL of a receiver: {why}", shown(given)),
        hint: "name one such as `http://127.0.0.1:4318`".to_owned(),
    };
    let mut url = Url::parse(&whole).map_err(|error| bad(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://".to_owned()).into());
    }
    if let Address::Base(_) = address {
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(PATH).unwrap_or(path);
        url.set_path(&format!("{path}{PATH}"));
    }
    Ok(url)
}

/// Reads headers: `name=value`, separated by commas, the values percent-encoded. What they say is shown nowhere: they hold keys.
fn read_headers(text: &str) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let bad = |what: &str| Hinted {
            message: format!("cannot use the headers in `OTEL_EXPORTER_OTLP_HEADERS`: {what}"),
            hint: "they are written `name=value`, separated by commas".to_owned(),
        };
        let (name, value) = pair.split_once('=').ok_or_else(|| bad("one has no `=`"))?;
        let name = name.trim();
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let value = HeaderValue::from_bytes(&value);
        let mut value = value.map_err(|_| bad(&format!("`{name}` has a value that is none")))?;
        value.set_sensitive(true);
        let named = HeaderName::from_bytes(name.as_bytes());
        headers.insert(
            named.map_err(|_| bad(&format!("`{name}` is no name")))?,
            value,
        );
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_the_path_of_traces_once() {
        for (base, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://host/otel/?a=b", "https://host/otel/v1/traces?a=b"),
            ("http://host/v1/traces/", "http://host/v1/traces"),
        ] {
            assert_eq!(endpoint(&Address::Base(base)).unwrap().as_str(), expected);
        }
        let whole = endpoint(&Address::Whole("http://host/traces"));
        assert_eq!(whole.unwrap().as_str(), "http://host/traces");
        for base in ["grpc://host:4317", "http://", ""] {
            assert!(endpoint(&Address::Base(base)).is_err(), "{base}");
        }
    }

    #[test]
    fn headers_are_pairs_and_their_values_are_never_shown() {
        let headers = read_headers("authorization=Bearer%20a=b , x-key=1,").unwrap();
        assert_eq!(headers["authorization"], "Bearer a=b");
        assert_eq!(headers["x-key"], "1");
        for text in ["secret", "a b=secret", "x=secret%0A"] {
            let error = format!("{:#}", read_headers(text).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
