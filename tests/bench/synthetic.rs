//! Makes histories that look like real ones, from a seed: topics with words of their own, common words among them, people and
//! sessions of uneven size, two years of time.

use allm::conversation::{Status, Step, ToolCall, Usage};
use allm::store::{Interaction, Session, Turn, now};
use chrono::TimeDelta;
use serde_json::json;

pub const TOPICS: u64 = 400;
/// How many words a topic has to itself, and how many all topics share.
const OWN: u64 = 40;
const COMMON: u64 = 2_000;
/// In minutes: two years.
const SPAN: u64 = 2 * 365 * 24 * 60;

/// Is a small generator of numbers that are the same everywhere (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Returns a place in a list of so many.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }
}

/// Returns a word that can be said.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ka", "lo", "mi", "ter", "sun", "pra", "vel", "dor", "nex", "qui", "bar", "zo", "fi",
        "gra", "hul", "jen",
    ];
    let mut numbers = Numbers(number);
    let length = 2 + numbers.below(3);
    (0..length)
        .map(|_| SYLLABLES[usize::try_from(numbers.below(16)).unwrap_or_default()])
        .collect()
}

/// Returns one of the words that a topic has to itself.
fn own_word(topic: u64, at: u64) -> String {
    word(1_000_000 + topic * OWN + at)
}

/// Returns the words that topics have to themselves, with their topics.
pub fn own_words() -> impl Iterator<Item = (String, u64)> {
    (0..TOPICS).flat_map(|topic| (0..OWN).map(move |at| (own_word(topic, at), topic)))
}

/// Returns some sentences about a topic.
pub fn text(seed: u64, topic: u64, words: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut text = String::new();
    for at in 0..words {
        // A third of the words are the topic's own, the frequent ones first.
        let word = if numbers.below(3) == 0 {
            own_word(topic, numbers.below(OWN).min(numbers.below(OWN)))
        } else {
            let first = numbers.below(COMMON).min(numbers.below(COMMON));
            word(first.min(numbers.below(COMMON)))
        };
        text.push_str(&word);
        text.push_str(if at % 12 == 11 { ". " } else { " " });
    }
    text.trim_end().to_owned()
}

/// Returns turn number `number` of a history; `users` holds the ids of its people, the busiest first.
pub fn turn(number: u64, of: u64, users: &[(String, String)]) -> Turn {
    let session = number / 8;
    let mut numbers = Numbers(session);
    let topic = numbers.below(TOPICS).min(numbers.below(TOPICS));
    let busiest = numbers
        .below(users.len() as u64)
        .min(numbers.below(users.len() as u64));
    let (user_id, username) = users[usize::try_from(busiest).unwrap_or_default()].clone();
    let mut numbers = Numbers(number + 1_000_003);
    let age = SPAN * (of - number) / of;
    let at = now() - TimeDelta::minutes(i64::try_from(age).unwrap_or_default());
    let session_id = format!("{session:08x}-0000-4000-8000-000000000000");
    let query = text(number * 2, topic, 8 + numbers.below(16));
    let mut interaction = Interaction::begin(&session_id, &query, at);
    let words = 30 + numbers.below(120);
    interaction.response = text(number * 2 + 1, topic, words);
    interaction.user_id.clone_from(&user_id);
    interaction.status = Status::Completed;
    "ollama".clone_into(&mut interaction.provider);
    let models = ["llama3.2", "qwen3", "gpt-oss"];
    models[usize::try_from(numbers.below(3)).unwrap_or_default()]
        .clone_into(&mut interaction.model);
    interaction.duration_ms = i64::try_from(500 + numbers.below(20_000)).unwrap_or_default();
    interaction.token_usage = json!(Usage {
        input_tokens: Some(200 + numbers.below(4000)),
        output_tokens: Some(words),
    })
    .to_string();
    let step = || Step {
        thought: text(number * 3, topic, 15),
        action: Some(ToolCall {
            name: "search_files".to_owned(),
            arguments: json!({"regex": word(topic)}),
            ..ToolCall::default()
        }),
        observation: text(number * 5, topic, 40),
        success: true,
        started_at: at,
        duration_ms: 20,
        ..Step::default()
    };
    Turn {
        store: String::new(),
        uri: String::new(),
        username,
        session: Session {
            session_id,
            user_id,
            created_at: at,
            last_active: at,
            title: Some(query),
            ..Session::default()
        },
        interaction,
        steps: if number.is_multiple_of(10) {
            vec![step()]
        } else {
            Vec::new()
        },
        requests: Vec::new(),
        quotes_only: false,
        quoting: Vec::new(),
        erasures: 0,
        redacted: 0,
    }
}
