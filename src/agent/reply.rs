//! One request and its reply: what streams in is told apart into thought, answer and calls.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures::StreamExt;

use super::listen::Listener;
use super::prompt::{Fitted, Prompt, Style};
use super::react::STOP;
use super::{Agent, Frontend, Transcript, TurnEvent};
use crate::conversation::{Message, ToolCall, ToolSpec, Usage};
use crate::provider::{ChatEvent, ChatRequest, Options, ProviderError};

/// Below this many tokens an estimate says nothing.
const SURE: u64 = 1024;

/// With fewer tokens than these, what a server has read cannot be told.
const FEW: usize = 32;

/// How long a model may take to stop once it has said all that counts.
const GRACE: Duration = Duration::from_secs(2);

/// Holds what a model replied.
pub struct Reply {
    /// The text as it goes back to the model.
    pub text: String,
    pub calls: Vec<ToolCall>,
}

impl Transcript {
    /// Takes all that was said before an action: it was a thought.
    pub fn take_thought(&mut self) -> String {
        let thought = std::mem::take(&mut self.thought);
        let said = std::mem::take(&mut self.answer);
        let parts = [thought.trim(), said.trim()].into_iter();
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        parts.join("\n\n")
    }
}

impl Agent {
    /// Asks the model once, in the given style.
    pub async fn ask_in(
        &self,
        style: Style,
        prompt: &Prompt<'_>,
        tools: &[ToolSpec],
        may_call: bool,
        transcript: &mut Transcript,
        frontend: &mut dyn Frontend,
    ) -> Result<Reply, ProviderError> {
        let options = self.options(transcript);
        let Fitted {
            messages,
            left_out,
            cost,
        } = prompt.fit(tools, style, &options);
        transcript.cost = cost;
        self.notice_left_out(left_out, transcript, frontend);
        transcript.left_out = transcript.left_out.max(left_out);
        let sent: usize = messages.iter().map(bytes).sum();
        let framed = messages.len();
        transcript.unread = false;
        let as_text = style == Style::Text && !tools.is_empty();
        let request = self.request(messages, tools, as_text, may_call, options);
        transcript.asked = Some((Utc::now(), Instant::now()));
        (transcript.finish, transcript.counted) = (None, None);
        transcript.attached.clear();
        let style_of_calls = if as_text { Style::Text } else { Style::Native };
        let mut listener = Listener::new(tools, style_of_calls, may_call);
        let mut events = self.provider.chat(request);
        let mut enough: Option<tokio::time::Instant> = None;
        loop {
            let next = match enough {
                None => events.next().await,
                // What comes now would be made up, but the end tells how much was read and written. Dropping the stream stops a
                // model that goes on.
                Some(until) => tokio::time::timeout_at(until, events.next())
                    .await
                    .ok()
                    .flatten(),
            };
            let event = match next {
                None => break,
                Some(Err(_)) if enough.is_some() => break,
                Some(event) => event?,
            };
            if !matches!(
                event,
                ChatEvent::Sent(_)
                    | ChatEvent::Notice(_)
                    | ChatEvent::Retry { .. }
                    | ChatEvent::Done(_)
            ) {
                let asked = transcript.asked.map(|(_, asked)| asked.elapsed());
                transcript.first_token = transcript.first_token.or(asked);
            }
            match event {
                // It leaves when the next event is asked for.
                ChatEvent::Sent(body) => leave(body, transcript, frontend)?,
                ChatEvent::Notice(text) => frontend.show(TurnEvent::Notice(&text)),
                ChatEvent::Retry { reason, delay } => frontend.show(TurnEvent::Retry {
                    reason: &reason,
                    delay,
                }),
                ChatEvent::Done(end) => {
                    if let Some(usage) = end.usage {
                        *transcript.usage.get_or_insert_default() += usage;
                        transcript.counted = Some(usage);
                        transcript.unread = !as_text && reads_no_tools(tools, sent, framed, usage);
                        notice_truncation(sent, usage, transcript, frontend);
                    }
                    transcript.finish = end.finish;
                    transcript.model = end.model;
                    transcript.attached = end.attached;
                }
                _ if enough.is_some() => {}
                ChatEvent::Reasoning(text) => transcript.reason(text, frontend),
                ChatEvent::Text(chunk) => {
                    listener.text(&chunk, transcript, frontend);
                    if listener.is_done() {
                        enough = Some(tokio::time::Instant::now() + GRACE);
                    }
                }
                ChatEvent::ToolCall(call) => listener.call(call),
            }
        }
        let reply = listener.finish(transcript, frontend);
        // Without tools, nothing was learnt about how they are called.
        transcript.unread &= reply.calls.is_empty();
        if !tools.is_empty() && !transcript.unread {
            transcript.style.get_or_insert(style);
        }
        Ok(reply)
    }

    fn request(
        &self,
        messages: Vec<Message>,
        tools: &[ToolSpec],
        as_text: bool,
        may_call: bool,
        options: Options,
    ) -> ChatRequest {
        let (tools, stop) = match as_text {
            true => (Vec::new(), vec![STOP.to_owned()]),
            false => (tools.to_vec(), Vec::new()),
        };
        ChatRequest {
            model: self.model.clone(),
            messages,
            tools,
            may_call,
            options,
            stop,
            format: None,
        }
    }

    /// Says when more is left out than the person knows of, not with every request.
    fn notice_left_out(
        &self,
        left_out: usize,
        transcript: &Transcript,
        frontend: &mut dyn Frontend,
    ) {
        if left_out > self.left_out.max(transcript.left_out) {
            let (left_out, were) = match left_out {
                1 => ("the first turn no longer fits".to_owned(), "was"),
                _ => (format!("the first {left_out} turns no longer fit"), "were"),
            };
            frontend.show(TurnEvent::Notice(&format!(
                "{left_out} the model's window and {were} left out"
            )));
        }
    }
}

/// Lets a request leave, if whoever watches has taken note of it.
fn leave(
    body: String,
    transcript: &mut Transcript,
    frontend: &mut dyn Frontend,
) -> Result<(), ProviderError> {
    if let Err(error) = frontend.sends(&body) {
        let reason = format!("{error:#}");
        return Err(ProviderError::Withheld { reason });
    }
    transcript.requests.push(body);
    Ok(())
}

fn bytes(message: &Message) -> usize {
    match message {
        Message::System(text)
        | Message::User(text)
        | Message::Assistant { text, .. }
        | Message::Tool { text, .. } => text.len(),
    }
}

/// Returns whether a server has read as much as the messages alone are, so many bytes in so many frames, and far less than the tools: the
/// model was never told of them.
fn reads_no_tools(tools: &[ToolSpec], sent: usize, framed: usize, usage: Usage) -> bool {
    let bytes = |tool: &ToolSpec| serde_json::json!(tool).to_string().len();
    let offered: usize = tools.iter().map(bytes).sum();
    // Of a few tokens nothing can be told.
    let messages = (sent / 8).max(FEW)..=sent / 3 + framed * 16;
    let read = usage.input_tokens.and_then(|read| read.try_into().ok());
    read.is_some_and(|read| messages.contains(&read) && read < offered / 8)
}

/// Notices a server that has read far less than it was sent: Ollama cuts off what exceeds the model's window and says nothing.
fn notice_truncation(
    sent: usize,
    usage: Usage,
    transcript: &mut Transcript,
    frontend: &mut dyn Frontend,
) {
    // A token has 3 to 5 bytes in most texts, and seldom 8.
    let (about, least) = (sent as u64 / 4, sent as u64 / 8);
    let Some(read) = usage.input_tokens.filter(|read| *read < least) else {
        return;
    };
    if about < SURE || transcript.truncated.is_some() {
        return;
    }
    transcript.truncated = Some((about, read));
    frontend.show(TurnEvent::Notice(&format!(
        "the server read only {read} of about {about} tokens: the beginning was cut off, because the model's window is smaller than \
         the settings say; lower `ollama_window` or `openai_window` in config.toml"
    )));
}
