//! Thinks: asks the model, runs the tools it calls, and asks again until it answers. Does not know where turns are stored.

mod frontend;
pub mod prompt;

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use futures::StreamExt;

use crate::conversation::{Message, Step, ToolCall, Usage};
use crate::provider::{ChatEvent, ChatRequest, Options, Provider, ProviderError};
use crate::tools::Toolbox;

pub use frontend::{Frontend, TurnEvent};

/// Told to a model that calls what it was not offered.
const NO_SUCH_TOOL: &str = "there is no such tool";
/// Told to a model that calls a tool which changes something: there is nobody to approve it.
const NOT_APPROVED: &str = "this tool changes things, and nobody approved the call";

/// Answers a message, with tools.
pub struct Agent {
    pub provider: Arc<dyn Provider>,
    pub model: String,
    pub options: Options,
    pub tools: Toolbox,
    /// How often the model may be asked in one turn.
    pub max_steps: usize,
}

/// Holds what has come of a turn so far. It outlives the turn's future, so that nothing is lost when that is dropped.
#[derive(Debug, Default)]
pub struct Transcript {
    pub answer: String,
    pub steps: Vec<Step>,
    pub usage: Option<Usage>,
    /// The exact bodies of the requests that were sent.
    pub requests: Vec<String>,
}

impl Agent {
    /// Asks the model, runs the tools it calls, and asks again until it answers without calling one.
    pub async fn turn(
        &self,
        mut messages: Vec<Message>,
        transcript: &mut Transcript,
        frontend: &mut dyn Frontend,
    ) -> Result<(), ProviderError> {
        for step in 1..=self.max_steps {
            // The last time no tool is offered, so that the model answers with what it has.
            let offered = if step < self.max_steps {
                self.tools.specs()
            } else {
                Vec::new()
            };
            let request = ChatRequest {
                model: self.model.clone(),
                messages: messages.clone(),
                tools: offered,
                options: self.options.clone(),
            };
            let calls = self.ask(request, transcript, frontend).await?;
            if calls.is_empty() {
                break;
            }
            let thought = std::mem::take(&mut transcript.answer);
            messages.push(Message::Assistant {
                text: thought.clone(),
                calls: calls.clone(),
            });
            for (index, call) in calls.into_iter().enumerate() {
                let thought = if index == 0 {
                    thought.clone()
                } else {
                    String::new()
                };
                let step = self.act(thought, call, frontend).await;
                messages.push(Message::Tool {
                    call_id: step.action.id.clone(),
                    text: step.observation.clone(),
                });
                transcript.steps.push(step);
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        request: ChatRequest,
        transcript: &mut Transcript,
        frontend: &mut dyn Frontend,
    ) -> Result<Vec<ToolCall>, ProviderError> {
        let mut calls = Vec::new();
        let mut events = self.provider.chat(request);
        while let Some(event) = events.next().await {
            match event? {
                ChatEvent::Sent(body) => transcript.requests.push(body),
                ChatEvent::Retry { reason, delay } => frontend.show(TurnEvent::Retry {
                    reason: &reason,
                    delay,
                }),
                ChatEvent::Reasoning(text) => frontend.show(TurnEvent::Reasoning(&text)),
                ChatEvent::Text(text) => {
                    transcript.answer.push_str(&text);
                    frontend.show(TurnEvent::Text(&text));
                }
                ChatEvent::ToolCall(call) => calls.push(call),
                ChatEvent::Done(Some(usage)) => *transcript.usage.get_or_insert_default() += usage,
                ChatEvent::Done(None) => {}
            }
        }
        Ok(calls)
    }

    /// Runs a tool. What goes wrong is told to the model, so this cannot fail.
    async fn act(&self, thought: String, action: ToolCall, frontend: &mut dyn Frontend) -> Step {
        frontend.show(TurnEvent::Action(&action));
        let (started_at, started) = (Utc::now(), Instant::now());
        let result = match self.tools.get(&action.name) {
            None => Err(format!("{NO_SUCH_TOOL}: {}", action.name)),
            Some(tool) if tool.mutates() => Err(NOT_APPROVED.to_owned()),
            Some(tool) => tool
                .call(action.arguments.clone())
                .await
                .map_err(|error| format!("{error:#}")),
        };
        let step = Step {
            thought,
            action,
            success: result.is_ok(),
            observation: result.unwrap_or_else(|error| format!("error: {error}")),
            started_at,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        frontend.show(TurnEvent::Observation(&step));
        step
    }
}
