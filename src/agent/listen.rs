//! What is heard of one reply: thoughts, answer and calls are told apart, whichever way the model gives them.

use super::prompt::Style;
use super::react::{self, Parser};
use super::reply::Reply;
use super::think::{Piece, Thinking};
use super::written::{Said, Written, meant};
use super::{Frontend, Transcript, TurnEvent};
use crate::conversation::{ToolCall, ToolSpec};
use crate::provider::{fresh_id, read_arguments};

/// Listens to one reply.
pub struct Listener<'t> {
    /// What the model may call.
    tools: &'t [ToolSpec],
    style: Style,
    thinking: Thinking,
    /// Looks for calls that are written in another form than was asked for.
    written: Option<Written<'t>>,
    parser: Option<Parser>,
    /// The text as it goes back to the model.
    text: String,
    calls: Vec<ToolCall>,
}

impl<'t> Listener<'t> {
    /// Returns a listener to a model that was offered tools in this style, and may call them or not.
    pub fn new(tools: &'t [ToolSpec], style: Style, may_call: bool) -> Listener<'t> {
        let tools = if may_call { tools } else { &[] };
        Listener {
            tools,
            style,
            thinking: Thinking::new(),
            written: (!tools.is_empty()).then(|| Written::new(tools)),
            parser: (style == Style::Text).then(Parser::default),
            text: String::new(),
            calls: Vec::new(),
        }
    }

    /// Returns whether nothing that still comes can count.
    pub fn is_done(&self) -> bool {
        self.parser.as_ref().is_some_and(Parser::is_done)
    }

    /// Takes a chunk of text.
    pub fn text(&mut self, chunk: &str, transcript: &mut Transcript, frontend: &mut dyn Frontend) {
        for piece in self.thinking.push(chunk) {
            self.take(piece, transcript, frontend);
        }
    }

    /// Takes a call that was made in the way of the API.
    pub fn call(&mut self, mut call: ToolCall) {
        if let Some(name) = meant(&call.name, self.tools) {
            call.name = name;
        }
        self.calls.push(call);
    }

    /// Returns the reply, now that it has ended.
    pub fn finish(mut self, transcript: &mut Transcript, frontend: &mut dyn Frontend) -> Reply {
        for piece in self.thinking.finish(!self.calls.is_empty()) {
            self.take(piece, transcript, frontend);
        }
        let written = self.written.take();
        let mut raw = String::new();
        match written.and_then(|written| written.finish(&mut transcript.held)) {
            Some(Said::Calls(calls, text)) => {
                for call in calls {
                    self.written_call(call);
                }
                raw = text;
            }
            Some(Said::Text(text)) => self.say(text, transcript, frontend),
            None => {}
        }
        if let Some(parser) = self.parser.take() {
            let (pieces, call, taken) = parser.finish();
            self.text = taken + &self.text + &raw;
            for piece in pieces {
                transcript.hear(&piece, frontend);
            }
            self.calls.extend(call);
            // A thought that leads to no action and no answer is the answer.
            if self.calls.is_empty() && transcript.answer.trim().is_empty() {
                let thought = std::mem::take(&mut transcript.thought).trim().to_owned();
                transcript.hear(&Piece::Text(thought), frontend);
            }
        }
        Reply {
            text: self.text,
            calls: self.calls,
        }
    }

    fn take(&mut self, piece: Piece, transcript: &mut Transcript, frontend: &mut dyn Frontend) {
        match piece {
            Piece::Text(said) => {
                let certain = match &mut self.written {
                    Some(written) => written.push(&mut transcript.held, &said),
                    None => said,
                };
                self.say(certain, transcript, frontend);
            }
            Piece::Reasoning(_) => transcript.hear(&piece, frontend),
            Piece::Rethought => self.rethink(transcript, frontend),
            Piece::Call(name, arguments) if self.tools.is_empty() => {
                let said = format!("{name} {arguments}");
                transcript.hear(&Piece::Reasoning(said), frontend);
            }
            Piece::Call(name, arguments) => {
                let call = ToolCall {
                    id: fresh_id(),
                    name: meant(&name, self.tools).unwrap_or(name),
                    arguments: read_arguments(&arguments),
                    ..ToolCall::default()
                };
                if self.style == Style::Text {
                    self.text += &react::action("", &call);
                }
                self.written_call(call);
            }
        }
    }

    /// Takes a call that was written as text. Where that is what was asked for, it goes back so.
    fn written_call(&mut self, mut call: ToolCall) {
        if self.style == Style::Text {
            call.id.clear();
        }
        self.calls.push(call);
    }

    /// Takes a piece of text that is no call in another form.
    fn say(&mut self, said: String, transcript: &mut Transcript, frontend: &mut dyn Frontend) {
        if said.is_empty() {
            return;
        }
        if let Some(parser) = &mut self.parser {
            for piece in parser.push(&said) {
                transcript.hear(&piece, frontend);
            }
        } else {
            self.text.push_str(&said);
            transcript.hear(&Piece::Text(said), frontend);
        }
    }

    /// Takes all text of the reply so far for a thought.
    fn rethink(&mut self, transcript: &mut Transcript, frontend: &mut dyn Frontend) {
        if let Some(parser) = &mut self.parser {
            let (pieces, ..) = std::mem::take(parser).finish();
            for piece in pieces {
                transcript.hear(&piece, frontend);
            }
        }
        if let Some(written) = &mut self.written {
            *written = Written::new(self.tools);
        }
        self.text.clear();
        transcript.hear(&Piece::Rethought, frontend);
        let held = std::mem::take(&mut transcript.held);
        if !held.is_empty() {
            transcript.hear(&Piece::Reasoning(held), frontend);
        }
    }
}

impl Transcript {
    fn hear(&mut self, piece: &Piece, frontend: &mut dyn Frontend) {
        match piece {
            Piece::Text(text) => {
                self.answer.push_str(text);
                frontend.show(TurnEvent::Text(text));
            }
            Piece::Reasoning(text) => {
                self.thought.push_str(text);
                frontend.show(TurnEvent::Reasoning(text));
            }
            Piece::Rethought if self.answer.is_empty() => {}
            Piece::Rethought => {
                self.thought += &std::mem::take(&mut self.answer);
                frontend.show(TurnEvent::Rethought);
            }
            Piece::Call(..) => {}
        }
    }

    /// Hears reasoning that the server has told apart.
    pub fn reason(&mut self, text: String, frontend: &mut dyn Frontend) {
        self.hear(&Piece::Reasoning(text), frontend);
    }
}
