//! Speaks to a model: requests in, a stream of events out, one file per wire format.

mod connect;
mod http;
mod lines;
mod offline;
mod ollama;
mod openai;
mod url;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::conversation::{Message, ToolCall, ToolSpec, Usage};

pub use connect::connect;
pub use offline::Offline;
pub use ollama::Ollama;
pub use openai::OpenAi;

/// Speaks to one server, or to none.
pub trait Provider: Send + Sync {
    /// Returns the name that is stored beside each turn.
    fn name(&self) -> &'static str;
    /// Asks the model. Dropping the stream closes the connection.
    fn chat(&self, request: ChatRequest) -> ChatStream;
    /// Lists the models that the server offers.
    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, ProviderError>>;
    /// Returns whether the model can call tools in the way of the API, if the server says so.
    fn calls_tools<'p>(&'p self, _model: &'p str) -> BoxFuture<'p, Option<bool>> {
        Box::pin(async { None })
    }
}

pub type ChatStream = BoxStream<'static, Result<ChatEvent, ProviderError>>;

/// Holds what is asked of a model.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    pub options: Options,
    /// Texts at which the model is to stop.
    pub stop: Vec<String>,
    /// A JSON schema that the answer is to fit.
    pub format: Option<serde_json::Value>,
}

/// Holds how a model is to answer; what is `None` is left to the server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub seed: Option<i64>,
    pub top_p: Option<f64>,
    /// The model's window in tokens.
    pub context_window: u32,
}

/// Reports what happens while a model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// The exact body of the request, first of all events; absent where nothing is sent.
    Sent(String),
    /// The request is tried again after this delay, for this reason.
    Retry {
        reason: String,
        delay: Duration,
    },
    Text(String),
    Reasoning(String),
    ToolCall(ToolCall),
    /// The answer is complete; last of all events.
    Done(Option<Usage>),
}

/// Says which provider to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Auto,
    Ollama,
    OpenAi,
    Offline,
}

/// Holds where and how to connect.
#[derive(Debug, Clone)]
pub struct Settings {
    pub kind: Kind,
    /// Overrides both of the next two.
    pub base_url: Option<String>,
    pub ollama_url: String,
    pub openai_url: String,
    pub openai_key: Option<String>,
    pub connect_timeout: Duration,
    /// The longest silence while an answer streams.
    pub idle_timeout: Duration,
    /// How often a request is tried again before its first byte has come.
    pub retries: u32,
}

/// Says why a provider did not answer; [`ProviderError::hint`] says what to do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProviderError {
    #[error("cannot reach {provider} at `{url}`: {reason}")]
    Unreachable {
        provider: &'static str,
        url: String,
        reason: String,
    },
    #[error("{provider} has no model `{model}`: {message}")]
    NoSuchModel {
        provider: &'static str,
        model: String,
        message: String,
    },
    /// The model, or the server for it, takes no tools; ask without them.
    #[error("{provider} offers `{model}` no tools: {message}")]
    NoTools {
        provider: &'static str,
        model: String,
        message: String,
    },
    #[error("{provider} has no model")]
    NoModel { provider: &'static str },
    #[error("{provider} refused the key: {message}")]
    Unauthorized {
        provider: &'static str,
        message: String,
    },
    #[error("`{url}` wants a key, and `OPENAI_API_KEY` is not set")]
    NoKey { url: String },
    #[error("{provider} sends you on to `{to}`")]
    Redirect { provider: &'static str, to: String },
    #[error("{provider} answered {status}: {message}")]
    Status {
        provider: &'static str,
        status: u16,
        message: String,
    },
    #[error("{provider} reported: {message}")]
    Reported {
        provider: &'static str,
        message: String,
    },
    #[error("the answer of {provider} broke off: {reason}")]
    Broken {
        provider: &'static str,
        reason: String,
    },
    #[error("{provider} was silent for {seconds} s")]
    Stalled {
        provider: &'static str,
        seconds: u64,
    },
    #[error("cannot read what {provider} sent: {reason}: `{line}`")]
    Malformed {
        provider: &'static str,
        reason: String,
        line: String,
    },
    #[error("`{url}` is not a base URL: {reason}")]
    BadUrl { url: String, reason: String },
}

/// Holds the provider that [`connect`] found.
pub struct Connected {
    pub provider: Arc<dyn Provider>,
    /// What the person should know about the choice.
    pub notice: Option<String>,
}

impl ProviderError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ProviderError::Unreachable {
                provider: "Ollama", ..
            } => "start it with `ollama serve`, or choose another provider with `--provider`"
                .to_owned(),
            ProviderError::Unreachable { .. } | ProviderError::BadUrl { .. } => {
                "check `--base-url`, or choose another provider with `--provider`".to_owned()
            }
            ProviderError::NoSuchModel {
                provider: "Ollama",
                model,
                ..
            } => {
                format!("fetch it with `ollama pull {model}`, or list what is there with `/model`")
            }
            ProviderError::NoSuchModel { .. } => "list what is there with `/model`".to_owned(),
            ProviderError::NoTools { .. } => {
                "let it write its calls as text with `--react text`, or none with `--no-tools`"
                    .to_owned()
            }
            ProviderError::NoModel { provider: "Ollama" } => {
                "fetch one with `ollama pull llama3.2`".to_owned()
            }
            ProviderError::NoModel { .. } => "name one with `--model`".to_owned(),
            ProviderError::Unauthorized { .. } => "check the key in `OPENAI_API_KEY`".to_owned(),
            ProviderError::NoKey { .. } => {
                "set `OPENAI_API_KEY`, or choose another provider with `--provider`".to_owned()
            }
            ProviderError::Stalled { .. } => {
                "raise `idle_timeout_s` in config.toml if the model is only slow".to_owned()
            }
            ProviderError::Redirect { .. } => {
                "what you say goes to no other server unless you name it with `--base-url`"
                    .to_owned()
            }
            ProviderError::Status { status: 429, .. } => {
                "the server limits how often it may be asked; wait and try again".to_owned()
            }
            ProviderError::Malformed { .. } => {
                "check that `--base-url` and `--provider` fit together".to_owned()
            }
            ProviderError::Status { .. }
            | ProviderError::Reported { .. }
            | ProviderError::Broken { .. } => return None,
        })
    }
}

/// Returns tools in the form that both APIs take.
fn offered(tools: &[ToolSpec]) -> serde_json::Value {
    tools
        .iter()
        .map(|tool| serde_json::json!({"type": "function", "function": tool}))
        .collect()
}

#[cfg(test)]
mod testing {
    use super::ChatEvent;
    use super::http::Decode;
    use super::lines::Lines;

    /// Checks that a recorded answer decodes to the same events whole and cut at every byte.
    #[track_caller]
    pub fn check<D: Decode>(recorded: &str, decoder: impl Fn() -> D, expected: &[ChatEvent]) {
        for cut in 0..=recorded.len() {
            let (mut lines, mut decoder, mut events) = (Lines::default(), decoder(), Vec::new());
            for chunk in [&recorded.as_bytes()[..cut], &recorded.as_bytes()[cut..]] {
                for line in lines.push(chunk).unwrap() {
                    events.extend(decoder.line(&line).unwrap());
                }
            }
            if let Some(line) = lines.finish() {
                events.extend(decoder.line(&line).unwrap());
            }
            if !events
                .iter()
                .any(|event| matches!(event, ChatEvent::Done(_)))
            {
                events.extend(decoder.end());
            }
            assert_eq!(events, expected, "cut at byte {cut}");
        }
    }
}
