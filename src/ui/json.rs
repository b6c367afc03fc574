//! The JSON contract: one object for each command and turn. Times are RFC 3339 UTC, ids whole.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::sessions::Matches;
use crate::chat::{Chat, Ended, Quotes, Resumed};
use crate::conversation::Step;
use crate::store::{
    Around, CycleHit, Fact, Group, Hit, Interaction, Rows, Session, SessionSummary, Stats, User,
};
use crate::timeframe::Range;
use crate::tools::Cover;

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Maps user ids to names.
pub type Names = HashMap<String, String>;

fn brief(interaction: &Interaction, names: &Names) -> Value {
    json!({
        "interaction_id": interaction.interaction_id,
        "session_id": interaction.session_id,
        "user": names.get(&interaction.user_id),
        "timestamp": time(interaction.timestamp),
        "query": interaction.query,
        "response": interaction.response,
        "status": interaction.status,
        "provider": interaction.provider,
        "model": interaction.model,
        "answered_model": interaction.answered_model,
        "finish_reason": interaction.finish_reason,
        "first_token_ms": interaction.first_token_ms,
        "folder": interaction.folder,
        "branch": interaction.branch,
    })
}

fn briefs(interactions: &[Interaction], names: &Names) -> Value {
    interactions.iter().map(|turn| brief(turn, names)).collect()
}

fn with(kind: &str, fields: Value) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), kind.into());
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

fn step(step: &Step) -> Value {
    json!({
        "thought": step.thought,
        "action": step.action.as_ref().map(|call| json!({"name": call.name, "arguments": call.arguments})),
        "observation": step.observation,
        "success": step.success,
        "error": step.error,
        "started_at": time(step.started_at),
        "duration_ms": step.duration_ms,
    })
}

/// Returns a turn that has just ended.
pub fn turn(ended: &Ended, username: &str) -> Value {
    let interaction = &ended.interaction;
    let names = Names::from([(interaction.user_id.clone(), username.to_owned())]);
    let mut turn = with("turn", brief(interaction, &names));
    turn["usage"] = json!(interaction.usage());
    turn["duration_ms"] = json!(interaction.duration_ms);
    turn["steps"] = ended.steps.iter().map(step).collect();
    if ended.private {
        turn["private"] = json!(true);
    }
    if ended.redacted > 0 {
        turn["redacted"] = json!(ended.redacted);
    }
    if let Some(error) = &ended.failure {
        turn["error"] = json!(error.to_string());
        turn["hint"] = json!(error.hint());
    }
    turn
}

/// Returns the results of `/search`.
pub fn search(query: &str, mode: &str, hits: &[Hit], around: &[Around], names: &Names) -> Value {
    let mut hits = ranked(hits, names);
    for (hit, around) in hits.iter_mut().zip(around) {
        hit["before"] = briefs(&around.before, names);
        hit["after"] = briefs(&around.after, names);
    }
    json!({"type": "search", "query": query, "mode": mode, "count": hits.len(), "hits": hits})
}

/// Returns the results of `/similar`.
pub fn similar(hits: &[Hit], cycles: &[CycleHit], names: &Names) -> Value {
    let hits = ranked(hits, names);
    let cycle = |cycle: &CycleHit| {
        json!({
            "react_id": cycle.react_id,
            "interaction_id": cycle.interaction_id,
            "timestamp": time(cycle.timestamp),
            "similarity": cycle.similarity,
            "success": cycle.success,
            "steps": cycle.steps,
        })
    };
    let cycles: Vec<Value> = cycles.iter().map(cycle).collect();
    json!({"type": "similar", "count": hits.len(), "hits": hits, "cycles": cycles})
}

fn ranked(hits: &[Hit], names: &Names) -> Vec<Value> {
    let hit = |(index, hit): (usize, &Hit)| {
        let mut object = Map::new();
        object.insert("rank".to_owned(), json!(index + 1));
        if let Value::Object(brief) = brief(&hit.interaction, names) {
            object.extend(brief);
        }
        object.insert("score".to_owned(), json!(hit.score));
        object.insert("similarity".to_owned(), json!(hit.similarity));
        let parts = hit.parts.map(|parts| {
            json!({
                "meaning": parts.meaning(),
                "question": parts.question,
                "words": parts.share,
                "itself": parts.own(),
                "conversation": parts.conversation,
                "time": parts.is_timely,
            })
        });
        object.insert("parts".to_owned(), json!(parts));
        object.insert("matched".to_owned(), json!(matched(hit)));
        object.insert("same".to_owned(), json!(hit.count));
        Value::Object(object)
    };
    hits.iter().enumerate().map(hit).collect()
}

fn matched(hit: &Hit) -> Option<Value> {
    let matched = hit.matched.as_ref()?;
    // In characters, which is what people slice by.
    let characters = |bytes: usize| matched.text[..bytes].chars().count();
    let marks = matched.marks.iter();
    let marks = marks.map(|mark| [characters(mark.start), characters(mark.end)]);
    Some(
        json!({"source": matched.source, "text": matched.text, "marks": marks.collect::<Vec<_>>()}),
    )
}

/// Returns the exact requests of a turn.
pub fn context(interaction: &Interaction, requests: &[String]) -> Value {
    json!({"type": "context", "interaction_id": interaction.interaction_id, "count": requests.len(), "requests": requests})
}

/// Returns the steps of a turn.
pub fn scratchpad(interaction: &Interaction, steps: &[Step]) -> Value {
    json!({
        "type": "scratchpad",
        "interaction_id": interaction.interaction_id,
        "timestamp": time(interaction.timestamp),
        "query": interaction.query,
        "response": interaction.response,
        "status": interaction.status,
        "count": steps.len(),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

/// Returns what is recalled.
pub fn recalled(interactions: &[Interaction], quotes: &Quotes) -> Value {
    let recalled: Vec<Value> = quotes
        .of(interactions)
        .map(|interaction| {
            json!({
                "interaction_id": interaction.interaction_id,
                "timestamp": time(interaction.timestamp),
                "query": interaction.query,
                "response": interaction.response,
            })
        })
        .collect();
    json!({"type": "recall", "count": recalled.len(), "tokens": quotes.tokens, "left_out": quotes.left_out, "interactions": recalled})
}

/// Returns facts.
pub fn facts(facts: &[Fact]) -> Value {
    let fact = |fact: &Fact| json!({"interaction_id": fact.interaction_id, "timestamp": time(fact.timestamp), "fact": fact.text});
    let facts: Vec<Value> = facts.iter().map(fact).collect();
    json!({"type": "facts", "count": facts.len(), "facts": facts})
}

/// Returns the turns of a conversation, and how many earlier ones are left out.
pub fn history(turns: &[Interaction], names: &Names, more: usize) -> Value {
    json!({"type": "history", "count": turns.len(), "more": more, "interactions": briefs(turns, names)})
}

/// Returns what was asked when, and in which conversation.
pub fn questions(turns: &[Interaction]) -> Value {
    let question = |turn: &Interaction| json!({"interaction_id": turn.interaction_id, "session_id": turn.session_id, "timestamp": time(turn.timestamp), "query": turn.query});
    turns.iter().map(question).collect()
}

/// Returns one turn in brief.
pub fn last(interaction: &Interaction, names: &Names) -> Value {
    with("last", brief(interaction, names))
}

/// Returns users.
pub fn users(users: &[User]) -> Value {
    let user = |user: &User| json!({"user_id": user.user_id, "username": user.username, "role": user.role(), "created_at": time(user.created_at)});
    let users: Vec<Value> = users.iter().map(user).collect();
    json!({"type": "users", "count": users.len(), "users": users})
}

/// Returns the rows of a query.
pub fn rows(rows: &Rows) -> Value {
    json!({"type": "sql", "columns": rows.columns, "count": rows.rows.len(), "more": rows.more, "rows": rows.rows})
}

/// Returns the tools.
pub fn tools(chat: &Chat) -> Value {
    let tools = chat.settings.tools.list();
    let tools: Vec<Value> = tools
        .map(|(tool, on)| {
            let spec = tool.spec();
            let approved = chat.approved(&spec.name);
            let asks = tool.mutates() && !approved.contains(&Cover::Tool);
            let approved = approved.iter().filter(|_| tool.mutates());
            let approved: Vec<String> = approved.map(ToString::to_string).collect();
            json!({"name": spec.name, "offered": on, "asks_first": asks, "approved": approved, "description": spec.description, "parameters": spec.parameters})
        })
        .collect();
    json!({"type": "tools", "count": tools.len(), "tools": tools})
}

/// Returns the interactions of a window of time, and how many earlier ones are left out.
pub fn timeframe(range: &Range, interactions: &[Interaction], names: &Names, more: usize) -> Value {
    json!({"type": "timeframe", "from": time(range.from), "to": time(range.until), "count": interactions.len(), "more": more, "interactions": briefs(interactions, names)})
}

/// Returns everything about an interaction.
pub fn show(
    interaction: &Interaction,
    steps: &[Step],
    requests: Option<&[String]>,
    names: &Names,
) -> Value {
    let mut show = with("show", brief(interaction, names));
    show["usage"] = json!(interaction.usage());
    show["duration_ms"] = json!(interaction.duration_ms);
    show["facts"] = json!(interaction.facts_extracted);
    show["metadata"] = serde_json::from_str(&interaction.metadata).unwrap_or_default();
    show["steps"] = steps.iter().map(step).collect();
    show["requests"] = json!(requests);
    show
}

/// Returns sessions, what matched of each if something was looked for, and how many are left out.
pub fn sessions(sessions: &[SessionSummary], matches: &Matches, more: usize) -> Value {
    let session = |summary: &SessionSummary| {
        let session = &summary.session;
        let mut object = json!({
            "session_id": session.session_id,
            "created_at": time(session.created_at),
            "last_active": time(session.last_active),
            "title": session.title,
            "turns": summary.turns,
            "usage": summary.usage,
            "provider": session.provider,
            "model": session.model,
        });
        if let Some(score) = matches.scores.get(&session.session_id) {
            let hit = matches.hits.get(&session.session_id);
            object["score"] = json!(score);
            object["matched"] = json!(hit.and_then(matched));
        }
        object
    };
    let sessions: Vec<Value> = sessions.iter().map(session).collect();
    json!({"type": "sessions", "count": sessions.len(), "more": more, "sessions": sessions})
}

/// Returns a session, and all of its turns in brief.
pub fn session(session: &Session, turns: &[Interaction], names: &Names) -> Value {
    json!({
        "type": "session",
        "session_id": session.session_id,
        "user": names.get(&session.user_id),
        "created_at": time(session.created_at),
        "title": session.title,
        "provider": session.provider,
        "model": session.model,
        "count": turns.len(),
        "interactions": briefs(turns, names),
    })
}

/// Returns a conversation that goes on, and its last turn in brief.
pub fn resumed(session_id: &str, title: &str, resumed: &Resumed, names: &Names) -> Value {
    let last = resumed.last.as_ref().map(|last| brief(last, names));
    json!({"type": "resume", "session_id": session_id, "title": title, "turns": resumed.turns, "last": last})
}

/// Returns what the store is made of.
pub fn stats(stats: &Stats) -> Value {
    let tables: Map<String, Value> = stats
        .tables
        .iter()
        .map(|table| (table.name.to_owned(), json!(table)))
        .collect();
    json!({
        "type": "stats",
        "tables": tables,
        "disk_bytes": stats.disk_bytes,
        "embedding": {"model": stats.model, "dimension": stats.dimension},
        "turns": stats.turns,
        "usage": stats.usage,
        "finish_reasons": stats.finish_reasons,
        "groups": [],
    })
}

/// Returns what the store is made of, and what turns add up to.
pub fn groups(by: &str, groups: &[Group], stats: &Stats) -> Value {
    let mut value = self::stats(stats);
    value["by"] = json!(by);
    value["count"] = json!(groups.len());
    value["groups"] = json!(groups);
    value
}
