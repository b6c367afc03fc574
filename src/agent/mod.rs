//! Thinks: asks the model, runs the tools it calls, and asks again until it answers. Does not know where turns are stored.

mod ending;
mod frontend;
mod history;
mod listen;
pub mod prompt;
mod react;
mod reply;
mod think;
mod written;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::conversation::{
    Attached, Finish, Message, NO_MORE, Spoken, Status, Step, ToolCall, ToolSpec, Usage,
};
use crate::provider::{Options, Provider, ProviderError};
use crate::tools::{Toolbox, shorten};
use prompt::{Prompt, Style};
use reply::Reply;

pub use frontend::{Approval, Frontend, TurnEvent};
pub use history::Exchange;

/// What a step says while its tool runs, and for good when it is interrupted.
const INTERRUPTED: &str = "interrupted";
/// The most that is kept of one observation, in bytes.
const KEPT: usize = 1 << 20;

/// Answers a message, with tools.
pub struct Agent {
    pub provider: Arc<dyn Provider>,
    pub model: String,
    pub options: Options,
    pub tools: Toolbox,
    /// How the model calls tools; `None` to find out.
    pub style: Option<Style>,
    /// How often the model may call tools in one turn before it has to answer.
    pub max_steps: usize,
    /// How many turns the person knows to be left out of the requests.
    pub left_out: usize,
}

/// Holds what has come of a turn so far. It outlives the turn's future, so that nothing is lost when that is dropped.
#[derive(Debug, Default)]
pub struct Transcript {
    pub answer: String,
    pub steps: Vec<Step>,
    pub usage: Option<Usage>,
    /// The exact bodies of the requests that were sent.
    pub requests: Vec<String>,
    /// How the model has turned out to call tools.
    pub style: Option<Style>,
    /// How many turns of the history did not fit.
    pub left_out: usize,
    /// The model's window, in tokens, where it has turned out to be smaller than the options say.
    pub window: Option<u32>,
    /// Whether the model was told to call no more tools.
    pub out_of_steps: bool,
    /// The tokens that were sent, about, and those that the server read, where it read far fewer.
    pub truncated: Option<(u64, u64)>,
    /// Why the model stopped the last time that it did.
    pub finish: Option<Finish>,
    /// The model that answered, as the server calls it; empty where it does not say.
    pub model: String,
    /// How long the first token took to come.
    pub first_token: Option<Duration>,
    /// What goes back with the answer.
    attached: Attached,
    /// The server that was asked.
    server: String,
    /// What the model has thought since its last action.
    thought: String,
    /// Text that is kept back because it may be a call.
    held: String,
    /// What the server counted of the last request and its reply.
    pub counted: Option<Usage>,
    asked: Option<(DateTime<Utc>, Instant)>,
    /// What the last request costs, in tokens, estimated from above.
    cost: usize,
    /// Whether the server has passed over the tools of the last request.
    unread: bool,
}

impl Transcript {
    /// Settles what is open: how long an interrupted tool ran, and a step for the thought before the answer, or before the turn was
    /// cut short.
    pub fn close(&mut self) {
        if let Some(step) = self.steps.last_mut()
            && step.error.as_deref() == Some(INTERRUPTED)
        {
            let ran = Utc::now() - step.started_at;
            step.duration_ms = u64::try_from(ran.num_milliseconds()).unwrap_or_default();
        }
        self.answer += &std::mem::take(&mut self.held);
        let thought = std::mem::take(&mut self.thought).trim().to_owned();
        let attached = std::mem::take(&mut self.attached);
        let tells = !thought.is_empty() || !attached.is_empty();
        if let (true, Some((started_at, asked))) = (tells, self.asked) {
            self.steps.push(Step {
                thought,
                message: Some(self.spoken(String::new(), attached)),
                success: true,
                started_at,
                duration_ms: milliseconds(asked),
                ..Step::default()
            });
        }
    }
}

impl Transcript {
    /// Makes what was answered a thought: the model did not know of the tools, and is asked again.
    fn pass_over(&mut self, frontend: &mut dyn Frontend) {
        let step = Step {
            thought: self.take_thought(),
            success: true,
            started_at: self.asked.map_or_else(Utc::now, |(at, _)| at),
            duration_ms: self.asked.map_or(0, |(_, asked)| milliseconds(asked)),
            ..Step::default()
        };
        self.attached = Attached::new();
        frontend.show(TurnEvent::Observation(&step));
        self.steps.push(step);
    }

    /// Returns what is kept of a message besides what its steps tell.
    fn spoken(&self, text: String, attached: Attached) -> Spoken {
        Spoken {
            server: self.server.clone(),
            text,
            attached,
        }
    }
}

impl Agent {
    /// Asks the model, runs the tools it calls, and asks again until it answers without calling one.
    ///
    /// Returns [`Status::Interrupted`] when the person, asked for approval, ended the turn.
    pub async fn turn(
        &self,
        mut prompt: Prompt<'_>,
        transcript: &mut Transcript,
        frontend: &mut dyn Frontend,
    ) -> Result<Status, ProviderError> {
        let tools = self.tools.specs();
        let told = self.provider.told(&self.model).await;
        transcript.window = told
            .window
            .filter(|window| *window < self.options.context_window);
        transcript.style = self.find_style(&tools, told.tools, frontend);
        self.provider.server().clone_into(&mut transcript.server);
        for step in 0..=self.max_steps {
            let last = step == self.max_steps && !tools.is_empty();
            if last {
                transcript.out_of_steps = true;
                prompt.turn.push(Message::User(NO_MORE.to_owned()));
            }
            let reply = self
                .ask(&prompt, &tools, !last, transcript, frontend)
                .await?;
            if reply.calls.is_empty() || last {
                break;
            }
            let thought = transcript.take_thought();
            let attached = std::mem::take(&mut transcript.attached);
            let mut told = (
                thought,
                Some(transcript.spoken(reply.text.clone(), attached.clone())),
            );
            prompt.turn.push(Message::Assistant {
                text: reply.text,
                calls: reply.calls.clone(),
                attached,
            });
            for call in reply.calls {
                let id = call.id.clone();
                let (thought, message) = std::mem::take(&mut told);
                let step = Step {
                    thought,
                    message,
                    action: Some(call),
                    error: Some(INTERRUPTED.to_owned()),
                    ..Step::default()
                };
                let Some(observation) = self.act(step, transcript, frontend).await else {
                    return Ok(Status::Interrupted);
                };
                prompt.turn.push(Message::Tool {
                    call_id: id,
                    text: observation,
                });
            }
        }
        if let Some(notice) = ending::notice(transcript, self.options.max_tokens) {
            frontend.show(TurnEvent::Notice(&notice));
        }
        Ok(Status::Completed)
    }

    /// Returns how the model is to call tools; `None` where the first request shows it.
    fn find_style(
        &self,
        tools: &[ToolSpec],
        told: Option<bool>,
        frontend: &mut dyn Frontend,
    ) -> Option<Style> {
        if self.style.is_some() || tools.is_empty() {
            return self.style;
        }
        if told == Some(false) {
            self.say_fallback(frontend);
        }
        told.map(|can| if can { Style::Native } else { Style::Text })
    }

    /// Asks the model once; once more, in the other style, when it turns out that it cannot call tools, or with less, when the request is
    /// longer than the server takes.
    async fn ask(
        &self,
        prompt: &Prompt<'_>,
        tools: &[ToolSpec],
        may_call: bool,
        transcript: &mut Transcript,
        frontend: &mut dyn Frontend,
    ) -> Result<Reply, ProviderError> {
        let mut narrowed = false;
        loop {
            let style = transcript.style;
            let asked = self.ask_in(
                style.unwrap_or(Style::Native),
                prompt,
                tools,
                may_call,
                transcript,
                frontend,
            );
            match asked.await {
                Err(ProviderError::NoTools { .. })
                    if self.style.is_none() && style != Some(Style::Text) =>
                {
                    self.say_fallback(frontend);
                    transcript.style = Some(Style::Text);
                }
                // What has been heard would be heard twice.
                Err(error @ ProviderError::TooLong { window, .. })
                    if !narrowed && transcript.answer.is_empty() =>
                {
                    let Some(window) = self.narrower(window, prompt, tools, transcript) else {
                        return Err(error);
                    };
                    transcript.window = Some(window);
                    narrowed = true;
                    frontend.show(TurnEvent::Notice(&format!(
                        "the request is longer than the model's window, so less of the conversation is sent; {}",
                        error.hint().unwrap_or_default()
                    )));
                }
                // Whoever asked for this style has it.
                Ok(_) if transcript.unread && style.is_none() => {
                    self.say_fallback(frontend);
                    transcript.style = Some(Style::Text);
                    transcript.pass_over(frontend);
                }
                asked => return asked,
            }
        }
    }

    /// Returns how a request is answered, within the window that the model has turned out to have.
    fn options(&self, transcript: &Transcript) -> Options {
        let window = self.options.context_window;
        Options {
            context_window: transcript.window.map_or(window, |known| known.min(window)),
            ..self.options.clone()
        }
    }

    /// Returns a window in which a request that was too long becomes shorter: the one that the server tells of, else one for half of the
    /// request.
    fn narrower(
        &self,
        told: Option<u32>,
        prompt: &Prompt<'_>,
        tools: &[ToolSpec],
        transcript: &Transcript,
    ) -> Option<u32> {
        let style = transcript.style.unwrap_or(Style::Native);
        let mut options = self.options(transcript);
        // Of a window, a quarter is for the answer.
        let half = u32::try_from(transcript.cost * 2 / 3).ok();
        [told, half].into_iter().flatten().find(|window| {
            options.context_window = *window;
            prompt.fit(tools, style, &options).cost < transcript.cost
        })
    }

    fn say_fallback(&self, frontend: &mut dyn Frontend) {
        frontend.show(TurnEvent::Notice(&format!(
            "{} cannot call tools by itself, so it is asked to write its calls as text",
            self.model
        )));
    }

    /// Runs a tool and returns what the model is told of it; `None` when the person ended the turn.
    async fn act(
        &self,
        mut step: Step,
        transcript: &mut Transcript,
        frontend: &mut dyn Frontend,
    ) -> Option<String> {
        let call = step.action.clone()?;
        frontend.show(TurnEvent::Action(&call));
        // The step is there before the tool runs, so that an interrupt does not lose it.
        let at = transcript.steps.len();
        step.started_at = Utc::now();
        transcript.steps.push(step);
        let result = self.run(&call, &mut transcript.steps[at], frontend).await?;
        let step = &mut transcript.steps[at];
        step.success = result.is_ok();
        step.error = result.as_ref().err().map(|error| first_line(error));
        let observation = result.unwrap_or_else(|error| format!("error: {error}"));
        step.observation = shorten(&observation, KEPT).into_owned();
        frontend.show(TurnEvent::Observation(step));
        Some(observation)
    }

    /// Runs a tool, when it is approved. What goes wrong is told to the model, so this cannot fail.
    async fn run(
        &self,
        call: &ToolCall,
        step: &mut Step,
        frontend: &mut dyn Frontend,
    ) -> Option<Result<String, String>> {
        let Some(tool) = self.tools.get(&call.name) else {
            let names: Vec<String> = self
                .tools
                .specs()
                .into_iter()
                .map(|tool| tool.name)
                .collect();
            return Some(Err(format!(
                "there is no tool `{}`: there are {}",
                call.name,
                names.join(", ")
            )));
        };
        if !call.arguments.is_object() {
            return Some(Err(format!(
                "the arguments must be a JSON object, not `{}`",
                shorten(&call.arguments.to_string(), 200)
            )));
        }
        let text = |error: anyhow::Error| format!("{error:#}");
        if tool.mutates() {
            let preview = match tool.preview(&call.arguments).await {
                Ok(preview) => preview,
                Err(error) => return Some(Err(text(error))),
            };
            match frontend.approve(call, &preview) {
                Approval::Yes | Approval::Always => {}
                Approval::No(reason) if reason.trim().is_empty() => {
                    return Some(Err("the user refused this call".to_owned()));
                }
                Approval::No(reason) => {
                    return Some(Err(format!(
                        "the user refused this call: {}",
                        reason.trim()
                    )));
                }
                Approval::Nobody => {
                    return Some(Err(
                        "nobody is there to approve this call, so it was not made".to_owned(),
                    ));
                }
                Approval::Interrupt => return None,
            }
        }
        let (started, heard) = (Instant::now(), frontend.hears());
        step.started_at = Utc::now();
        let result = tool.call_heard(&call.arguments, heard.as_ref()).await;
        step.duration_ms = milliseconds(started);
        Some(result.map_err(text))
    }
}

fn first_line(error: &str) -> String {
    const LONGEST: usize = 300;
    let line = error.lines().next().unwrap_or_default();
    line[..line.floor_char_boundary(LONGEST)].to_owned()
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
