//! Refusals and failures as errors, and whether another request may fare better.

use std::time::Duration;

use reqwest::StatusCode;

use super::ProviderError;
use super::meaning::meant;
use super::said::Said;

/// Is a response that is no success.
pub struct Refusal<'r> {
    pub provider: &'static str,
    pub model: &'r str,
    pub status: StatusCode,
    /// Whether a key was sent.
    pub with_key: bool,
}

/// Says why a request was not answered, whether it may be if it is sent again, and when the server wants it.
pub struct Failed {
    pub error: ProviderError,
    pub may_pass: bool,
    pub wait: Option<Duration>,
    /// What the server does not like about the request, where it may take another.
    pub refusal: Option<Said>,
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Failed {
        Failed {
            error,
            may_pass: false,
            wait: None,
            refusal: None,
        }
    }
}

impl Refusal<'_> {
    /// Returns what is to be done about what the server says.
    pub fn failed(&self, said: Said) -> Failed {
        let error = self.error(&said);
        let is_open = matches!(error, ProviderError::Status { .. });
        let is_tools = matches!(error, ProviderError::NoTools { .. });
        Failed {
            may_pass: is_open && matches!(self.status.as_u16(), 408 | 409 | 429 | 500 | 502..),
            wait: said.wait,
            refusal: Some(said).filter(|_| {
                (is_open || is_tools) && matches!(self.status.as_u16(), 400 | 422 | 424 | 500 | 501)
            }),
            error,
        }
    }

    /// Returns what the server means.
    fn error(&self, said: &Said) -> ProviderError {
        let (provider, status) = (self.provider, self.status);
        let message = match said.message.is_empty() {
            true => status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_owned(),
            false => said.shown(),
        };
        if let Some(error) = meant(provider, self.model, status, said, &message) {
            return error;
        }
        match status {
            StatusCode::UNAUTHORIZED if self.with_key => {
                ProviderError::Unauthorized { provider, message }
            }
            _ => ProviderError::Status {
                provider,
                status: status.as_u16(),
                message,
            },
        }
    }
}

/// Returns what an error means that comes instead of an answer, or within one.
pub fn reported(provider: &'static str, model: &str, said: Said) -> Failed {
    let message = said.shown();
    match meant(provider, model, StatusCode::BAD_REQUEST, &said, &message) {
        Some(error) => error.into(),
        None => Failed {
            refusal: Some(said),
            ..Failed::from(ProviderError::Reported { provider, message })
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::said::read;

    #[test]
    fn only_a_key_that_was_sent_is_refused() {
        let error = |status: u16, with_key: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal {
                provider: "the server",
                model: "m",
                status,
                with_key,
            };
            refusal.error(&Said::from("no"))
        };
        assert!(matches!(
            error(401, true),
            ProviderError::Unauthorized { .. }
        ));
        for (status, with_key) in [(401, false), (403, true), (403, false)] {
            assert!(matches!(
                error(status, with_key),
                ProviderError::Status { .. }
            ));
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let may_pass = |status: u16, body: &str| {
            let refusal = Refusal {
                provider: "the server",
                model: "m",
                status: StatusCode::from_u16(status).unwrap(),
                with_key: true,
            };
            refusal.failed(read(body)).may_pass
        };
        for status in [408, 409, 429, 500, 502, 503, 504, 520, 529] {
            assert!(may_pass(status, "busy"), "{status}");
        }
        let limited = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","details":[{"retryDelay":"17s"}]}}"#;
        assert!(may_pass(429, limited));
        for (status, body) in [
            (400, "no"),
            (404, "no"),
            (501, "no"),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            ),
            (402, "no"),
            (
                429,
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            (403, "Insufficient Balance"),
            (400, "Your credit balance is too low to access the API"),
            (500, "tools param requires --jinja flag"),
            (500, "the request exceeds the available context size"),
        ] {
            assert!(!may_pass(status, body), "{status} {body}");
        }
    }
}
