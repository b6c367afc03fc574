//! What is recorded of a turn besides what was said: who, when, with what, and what else is to be known.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Chat, Quotes, SearchMemory, place};
use crate::agent::Transcript;
use crate::conversation::{Finish, Status, title};
use crate::provider::ProviderError;
use crate::store::{self, Interaction, Session, Turn};
use crate::tools::Toolbox;

impl Chat {
    /// Returns what the model may call in the next turn.
    pub(super) fn tools(&self) -> Toolbox {
        let memory = self.memory.clone();
        if self.is_offline() {
            // It needs no other, and this one always.
            return Toolbox::of(Arc::new(SearchMemory::new(memory)));
        }
        let mut tools = self.settings.tools.clone();
        // What the model is told anyway is no find; what did not fit is.
        if self.live.left_out == 0 {
            let elsewhere = SearchMemory::except(memory, &self.live.session_id);
            tools.replace(Arc::new(elsewhere));
        }
        tools
    }

    /// Takes note of what a turn has told of its model, for the next one.
    pub(super) fn note_ways(&mut self, transcript: &Transcript) {
        self.live.left_out = self.live.left_out.max(transcript.left_out);
        let model = &self.settings.model;
        if let Some(style) = transcript.style {
            self.styles.insert(model.clone(), style);
        }
        if let Some(window) = transcript.window {
            self.windows.insert(model.clone(), window);
        }
    }

    /// Returns a turn that has just begun.
    pub(super) fn begin(&self, query: &str) -> Turn {
        let (now, settings) = (store::now(), &self.settings);
        let session = self.live.session.clone().unwrap_or_else(|| Session {
            session_id: self.live.session_id.clone(),
            created_at: now,
            last_active: now,
            provider: settings.provider.name().to_owned(),
            model: settings.model.clone(),
            temperature: settings.options.temperature,
            max_tokens: settings.options.max_tokens.map(i64::from),
            seed: settings.options.seed,
            system_prompt: settings.system.clone(),
            title: Some(title(&self.memory.store.cleaned_text(query))),
            metadata: "{}".to_owned(),
            ..Session::default()
        });
        let mut interaction = Interaction::begin(&session.session_id, query, now);
        settings
            .provider
            .name()
            .clone_into(&mut interaction.provider);
        interaction.model.clone_from(&settings.model);
        interaction.user_id.clone_from(&self.memory.user_id);
        (interaction.folder, interaction.branch) = place::here();
        Turn {
            store: String::new(),
            uri: String::new(),
            username: self.memory.username.clone(),
            session,
            interaction,
            steps: Vec::new(),
            requests: Vec::new(),
            quotes_only: self.is_offline(),
            quoting: vec![SearchMemory::NAME.to_owned()],
            erasures: 0,
            redacted: 0,
        }
    }
}

/// Takes down what has come of a turn that has ended.
pub fn take_down(turn: &mut Turn, transcript: Transcript) -> serde_json::Result<()> {
    let interaction = &mut turn.interaction;
    let finish = match interaction.status {
        Status::Completed => transcript.finish,
        Status::Interrupted => None,
        Status::Failed => Some(Finish::Error),
    };
    interaction.finish_reason = finish.map(|finish| finish.as_str().to_owned());
    interaction.answered_model = Some(transcript.model).filter(|model| !model.is_empty());
    let first_token = transcript.first_token.map(|took| took.as_millis());
    interaction.first_token_ms = first_token.and_then(|took| i64::try_from(took).ok());
    interaction.token_usage = serde_json::to_string(&transcript.usage)?;
    interaction.response = transcript.answer;
    turn.steps = transcript.steps;
    turn.requests = transcript.requests;
    Ok(())
}

/// Returns how many tokens of the model's window the last request took with its reply, where the server counts both.
pub fn taken(transcript: &Transcript) -> Option<u64> {
    let usage = transcript.counted?;
    Some(usage.input_tokens? + usage.output_tokens?)
}

/// What the metadata of a turn say whose model was told to call no more tools.
const OUT_OF_STEPS: &str = "out_of_steps";

/// Returns whether the metadata of a turn say that its model was told to call no more tools.
pub fn out_of_steps(metadata: &str) -> bool {
    let metadata: Option<Value> = serde_json::from_str(metadata).ok();
    metadata.is_some_and(|metadata| metadata[OUT_OF_STEPS] == true)
}

/// Returns what else is to be known about a turn, as JSON text.
pub fn metadata(
    failure: Option<&ProviderError>,
    quotes: &Quotes,
    transcript: &Transcript,
) -> String {
    let mut metadata = Map::new();
    if let Some(error) = failure {
        metadata.insert("error".to_owned(), json!(error.to_string()));
    }
    if !quotes.ids.is_empty() {
        metadata.insert("recalled".to_owned(), json!(quotes.ids));
    }
    if transcript.left_out > 0 {
        metadata.insert("turns_left_out".to_owned(), json!(transcript.left_out));
    }
    if transcript.out_of_steps {
        metadata.insert(OUT_OF_STEPS.to_owned(), json!(true));
    }
    if let Some((sent, read)) = transcript.truncated {
        let truncated = json!({"tokens_sent_about": sent, "tokens_read": read});
        metadata.insert("truncated".to_owned(), truncated);
    }
    Value::Object(metadata).to_string()
}
