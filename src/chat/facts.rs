//! Asks the model what an answer has taught, after it was given and beside the conversation.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinError;

use super::{Chat, Memory};
use crate::agent::prompt::room;
use crate::agent::{Frontend, TurnEvent};
use crate::conversation::{Message, Usage};
use crate::provider::{ChatEvent, ChatRequest, ChatStream, Options, Provider, ProviderError};
use crate::store::Interaction;
use crate::tools::shorten;

/// What the model is asked to do.
const PROMPT: &str = include_str!("../../assets/prompts/facts.md");
/// More facts than this are no facts.
const MOST: usize = 20;
/// The longest answer, in tokens: room for as many facts, and for some thought before them.
const LONGEST: u32 = 2048;
/// How long the model may take.
const PATIENCE: Duration = Duration::from_mins(1);

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
            self.options(),
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
        // No temperature: some models take none but their own.
        options: Options {
            temperature: None,
            max_tokens: Some(LONGEST),
            ..options
        },
        stop: Vec::new(),
        format: Some(schema()),
    };
    let mut answer = Drawn::default();
    let whole = tokio::time::timeout(PATIENCE, answer.hear(provider.chat(request))).await;
    let facts = match (answer.facts(), whole) {
        // What came whole is kept, whatever came then.
        (Some(facts), _) => facts,
        (None, Ok(heard)) => {
            heard?;
            bail!(
                "the model answered no facts but `{}`",
                shorten(answer.text.trim(), 200)
            )
        }
        (None, Err(_)) => bail!("the model took longer than {} s", PATIENCE.as_secs()),
    };
    // What could not be stored is told of elsewhere.
    if !memory.backlog.done().await {
        return Ok(());
    }
    let store = memory.store.quiet();
    let id = &interaction.interaction_id;
    store.add_facts(id, &facts, answer.usage).await
}

/// Holds what a model has answered.
#[derive(Default)]
struct Drawn {
    text: String,
    usage: Option<Usage>,
}

impl Drawn {
    /// Listens until the answer ends, or has as many facts as are kept.
    async fn hear(&mut self, mut events: ChatStream) -> Result<(), ProviderError> {
        while let Some(event) = events.next().await {
            match event? {
                ChatEvent::Text(text) => {
                    self.text += &text;
                    if text.contains('}') && triples(&self.text).len() >= MOST {
                        return Ok(());
                    }
                }
                ChatEvent::Done(end) => self.usage = end.usage,
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the facts in the answer, which may wrap its JSON into words or be cut off; none where it has nothing of the kind.
    fn facts(&self) -> Option<Vec<String>> {
        // A model that thinks aloud may use braces before it answers.
        let mut starts = self.text.match_indices('{').map(|(at, _)| at);
        let whole: Option<Answer> = starts.find_map(|at| first(&self.text[at..]));
        let triples = match whole {
            Some(answer) => answer.facts,
            None => Some(triples(&self.text)).filter(|triples| !triples.is_empty())?,
        };
        let word = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut facts: Vec<String> = Vec::new();
        for triple in triples {
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
        Some(facts)
    }
}

/// Returns the triples of an answer that has no end.
fn triples(answer: &str) -> Vec<Triple> {
    // The last list: what a model thinks aloud before it is none.
    let mut rest = &answer[answer.rfind("\"facts\"").unwrap_or(0)..];
    let mut found = Vec::new();
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Triple>();
        let end = match values.next() {
            Some(Ok(triple)) => {
                found.push(triple);
                values.byte_offset()
            }
            _ => 1,
        };
        rest = &rest[end..];
    }
    found
}

/// Reads the JSON value that a text begins with.
fn first<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    values.next()?.ok()
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
        "properties": {"facts": {"type": "array", "items": fact, "maxItems": MOST}},
        "required": ["facts"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn read(answer: &str) -> Option<Vec<String>> {
        let text = answer.to_owned();
        let usage = None;
        Drawn { text, usage }.facts()
    }

    #[test]
    fn facts_are_read_from_json_with_or_without_words_around_it() {
        let json = r#"{"facts":[{"subject":"the user","predicate":"works\n on","object":"allm"},{"subject":"the user","predicate":"works on","object":"allm"},{"subject":" ","predicate":"x","object":"y"}]}"#;
        let expected = Some(vec!["the user --[works on]--> allm".to_owned()]);
        assert_eq!(read(json), expected);
        let wrapped = format!("<think>{{hm}}</think>\n```json\n{json}\n```");
        assert_eq!(read(&wrapped), expected);
        // Cut off, or the list alone.
        for end in [
            json.len() - 1,
            json.len() - 5,
            json.find("},{").unwrap() + 5,
        ] {
            assert_eq!(read(&json[..end]), expected, "{}", &json[..end]);
        }
        assert_eq!(read(&json["{\"facts\":".len()..json.len() - 1]), expected);
        assert_eq!(read(r#"{"facts":[]}"#), Some(Vec::new()));
        assert_eq!(read("I cannot do that"), None);
        assert_eq!(read(r#"{"facts":[{"subject":"the"#), None);
    }

    #[tokio::test]
    async fn a_model_that_does_not_end_is_not_listened_to_for_ever() {
        let triple = |n: usize| format!(r#"{{"subject":"s{n}","predicate":"p","object":"o"}},"#);
        let said = (0..).map(move |n| Ok(ChatEvent::Text(triple(n))));
        let start = Ok(ChatEvent::Text(r#"{"facts":["#.to_owned()));
        let mut drawn = Drawn::default();
        let events = stream::iter([start].into_iter().chain(said));
        drawn.hear(Box::pin(events)).await.unwrap();
        assert_eq!(drawn.facts().map(|facts| facts.len()), Some(MOST));
    }
}
