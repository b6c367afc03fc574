//! No model: an extractive policy that searches the history and quotes the closest passages.

use futures::future::BoxFuture;
use futures::stream;
use serde::Deserialize;
use serde_json::json;

use super::{ChatEvent, ChatRequest, ChatStream, End, Provider, ProviderError};
use crate::conversation::{Message, ToolCall, short_id};

/// The tool that searches the history.
const SEARCH: &str = "search_memory";
/// How many passages are quoted.
const QUOTED: usize = 3;
/// Passages less like the question than this are not quoted: with all-MiniLM-L6-v2, unrelated texts stay below it.
const FLOOR: f64 = 0.3;

/// Answers without a model.
pub struct Offline;

#[derive(Deserialize)]
struct Observation {
    hits: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    interaction_id: String,
    date: String,
    query: String,
    source: String,
    passage: String,
    similarity: Option<f64>,
}

impl Provider for Offline {
    fn name(&self) -> &'static str {
        "offline"
    }

    fn chat(&self, request: ChatRequest) -> ChatStream {
        let can_search = request.may_call && request.tools.iter().any(|tool| tool.name == SEARCH);
        let mut events = match request.messages.last() {
            Some(Message::User(text)) if can_search => {
                vec![ChatEvent::ToolCall(ToolCall {
                    id: "call_0".to_owned(),
                    name: SEARCH.to_owned(),
                    arguments: json!({"query": text}),
                    ..ToolCall::default()
                })]
            }
            Some(Message::Tool { text, .. }) => answer(text)
                .split_inclusive('\n')
                .map(|line| ChatEvent::Text(line.to_owned()))
                .collect(),
            _ => vec![ChatEvent::Text(
                "I have neither a model to ask nor a history to search.".to_owned(),
            )],
        };
        events.push(ChatEvent::Done(End::default()));
        Box::pin(stream::iter(events.into_iter().map(Ok)))
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, ProviderError>> {
        Box::pin(async { Ok(vec!["extractive".to_owned()]) })
    }
}

/// Returns the answer to what a search of the history has found.
fn answer(observation: &str) -> String {
    let Ok(Observation { hits }) = serde_json::from_str(observation) else {
        return format!(
            "I have no model to ask, and the history cannot be searched: {observation}"
        );
    };
    let close: Vec<Found> = hits
        .into_iter()
        .filter(|hit| hit.similarity.is_none_or(|similarity| similarity >= FLOOR))
        .take(QUOTED)
        .collect();
    if close.is_empty() {
        return "Nothing like that is recorded yet, and there is no model to ask. What you record is quoted when you come back to it.".to_owned();
    }
    let mut text = "There is no model to ask. This is the closest of what is recorded:".to_owned();
    for hit in close {
        let about = match hit.source.as_str() {
            "query" => "you wrote".to_owned(),
            _ => format!(
                "the answer to “{}”",
                hit.query.lines().next().unwrap_or_default()
            ),
        };
        let quoted = hit
            .passage
            .lines()
            .map(|line| format!("> {line}"))
            .collect::<Vec<_>>()
            .join("\n");
        text.push_str(&format!(
            "\n\n{} · {} · {about}\n{quoted}",
            hit.date,
            short_id(&hit.interaction_id)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_passages_are_quoted_with_date_and_id() {
        let hit = |source: &str, similarity: f64| json!({"interaction_id": "1a2b3c4d-5e6f", "date": "2026-11-20 14:02", "query": "why?", "source": source, "passage": "a\nb", "similarity": similarity});
        let text = answer(
            &json!({"hits": [hit("query", 0.9), hit("response", 0.5), hit("query", 0.1)]})
                .to_string(),
        );
        assert_eq!(
            text,
            "There is no model to ask. This is the closest of what is recorded:\n\n\
             2026-11-20 14:02 · 1a2b3c4d · you wrote\n> a\n> b\n\n\
             2026-11-20 14:02 · 1a2b3c4d · the answer to “why?”\n> a\n> b"
        );
        assert!(answer(r#"{"hits":[]}"#).starts_with("Nothing like that is recorded yet"));
        assert!(answer("error: disk on fire").ends_with("error: disk on fire"));
    }
}
