//! A turn as it is written down: all that is recorded of it, without its secrets.

use serde::{Deserialize, Serialize};

use crate::conversation::Step;
use crate::redact::Redactor;
use crate::store::tables::{Interaction, Session, User};

/// Holds all that is recorded of a turn; embeddings and passages are made from it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Turn {
    /// The id of the store that the turn belongs to; filled in when it begins.
    #[serde(default)]
    pub store: String,
    /// In journals of before, where the tables were.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    pub username: String,
    pub session: Session,
    pub interaction: Interaction,
    pub steps: Vec<Step>,
    /// The exact bodies of the requests that were sent; in the journal each has a line of its own.
    #[serde(skip)]
    pub requests: Vec<String>,
    /// The answer only quotes the history, so it is not made findable a second time.
    pub quotes_only: bool,
    /// The tools whose observations only quote the history.
    #[serde(default)]
    pub quoting: Vec<String>,
    /// How often something had been removed when the turn began.
    #[serde(default)]
    pub erasures: u64,
    /// How many secrets were taken out of what is stored.
    #[serde(default)]
    pub redacted: usize,
}

impl Turn {
    /// Says who speaks.
    pub fn attribute(&mut self, user: &User) {
        self.username.clone_from(&user.username);
        self.session.user_id.clone_from(&user.user_id);
        self.interaction.user_id.clone_from(&user.user_id);
    }

    /// Takes the secrets out.
    pub fn clean(&mut self, redactor: &Redactor) {
        let clean = |text: &mut String| redactor.clean(text);
        let (session, interaction) = (&mut self.session, &mut self.interaction);
        clean(&mut session.system_prompt);
        clean(&mut session.metadata);
        session.title.as_mut().map(clean);
        let mut count = clean(&mut interaction.query) + clean(&mut interaction.response);
        clean(&mut interaction.metadata);
        interaction.folder.as_mut().map(clean);
        interaction.branch.as_mut().map(clean);
        count += interaction
            .facts_extracted
            .iter_mut()
            .map(clean)
            .sum::<usize>();
        let steps = self.steps.iter_mut();
        count += steps.map(|step| clean_step(step, redactor)).sum::<usize>();
        // What is in there was counted where it was said.
        for body in &mut self.requests {
            clean(body);
        }
        self.redacted += count;
    }
}

/// Takes the secrets out of a step. Returns how many there were.
pub fn clean_step(step: &mut Step, redactor: &Redactor) -> usize {
    let mut count = redactor.clean(&mut step.thought) + redactor.clean(&mut step.observation);
    step.error.as_mut().map(|error| redactor.clean(error));
    if let Some(action) = &mut step.action {
        count += redactor.clean_value(&mut action.arguments);
        action.attached.values_mut().for_each(|value| {
            redactor.clean_value(value);
        });
    }
    // What is in there was counted as a thought.
    if let Some(message) = &mut step.message {
        redactor.clean(&mut message.text);
        message.attached.values_mut().for_each(|value| {
            redactor.clean_value(value);
        });
    }
    count
}
