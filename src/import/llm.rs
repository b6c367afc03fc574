//! The SQLite log of simonw's `llm`: the tables `responses` and what belongs to it, and since version 0.36 `turns` with a tree of
//! messages. A log may have both; what is in the older ones stays there.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use super::files::{name, sqlite, text, time};
use super::turns::{Conversation, Turns};
use super::{Item, Source, Take};
use crate::conversation::Usage;

const NAME: &str = "llm";

/// Is the log of `llm`.
pub struct Llm(pub PathBuf);

/// Is one request with what came of it, in either of the two forms.
struct Reply {
    id: String,
    conversation: String,
    title: String,
    model: String,
    begun: DateTime<Utc>,
    ended: DateTime<Utc>,
    usage: Usage,
    said: Vec<Said>,
}

/// Is something that was said, in order.
enum Said {
    System(String),
    User(String),
    /// What a prompt quoted: its name and its text.
    Fragment(String, String),
    Thought(String),
    Answer(String),
    /// A call: its id, its name, its arguments.
    Call(String, String, Value),
    /// What came of a call: its id, the text, whether it went well.
    Result(String, String, bool),
}

impl Source for Llm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let (log, _copy) = sqlite(&self.0)?;
        take(NAME, Item::File(name(&self.0)))?;
        let has = |table: &str| log.table_exists(None::<&str>, table);
        let mut any = false;
        if has("responses")? {
            any = true;
            let replies = "SELECT r.*, c.name AS title FROM responses r
                LEFT JOIN conversations c ON c.id = r.conversation_id
                ORDER BY r.conversation_id, r.datetime_utc, r.id";
            each(&log, replies, response, take)?;
        }
        if has("turns")? {
            any = true;
            // A conversation that began in the older tables has its name there.
            let replies = "SELECT t.*, coalesce(c.name, h.name) AS title FROM turns t
                LEFT JOIN threads h ON h.id = t.thread_id
                LEFT JOIN conversations c ON c.id = t.thread_id
                ORDER BY t.thread_id, t.datetime_utc, t.id";
            each(&log, replies, turn, take)?;
        }
        if !any {
            bail!(
                "`{}` is no log of llm: it has neither responses nor turns",
                self.0.display()
            );
        }
        Ok(())
    }
}

/// Reads the rows of a query, which come conversation by conversation.
fn each(
    log: &Connection,
    query: &str,
    read: fn(&Connection, &Row<'_>) -> Result<Reply>,
    take: &mut Take<'_>,
) -> Result<()> {
    let mut all = log.prepare(query)?;
    let mut rows = all.query([])?;
    let mut current: Option<(String, Turns)> = None;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, String>("id").unwrap_or_default();
        let reply = match read(log, row) {
            Ok(reply) => reply,
            Err(error) => {
                take(
                    NAME,
                    Item::Broken(format!("reply {id}"), format!("{error:#}")),
                )?;
                continue;
            }
        };
        if current
            .as_ref()
            .is_none_or(|(known, _)| *known != reply.conversation)
        {
            finish(current.take(), take)?;
            current = Some((reply.conversation.clone(), begin(&reply)));
        }
        if let Some((_, turns)) = &mut current {
            add(reply, turns);
        }
    }
    finish(current, take)
}

fn begin(reply: &Reply) -> Turns {
    let system = reply.said.iter().find_map(|said| match said {
        Said::System(text) => Some(text.clone()),
        _ => None,
    });
    let conversation = Conversation {
        id: reply.conversation.clone(),
        title: reply.title.clone(),
        system_prompt: system.unwrap_or_default(),
        ..Conversation::default()
    };
    Turns::new(conversation, "")
}

fn finish(current: Option<(String, Turns)>, take: &mut Take<'_>) -> Result<()> {
    let turns = current.map(|(_, turns)| turns.finish()).unwrap_or_default();
    turns
        .into_iter()
        .try_for_each(|turn| take(NAME, turn.into()))
}

fn add(reply: Reply, turns: &mut Turns) {
    let Reply {
        id,
        begun,
        ended,
        model,
        ..
    } = reply;
    for (at, said) in reply.said.into_iter().enumerate() {
        match said {
            Said::System(_) => {}
            Said::User(text) => turns.user(&id, begun, &text),
            Said::Fragment(source, content) => {
                let call = format!("{id}/{at}");
                turns.call(&call, begun, "fragment", json!({"source": source}));
                turns.observation(&call, begun, &content, true);
            }
            Said::Thought(text) => turns.thought(&id, ended, &text),
            Said::Answer(text) => turns.answer(&id, ended, &model, &text),
            Said::Call(call, name, arguments) => turns.call(&call, ended, &name, arguments),
            Said::Result(call, text, success) => turns.observation(&call, begun, &text, success),
        }
    }
    if reply.usage != Usage::default() {
        turns.usage(reply.usage);
    }
}

fn column(row: &Row<'_>, name: &str) -> String {
    row.get::<_, Option<String>>(name)
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!({"text": text}))
}

/// Reads what both forms have.
fn head(row: &Row<'_>, conversation: &str) -> Result<Reply> {
    let begun = column(row, "datetime_utc");
    let begun =
        time(&begun.clone().into()).with_context(|| format!("its time is no time: `{begun}`"))?;
    let number = |name: &str| row.get::<_, Option<i64>>(name).ok().flatten();
    let tokens = |name: &str| number(name).and_then(|tokens| u64::try_from(tokens).ok());
    let took = TimeDelta::milliseconds(number("duration_ms").unwrap_or_default().clamp(0, 1 << 40));
    let id = column(row, "id");
    let named = column(row, conversation);
    let model = match column(row, "resolved_model") {
        model if model.is_empty() => column(row, "model"),
        model => model,
    };
    Ok(Reply {
        conversation: if named.is_empty() { id.clone() } else { named },
        id,
        title: column(row, "title"),
        model,
        begun,
        ended: begun + took,
        usage: Usage {
            input_tokens: tokens("input_tokens"),
            output_tokens: tokens("output_tokens"),
        },
        said: Vec::new(),
    })
}

/// Returns the texts of a query with one parameter; none where the log is too old to have its tables.
fn texts<const N: usize>(log: &Connection, query: &str, id: &str) -> Result<Vec<[String; N]>> {
    let Ok(mut prepared) = log.prepare(query) else {
        return Ok(Vec::new());
    };
    let rows = prepared.query_map(params![id], |row| {
        let mut texts = std::array::from_fn(|_| String::new());
        for (at, text) in texts.iter_mut().enumerate() {
            *text = row.get::<_, Option<String>>(at)?.unwrap_or_default();
        }
        Ok(texts)
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Reads a row of `responses`.
fn response(log: &Connection, row: &Row<'_>) -> Result<Reply> {
    let mut reply = head(row, "conversation_id")?;
    let id = reply.id.clone();
    reply.said.extend(
        Some(column(row, "system"))
            .filter(|text| !text.is_empty())
            .map(Said::System),
    );
    let results = "SELECT tool_call_id, output, exception FROM tool_results WHERE response_id = ? ORDER BY id";
    for [call, output, exception] in texts(log, results, &id)? {
        reply
            .said
            .push(Said::Result(call, output, exception.is_empty()));
    }
    let mut prompt = column(row, "prompt");
    let attached =
        "SELECT a.type FROM prompt_attachments p JOIN attachments a ON a.id = p.attachment_id
        WHERE p.response_id = ? ORDER BY p.\"order\"";
    for [kind] in texts(log, attached, &id)? {
        prompt.push_str(&format!("\n[attachment: {kind}]"));
    }
    let fragments = "SELECT f.source, f.content FROM prompt_fragments p JOIN fragments f ON f.id = p.fragment_id
        WHERE p.response_id = ? ORDER BY p.\"order\"";
    let fragments: Vec<[String; 2]> = texts(log, fragments, &id)?;
    // A request that only brings results goes on with the turn before.
    let goes_on = reply
        .said
        .iter()
        .any(|said| matches!(said, Said::Result(..)));
    if !prompt.trim().is_empty() || !fragments.is_empty() || !goes_on {
        reply.said.push(Said::User(prompt));
    }
    let fragments = fragments.into_iter();
    reply
        .said
        .extend(fragments.map(|[source, content]| Said::Fragment(source, content)));
    let thought = column(row, "reasoning");
    reply.said.extend(
        Some(thought)
            .filter(|text| !text.is_empty())
            .map(Said::Thought),
    );
    reply.said.push(Said::Answer(column(row, "response")));
    let calls =
        "SELECT tool_call_id, name, arguments FROM tool_calls WHERE response_id = ? ORDER BY id";
    for [call, name, arguments] in texts(log, calls, &id)? {
        reply.said.push(Said::Call(call, name, parsed(&arguments)));
    }
    Ok(reply)
}

/// Reads a row of `turns`: the messages that were new in its request, and those that came of it.
fn turn(log: &Connection, row: &Row<'_>) -> Result<Reply> {
    let mut reply = head(row, "thread_id")?;
    let (asked, tip) = (
        column(row, "parent_message_hash"),
        column(row, "tip_message_hash"),
    );
    let mut messages = Vec::new();
    let mut at = tip;
    let mut is_answer = true;
    // A damaged tree may go in circles.
    while !at.is_empty() && messages.len() < 10_000 {
        is_answer &= at != asked;
        let message = "SELECT role, parent_hash FROM messages WHERE hash = ?";
        let found: Vec<[String; 2]> = texts(log, message, &at)?;
        let [role, parent] = found
            .into_iter()
            .next()
            .context("a message of it is missing")?;
        // What is before an answer belongs to an earlier turn.
        if !is_answer && role == "assistant" {
            break;
        }
        messages.push((std::mem::replace(&mut at, parent), role));
    }
    for (hash, role) in messages.into_iter().rev() {
        let parts =
            "SELECT type, text, payload FROM parts WHERE message_hash = ? ORDER BY position";
        let parts: Vec<[String; 3]> = texts(log, parts, &hash)?;
        let (mut asked, mut calls) = (String::new(), Vec::new());
        for [kind, said, payload] in parts {
            let payload = parsed(&payload);
            let call = text(&payload, "tool_call_id").to_owned();
            match (role.as_str(), kind.as_str()) {
                ("system", _) => reply.said.push(Said::System(said)),
                ("user", "text") => {
                    asked.push_str(&said);
                    quoted(log, &payload, &mut asked, &mut reply.said)?;
                }
                ("user", "attachment") => {
                    let id = text(&payload["attachment"], "id");
                    let kind = "SELECT type FROM attachments WHERE id = ?";
                    for [kind] in texts(log, kind, id)? {
                        asked.push_str(&format!("\n[attachment: {kind}]"));
                    }
                }
                (_, "reasoning") => reply.said.push(Said::Thought(said)),
                (_, "tool_call") => {
                    let name = text(&payload, "name").to_owned();
                    calls.push(Said::Call(call, name, payload["arguments"].clone()));
                }
                (_, "tool_result") => {
                    let went_well = payload["exception"].is_null();
                    let output = text(&payload, "output").to_owned();
                    reply.said.push(Said::Result(call, output, went_well));
                }
                (_, "text") => reply.said.push(Said::Answer(said)),
                _ => {}
            }
        }
        // An answer that was not streamed has its calls before what was said with them.
        reply.said.extend(calls);
        if role == "user" {
            // The fragments that it quotes come after it.
            let first = reply
                .said
                .iter()
                .position(|said| matches!(said, Said::Fragment(..)));
            let at = first.unwrap_or(reply.said.len());
            reply.said.insert(at, Said::User(asked));
        }
    }
    // Who only gives a system prompt asks nothing, and does not go on with the turn before.
    let goes_on = |said: &Said| matches!(said, Said::User(_) | Said::Result(..));
    if !reply.said.iter().any(goes_on) {
        reply.said.insert(0, Said::User(String::new()));
    }
    Ok(reply)
}

/// Reads a prompt that quotes fragments.
fn quoted(
    log: &Connection,
    payload: &Value,
    asked: &mut String,
    said: &mut Vec<Said>,
) -> Result<()> {
    for piece in payload["text_ref"].as_array().into_iter().flatten() {
        asked.push_str(text(piece, "literal"));
        let Some(fragment) = piece["fragment"].as_i64() else {
            continue;
        };
        let query = "SELECT source, content FROM fragments WHERE id = CAST(? AS INTEGER)";
        for [source, content] in texts(log, query, &fragment.to_string())? {
            said.push(Said::Fragment(source, content));
        }
    }
    Ok(())
}
