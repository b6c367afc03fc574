//! How a conversation is answered: by which server and model, with what tools and limits.

use std::sync::Arc;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::agent::prompt::React;
use crate::provider::{Options, Provider};
use crate::tools::Toolbox;

/// Says who answers: a server, one of its models, and that one's window in tokens.
pub struct Answering {
    pub provider: Arc<dyn Provider>,
    pub model: String,
    pub context_window: u32,
}

/// Finds another server, by the name of its provider and perhaps its base URL.
pub type Reach =
    Arc<dyn Fn(String, Option<String>) -> BoxFuture<'static, Result<Answering>> + Send + Sync>;

/// Holds how a conversation is answered.
pub struct Settings {
    pub provider: Arc<dyn Provider>,
    pub model: String,
    pub reach: Reach,
    pub options: Options,
    pub system: String,
    /// The system prompt that the conversation began with.
    pub default_system: String,
    pub tools: Toolbox,
    /// Whether tools run without anybody being asked.
    pub approves_all: bool,
    pub react: React,
    /// How often the model may call tools in one turn.
    pub max_steps: usize,
    /// How many interactions are recalled with each question, and how like it they have to be (the score of a search).
    pub recall: usize,
    pub recall_floor: f32,
    /// Whether the model is asked after each answer for the facts in it.
    pub facts: bool,
    /// Whether an answer is shown as it comes.
    pub stream: bool,
}
