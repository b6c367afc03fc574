//! Reads one conversation out of the lines of a transcript: a session, or what a sub-agent did.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::queue::{Form, Queue};
use super::result;
use super::words::{Said, message};
use crate::conversation::Usage;
use crate::import::Item;
use crate::import::files::{text, time};
use crate::import::turns::{Conversation, SourceTurn, Turns};

/// What the program says in the model's name when it did something itself.
const NOTHING_SAID: &str = "No response requested.";
/// What the first versions asked sub-agents before anyone did.
const WARM_UP: &str = "Warmup";
/// What the program has sub-agents do for itself; it is in their ids.
const ERRANDS: [&str; 9] = [
    "agent_summary",
    "auto_dream",
    "away_summary",
    "compact",
    "extract_memories",
    "prompt_suggestion",
    "rename",
    "resume_cache_warm",
    "session_memory",
];

/// Reads one conversation.
pub struct Reading {
    conversation: Conversation,
    turns: Turns,
    queue: Queue,
    /// What a person ran in the shell, on which nothing was said yet.
    shell: Vec<Ran>,
    /// The turns that began with a command.
    commands: HashSet<String>,
    /// What is in no turn.
    aside: Vec<Item>,
    /// The message whose tokens were counted last: each of its blocks is a line, and repeats them.
    message: String,
    usage: Usage,
    last: DateTime<Utc>,
}

/// Is a command that a person ran in the shell.
struct Ran {
    id: String,
    time: DateTime<Utc>,
    command: String,
    output: String,
}

impl Reading {
    /// Begins a conversation.
    pub fn new(conversation: Conversation) -> Reading {
        Reading {
            turns: Turns::new(conversation.clone(), "anthropic"),
            conversation,
            queue: Queue::default(),
            shell: Vec::new(),
            commands: HashSet::new(),
            aside: Vec::new(),
            message: String::new(),
            usage: Usage::default(),
            last: DateTime::UNIX_EPOCH,
        }
    }

    /// Takes a line.
    pub fn line(&mut self, line: &Value) {
        self.last = time(&line["timestamp"]).unwrap_or(self.last);
        match text(line, "type") {
            "user" => self.user(line),
            "assistant" => self.assistant(line),
            "attachment" if text(&line["attachment"], "type") == "queued_command" => {
                let command = &line["attachment"];
                let id = match text(command, "source_uuid") {
                    "" => text(line, "uuid"),
                    id => id,
                };
                self.absorb(command, &command["prompt"], id, Form::Attached);
            }
            "queue-operation" => self.queued(line),
            _ => return,
        }
        if !self.conversation.metadata.contains_key("folder") {
            self.keep_place(line);
        }
    }

    /// Keeps where a line was written, which may change while the conversation goes on.
    fn keep_place(&mut self, line: &Value) {
        for (name, known) in [
            ("folder", "cwd"),
            ("branch", "gitBranch"),
            ("version", "version"),
        ] {
            // Where nothing is checked out, the program says this.
            let here = text(line, known);
            if here.is_empty() || (name == "branch" && here == "HEAD") {
                continue;
            }
            let metadata = &mut self.conversation.metadata;
            let first = metadata.entry(name).or_insert_with(|| here.into());
            if first != here {
                self.turns.keep(name, here);
            }
        }
    }

    fn queued(&mut self, line: &Value) {
        let content = &line["content"];
        match text(line, "operation") {
            "enqueue" => match message(line, content).said {
                Said::Words(words) if !words.starts_with('/') => self.queue.put(&words),
                _ => self.queue.put_other(),
            },
            "dequeue" => self.queue.send(),
            "remove" => self.removed(line, content),
            _ => {}
        }
    }

    fn removed(&mut self, line: &Value, content: &Value) {
        // Older versions say neither what was taken out nor why.
        let next = Value::String(self.queue.next());
        let content = if content.is_null() { &next } else { content };
        match text(line, "reason") {
            "" | "absorbed_mid_turn" | "delivered_as_tool_result" => {
                self.absorb(line, content, text(line, "commandUuid"), Form::Removed);
            }
            // These become messages.
            "stored_at_idle" | "written_at_exit" => {}
            why => {
                if let Said::Words(words) = message(line, content).said
                    && self.queue.take_out(&words)
                {
                    self.aside.push(Item::LeftOut(why.replace('_', " ")));
                }
            }
        }
    }

    /// Takes what became a part of the running turn.
    fn absorb(&mut self, line: &Value, content: &Value, id: &str, form: Form) {
        let message = message(line, content);
        let words = match message.said {
            Said::Words(words) | Said::Command(words) => words,
            Said::Shell(command) => format!("!{command}"),
            Said::Told(call, told) => {
                if self.queue.absorb(id, &told, form) {
                    self.told(line, id, &call, &told);
                }
                return;
            }
            Said::Output(_) => return,
            Said::Program(why) => return self.skip(why),
        };
        if !words.is_empty() && self.queue.absorb(id, &words, form) {
            self.turns.meanwhile(id, self.last, &words);
            self.turns.keep("context", message.context);
        }
    }

    fn skip(&mut self, why: &str) {
        self.aside.push(Item::Skipped(why.to_owned()));
    }

    fn user(&mut self, line: &Value) {
        let uuid = text(line, "uuid");
        // Some write the text alone.
        let content = match &line["message"] {
            text @ Value::String(_) => text,
            message => &message["content"],
        };
        if content.is_null() {
            return self.skip("message without content");
        }
        for block in content.as_array().into_iter().flatten() {
            if text(block, "type") == "tool_result" {
                let observed = result(&block["content"]);
                let call = text(block, "tool_use_id");
                let went_well = block["is_error"] != true;
                self.turns
                    .observation(call, self.last, &observed, went_well);
            }
        }
        let message = message(line, content);
        if message.broken_off {
            self.turns.broken_off();
        }
        let words = match message.said {
            Said::Words(words) => words,
            Said::Command(command) => {
                self.commands.insert(uuid.to_owned());
                command
            }
            Said::Shell(command) => {
                self.queue.say(uuid, &command, text(line, "promptSource"));
                return self.shell.push(Ran {
                    id: uuid.to_owned(),
                    time: self.last,
                    command,
                    output: String::new(),
                });
            }
            Said::Output(output) => {
                match self.shell.last_mut() {
                    Some(ran) => ran.output = output,
                    None => self.skip("output of the shell"),
                }
                return;
            }
            Said::Told(call, told) => return self.told(line, uuid, &call, &told),
            Said::Program(why) => return self.skip(why),
        };
        if words.is_empty() {
            if !message.context.is_empty() {
                self.skip("told by the program or an editor");
            }
        } else if self.queue.say(uuid, &words, text(line, "promptSource")) {
            self.count();
            self.turns.user(uuid, self.last, &words);
            self.keep_place(line);
            self.turns.keep("context", message.context);
            let ran = self.ran();
            self.turns.holds_more(ran);
        }
    }

    /// Takes what the program tells of something that it ran beside: it belongs to the running turn.
    fn told(&mut self, line: &Value, id: &str, call: &str, told: &str) {
        let kind = match text(&line["origin"], "kind") {
            "" | "human" => "task-notification",
            kind => kind,
        };
        self.turns.late(id, self.last, call, kind, told);
    }

    /// Makes what a person ran in the shell the first steps of a turn, and returns how much that was.
    fn ran(&mut self) -> usize {
        let shell = std::mem::take(&mut self.shell);
        for ran in &shell {
            let arguments = json!({"command": ran.command});
            self.turns.call(&ran.id, ran.time, "bash", arguments);
            self.turns.observation(&ran.id, ran.time, &ran.output, true);
        }
        shell.len()
    }

    fn assistant(&mut self, line: &Value) {
        let (uuid, message) = (text(line, "uuid"), &line["message"]);
        let model = match text(message, "model") {
            // The program itself speaks, of a limit that was hit for example.
            "<synthetic>" => "",
            model => model,
        };
        let blocks = message["content"].as_array().into_iter().flatten();
        for block in blocks.filter(|block| text(block, "text") != NOTHING_SAID) {
            if let Some(last) = self.shell.last() {
                // What a person ran is answered by itself.
                let (id, begun) = (last.id.clone(), last.time);
                let asked = format!("!{}", last.command);
                self.count();
                self.turns.user(&id, begun, &asked);
                let ran = self.ran();
                self.turns.holds_more(ran - 1);
            }
            match text(block, "type") {
                "text" => {
                    let said = text(block, "text");
                    self.turns.answer(uuid, self.last, model, said);
                    self.turns.went_on();
                    if text(message, "stop_reason") != "tool_use" {
                        self.queue.answered();
                    }
                }
                "thinking" => {
                    let thought = text(block, "thinking");
                    self.turns.thought(uuid, self.last, thought);
                }
                "tool_use" => {
                    let (id, name) = (text(block, "id"), text(block, "name"));
                    self.turns.call(id, self.last, name, block["input"].clone());
                }
                _ => {}
            }
        }
        if text(message, "id") != self.message {
            self.count();
            text(message, "id").clone_into(&mut self.message);
        }
        let usage = &message["usage"];
        let read = [
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ];
        let read = read.iter().filter_map(|name| usage[*name].as_u64());
        // Some versions tell the whole count only in some of the lines.
        self.usage = Usage {
            input_tokens: usage["input_tokens"]
                .as_u64()
                .map(|_| read.sum())
                .max(self.usage.input_tokens),
            output_tokens: usage["output_tokens"]
                .as_u64()
                .max(self.usage.output_tokens),
        };
    }

    /// Counts the tokens of the message that is over.
    fn count(&mut self) {
        let usage = std::mem::take(&mut self.usage);
        if usage != Usage::default() {
            self.turns.usage(usage);
        }
    }

    /// Returns what is in the conversation, under a title if it has one.
    pub fn finish(mut self, title: &str) -> Vec<Item> {
        self.count();
        let left_out = |why: &'static str, count: usize| {
            (0..count).map(move |_| Item::LeftOut(why.to_owned()))
        };
        let mut items = self.aside;
        items.extend(left_out("queued and never sent", self.queue.left()));
        items.extend(left_out("run in the shell at the end", self.shell.len()));
        if !title.is_empty() {
            title.clone_into(&mut self.conversation.title);
        }
        let (commands, turns) = (self.commands, self.turns.finish_as(self.conversation));
        items.extend(turns.into_iter().map(|turn| {
            // The program's own commands are no conversation; those of a project are answered.
            let is_silent = turn.response.is_empty() && turn.steps.is_empty() && turn.messages == 1;
            if is_silent && commands.contains(&turn.id) {
                Item::LeftOut("command of the program".to_owned())
            } else if is_errand(&turn) {
                Item::Skipped("asked by the program".to_owned())
            } else {
                turn.into()
            }
        }));
        items
    }
}

/// Returns whether the program asked a sub-agent.
fn is_errand(turn: &SourceTurn) -> bool {
    let Some(agent) = turn.conversation.metadata.get("agent") else {
        return false;
    };
    let agent = agent.as_str().unwrap_or_default();
    let errand = agent.strip_prefix('a').and_then(|id| id.split_once('-'));
    turn.query == WARM_UP || errand.is_some_and(|(errand, _)| ERRANDS.contains(&errand))
}
