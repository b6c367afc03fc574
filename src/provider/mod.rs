//! Speaks to a model: requests in, a stream of events out, one file per wire format.

mod attached;
mod calls;
mod connect;
mod dialect;
mod error;
mod failure;
mod host;
mod http;
mod lines;
mod meaning;
mod offline;
mod ollama;
mod openai;
mod said;
mod secrets;
mod stream;
#[cfg(test)]
mod testing;
mod told;
mod url;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::conversation::{Attached, Finish, Message, ToolCall, ToolSpec, Usage};

pub use calls::{fresh_id, read as read_arguments};
pub use connect::connect;
pub use error::ProviderError;
pub use http::{reason, wait_until};
pub use offline::Offline;
pub use ollama::Ollama;
pub use openai::OpenAi;
pub use said::read as read_refusal;
pub use told::{Told, is_called_otherwise};
pub use url::{is_loopback, shown};

/// Speaks to one server, or to none.
pub trait Provider: Send + Sync {
    /// Returns the name that is stored beside each turn.
    fn name(&self) -> &'static str;
    /// Returns which server it is, without anything secret: what this one attached to a message goes back to this one alone.
    fn server(&self) -> &str {
        self.name()
    }
    /// Asks the model. Dropping the stream closes the connection.
    fn chat(&self, request: ChatRequest) -> ChatStream;
    /// Lists the models that the server offers.
    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, ProviderError>>;
    /// Returns what the server tells of a model. It is asked once, for a short while, and never fails.
    fn told<'p>(&'p self, _model: &'p str) -> BoxFuture<'p, Told> {
        Box::pin(async { Told::default() })
    }
}

/// Returns whether a server that lists these models has one of this name: Ollama takes `llama3.2` for `llama3.2:latest`, and Gemini
/// leaves out its `models/`.
pub fn is_listed(model: &str, models: &[String]) -> bool {
    let names = |listed: &String| {
        let listed = listed.strip_prefix("models/").unwrap_or(listed);
        listed == model || listed.strip_suffix(":latest") == Some(model)
    };
    models.iter().any(|listed| listed == model || names(listed))
}

pub type ChatStream = BoxStream<'static, Result<ChatEvent, ProviderError>>;

/// Holds what is asked of a model.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    /// Whether the model may call the tools; else they only explain the calls among the messages.
    pub may_call: bool,
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
    pub think: Option<Think>,
    /// The model's window in tokens.
    pub context_window: u32,
}

/// Says whether a model is to think before it answers, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Think {
    On,
    Off,
    Low,
    Medium,
    High,
}

/// Reports what happens while a model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatEvent {
    /// The exact body of the request, first of all events, and of another that takes its place; absent where nothing is sent.
    Sent(String),
    /// What the person should know of how the model is asked.
    Notice(String),
    /// The request is tried again after this delay, for this reason.
    Retry {
        reason: String,
        delay: Duration,
    },
    Text(String),
    Reasoning(String),
    ToolCall(ToolCall),
    /// The answer is complete; last of all events.
    Done(End),
}

/// Holds what a server tells of an answer that is complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct End {
    pub usage: Option<Usage>,
    /// Why the model stopped, if that was said.
    pub finish: Option<Finish>,
    /// The model that answered, as the server calls it; empty where it does not say.
    pub model: String,
    /// What is to go back with the message.
    pub attached: Attached,
}

/// Says which provider to connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Auto,
    Ollama,
    OpenAi,
    Offline,
}

/// Holds where and how to connect.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub kind: Kind,
    /// Overrides both of the next two.
    pub base_url: Option<String>,
    pub ollama_url: String,
    pub openai_url: String,
    pub openai_key: Option<String>,
    pub ollama_key: Option<String>,
    /// More headers of each request, by name: for gateways.
    pub openai_headers: Vec<(String, String)>,
    pub ollama_headers: Vec<(String, String)>,
    pub connect_timeout: Duration,
    /// The longest silence while an answer streams.
    pub idle_timeout: Duration,
    /// How often a request is tried again before its first byte has come.
    pub retries: u32,
}

/// Holds the provider that [`connect()`] found.
pub struct Connected {
    pub provider: Arc<dyn Provider>,
    /// What the person should know about the choice.
    pub notice: Option<String>,
    /// What the person should know about the key.
    pub warning: Option<String>,
}

/// Returns tools in the form that both APIs take.
fn offered(tools: &[ToolSpec]) -> serde_json::Value {
    tools
        .iter()
        .map(|tool| serde_json::json!({"type": "function", "function": tool}))
        .collect()
}

/// Returns the arguments of a call as they go back to the model: an object, whatever it wrote. Servers take nothing else, and the model
/// is told in the call's place what was wrong.
fn arguments(call: &ToolCall) -> serde_json::Value {
    match call.arguments.is_object() {
        true => call.arguments.clone(),
        false => serde_json::json!({}),
    }
}
