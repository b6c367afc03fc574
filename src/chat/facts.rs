//! Asks the model what an answer has taught, after it was given and beside the conversation.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinError;

use super::{Chat, Memory};
use crate::agent::prompt::room;
use crate::agent::{Frontend, TurnEvent};
use crate::conversation::Message;
use crate::provider::{ChatEvent, ChatRequest, Options, Provider};
use crate::store::Interaction;
use crate::tools::shorten;

/// What the model is asked to do.
const PROMPT: &str = include_str!("../../assets/prompts/facts.md");
/// More facts than this are no facts.
const MOST: usize = 20;

#[derive(Deserialize)]
struct Answer {
    facts: Vec<Triple>,
}

#[derive(Deserialize)]
struct Triple {
    subject: String,
    predicate: String,
    object: String,
}

impl Chat {
    /// Asks the model for the facts of an interaction, in the background.
    pub(super) fn learn(&mut self, interaction: &Interaction) {
        self.learning.spawn(learn(
            self.memory.clone(),
            Arc::clone(&self.settings.provider),
            self.settings.model.clone(),
            self.settings.options.clone(),
            interaction.clone(),
        ));
    }

    /// Says once that facts cannot be had.
    pub(super) fn report_learning(&mut self, frontend: &mut dyn Frontend) {
        while let Some(learned) = self.learning.try_join_next() {
            if let Some(notice) = self.complaint(learned) {
                frontend.show(TurnEvent::Notice(&notice));
            }
        }
    }

    pub(super) fn complaint(&mut self, learned: Result<Result<()>, JoinError>) -> Option<String> {
        let error = learned.map_err(Into::into).flatten().err()?;
        if std::mem::replace(&mut self.complained, true) {
            return None;
        }
        Some(format!("no facts were drawn from an answer: {error:#}"))
    }
}

/// Asks for the facts of an interaction, and stores them with it.
async fn learn(
    memory: Memory,
    provider: Arc<dyn Provider>,
    model: String,
    options: Options,
    interaction: Interaction,
) -> Result<()> {
    let longest = room(&options) * 3 / 4;
    let conversation = format!(
        "User: {}\n\nAssistant: {}",
        shorten(&interaction.query, longest),
        shorten(&interaction.response, longest)
    );
    let request = ChatRequest {
        model,
        messages: vec![
            Message::System(PROMPT.trim().to_owned()),
            Message::User(conversation),
        ],
        tools: Vec::new(),
        may_call: false,
        options: Options {
            temperature: Some(0.0),
            max_tokens: None,
            ..options
        },
        stop: Vec::new(),
        format: Some(schema()),
    };
    let mut events = provider.chat(request);
    let mut answer = String::new();
    while let Some(event) = events.next().await {
        if let ChatEvent::Text(text) = event? {
            answer.push_str(&text);
        }
    }
    let facts = read(&answer)?;
    // What could not be stored is told of elsewhere.
    if !memory.backlog.done().await {
        return Ok(());
    }
    let store = memory.store.quiet();
    store.add_facts(&interaction.interaction_id, &facts).await
}

/// Reads the facts out of an answer, which may wrap its JSON into words.
fn read(answer: &str) -> Result<Vec<String>> {
    let context = || {
        format!(
            "the model answered no facts but `{}`",
            shorten(answer.trim(), 200)
        )
    };
    // A model that thinks aloud may use braces before it answers.
    let mut starts = answer.match_indices('{').map(|(at, _)| at);
    let found: Option<Answer> = starts.find_map(|at| {
        let mut values = serde_json::Deserializer::from_str(&answer[at..]).into_iter::<Answer>();
        values.next()?.ok()
    });
    let word = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut facts: Vec<String> = Vec::new();
    for triple in found.with_context(context)?.facts {
        let (subject, predicate, object) = (
            word(&triple.subject),
            word(&triple.predicate),
            word(&triple.object),
        );
        let fact = format!("{subject} --[{predicate}]--> {object}");
        if !subject.is_empty() && !object.is_empty() && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts.truncate(MOST);
    Ok(facts)
}

fn schema() -> Value {
    let text = json!({"type": "string"});
    let fact = json!({
        "type": "object",
        "properties": {"subject": text, "predicate": text, "object": text},
        "required": ["subject", "predicate", "object"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {"facts": {"type": "array", "items": fact}},
        "required": ["facts"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_json_with_or_without_words_around_it() {
        let json = r#"{"facts":[{"subject":"the user","predicate":"works\n on","object":"allm"},{"subject":"the user","predicate":"works on","object":"allm"},{"subject":" ","predicate":"x","object":"y"}]}"#;
        let expected = ["the user --[works on]--> allm"];
        assert_eq!(read(json).unwrap(), expected);
        assert_eq!(
            read(&format!("<think>{{hm}}</think>\n```json\n{json}\n```")).unwrap(),
            expected
        );
        assert!(read(r#"{"facts":[]}"#).unwrap().is_empty());
        let error = read("I cannot do that").unwrap_err().to_string();
        assert_eq!(error, "the model answered no facts but `I cannot do that`");
    }
}
