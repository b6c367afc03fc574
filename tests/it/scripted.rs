//! Prepared models, tools and people: servers that reply as told in either API's format, a tool that echoes, someone who watches.

use std::sync::atomic::{AtomicUsize, Ordering};

use allm::agent::{Approval, Frontend, TurnEvent};
use allm::conversation::{ToolCall, ToolSpec};
use allm::tools::{Preview, Tool};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::server::{Chunk, Reply, Server};

/// Is one reply of a model.
#[derive(Clone)]
pub enum Said {
    Text(&'static str),
    /// Reasoning, text, and the calls of tools.
    Calls(&'static str, &'static str, Vec<(&'static str, Value)>),
    /// An error with its status.
    Refused(u16, &'static str),
}

/// Returns a reply that calls one tool.
pub fn calls(name: &'static str, arguments: Value) -> Said {
    Said::Calls("", "", vec![(name, arguments)])
}

/// Starts an Ollama server that says one thing after the other, and the last for ever. With `capabilities` it tells what its
/// model can do; else it is too old to.
pub fn ollama(capabilities: Option<&'static [&'static str]>, replies: Vec<Said>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| match request.path.as_str() {
        "/api/tags" => Reply::json(200, &json!({"models": [{"name": "llama3.2:latest"}]})),
        "/api/show" => match capabilities {
            Some(list) => Reply::json(200, &json!({"capabilities": list})),
            None => Reply::json(404, &json!({"error": "not found"})),
        },
        _ => {
            let turn = asked.fetch_add(1, Ordering::SeqCst);
            reply(&replies[turn.min(replies.len() - 1)])
        }
    })
}

/// Starts an OpenAI-compatible server that says one thing after the other, and the last for ever.
pub fn openai(replies: Vec<Said>) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| {
        if request.method == "GET" {
            return Reply::json(404, &json!({"error": "not found"}));
        }
        let turn = asked.fetch_add(1, Ordering::SeqCst);
        let bytes = openai_body(&replies[turn.min(replies.len() - 1)]).into_bytes();
        Reply::chunks(200, "text/event-stream", vec![Chunk::Bytes(bytes)])
    })
}

fn reply(said: &Said) -> Reply {
    if let Said::Refused(status, message) = said {
        return Reply::json(*status, &json!({"error": message}));
    }
    let bytes = ollama_body(said).into_bytes();
    Reply::chunks(200, "application/x-ndjson", vec![Chunk::Bytes(bytes)])
}

/// Returns a reply as Ollama streams it.
pub fn ollama_body(said: &Said) -> String {
    let line = |message: Value| format!("{}\n", json!({"message": message, "done": false}));
    let mut body = match said {
        Said::Text(text) => text
            .split_inclusive(' ')
            .map(|word| line(json!({"role": "assistant", "content": word})))
            .collect(),
        Said::Calls(thinking, text, calls) => {
            let call = |(name, arguments): &(&str, Value)| json!({"function": {"name": name, "arguments": arguments}});
            let calls: Vec<Value> = calls.iter().map(call).collect();
            line(json!({"role": "assistant", "content": "", "thinking": thinking}))
                + &line(json!({"role": "assistant", "content": text, "tool_calls": calls}))
        }
        Said::Refused(..) => String::new(),
    };
    body += &format!(
        "{}\n",
        json!({"message": {"content": ""}, "done": true, "prompt_eval_count": 500, "eval_count": 7})
    );
    body
}

/// Returns a reply as OpenAI streams it: arguments in fragments.
pub fn openai_body(said: &Said) -> String {
    let event = |delta: Value, reason: Option<&str>| {
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        )
    };
    let mut body = String::new();
    match said {
        Said::Text(text) => {
            for word in text.split_inclusive(' ') {
                body += &event(json!({"content": word}), None);
            }
            body += &event(json!({}), Some("stop"));
        }
        Said::Calls(thinking, text, calls) => {
            body += &event(json!({"reasoning_content": thinking}), None);
            body += &event(json!({"content": text}), None);
            for (index, (name, arguments)) in calls.iter().enumerate() {
                let first = json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": name, "arguments": ""}});
                body += &event(json!({"tool_calls": [first]}), None);
                let arguments = arguments.to_string();
                let (head, tail) =
                    arguments.split_at(arguments.floor_char_boundary(arguments.len() / 2));
                for part in [head, tail] {
                    let fragment = json!({"index": index, "function": {"arguments": part}});
                    body += &event(json!({"tool_calls": [fragment]}), None);
                }
            }
            body += &event(json!({}), Some("tool_calls"));
        }
        Said::Refused(..) => {}
    }
    body + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":500,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n"
}

/// Returns the bodies of the requests for answers, in order.
pub fn bodies(server: &Server) -> Vec<Value> {
    let asked = server.requests().into_iter();
    asked
        .filter(|(line, _)| line.ends_with("/chat") || line.ends_with("/chat/completions"))
        .map(|(_, body)| serde_json::from_str(&body).expect("a request's body is JSON"))
        .collect()
}

/// Answers `look` with what it is asked for; `change` says that it changes something.
pub struct Echo(pub &'static str);

impl Tool for Echo {
    fn spec(&self) -> ToolSpec {
        let parameters = json!({"type": "object", "properties": {"say": {"type": "string"}}});
        ToolSpec {
            name: self.0.to_owned(),
            description: "Say it again.".to_owned(),
            parameters,
        }
    }

    fn mutates(&self) -> bool {
        self.0 == "change"
    }

    fn call(&self, arguments: Value) -> BoxFuture<'_, anyhow::Result<String>> {
        Box::pin(async move {
            match arguments["say"].as_str() {
                Some(text) => Ok(text.replace("1 MiB", &"x".repeat(1 << 20))),
                None => anyhow::bail!("nothing to say"),
            }
        })
    }
}

/// Keeps what is shown, and answers every question for approval in the same way.
#[derive(Default)]
pub struct Watcher {
    pub answer: String,
    pub thoughts: String,
    pub actions: Vec<String>,
    pub notices: Vec<String>,
    pub asked: Vec<String>,
    pub approval: Option<Approval>,
    /// Whether no request may leave.
    pub keeps: bool,
}

impl Frontend for Watcher {
    fn show(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(text) => self.answer += text,
            TurnEvent::Reasoning(text) => self.thoughts += text,
            TurnEvent::Rethought => self.thoughts += &std::mem::take(&mut self.answer),
            TurnEvent::Action(call) => self.actions.push(call.name.clone()),
            TurnEvent::Notice(text) => self.notices.push(text.to_owned()),
            TurnEvent::Observation(_) | TurnEvent::Retry { .. } => {}
        }
    }

    fn sends(&mut self, _body: &str) -> anyhow::Result<()> {
        anyhow::ensure!(!self.keeps, "no space left");
        Ok(())
    }

    fn approve(&mut self, _call: &ToolCall, preview: &Preview) -> Approval {
        self.asked.push(preview.text.clone());
        self.approval.clone().unwrap_or(Approval::Nobody)
    }
}
