//! Text for a person: errors in three lines, the line under an answer, a whole interaction.

use chrono::{DateTime, Utc};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Value, json};

use super::slips::nearest;
use super::theme::{Look, alarm, bytes, dim, one_line, strong, visible};
use crate::conversation::{Finish, Status, Step, ToolCall, counted, cut, short_id};
use crate::provider::ProviderError;
use crate::store::{Hinted, Interaction};
use crate::timeframe::Zone;

/// Returns what a person can do about an error, if we know it.
fn hint(error: &anyhow::Error) -> Option<String> {
    // What is a context of another error is not found by going through the causes.
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    error.chain().find_map(|cause| {
        let hinted = cause
            .downcast_ref::<Hinted>()
            .map(|hinted| hinted.hint.clone());
        hinted.or_else(|| {
            cause
                .downcast_ref::<ProviderError>()
                .and_then(ProviderError::hint)
        })
    })
}

/// Returns what an error says, without the place in a library's code that LanceDB adds to it.
fn own_words(text: &str) -> String {
    let said = text.split(", /").next().unwrap_or_default();
    said.trim_start_matches("lance error: ").to_owned()
}

/// Returns the causes of an error, without those that only say again what stands above them.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut said = own_words(&error.to_string());
    let mut causes = Vec::new();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Libraries repeat their source in their own message.
        let cause = own_words(&cause);
        if !said.contains(&cause) {
            said.push_str(&cause);
            causes.push(cause);
        }
    }
    causes
}

/// Returns an error and its causes on one line.
pub fn brief(error: &anyhow::Error) -> String {
    std::iter::once(own_words(&error.to_string()))
        .chain(causes(error))
        .collect::<Vec<_>>()
        .join(": ")
}

/// Puts an error of the command parser into our own form.
pub fn usage(error: &clap::Error) -> anyhow::Error {
    let (message, hint) = misunderstood(error);
    anyhow::Error::new(Hinted { message, hint })
}

/// Returns what the command parser did not understand, and what to do about it.
fn misunderstood(error: &clap::Error) -> (String, String) {
    let told = |kind| error.get(kind).map(ToString::to_string);
    let suggested = |word: Option<String>, kind| {
        let suggestions = match error.get(kind)? {
            ContextValue::Strings(words) => words.clone(),
            _ => told(kind).into_iter().collect(),
        };
        let near = nearest(&word?, suggestions.iter().map(String::as_str));
        near.map(str::to_owned)
    };
    let near = |word: String| format!("did you mean `{word}`?");
    let explained = || "`--help` explains it".to_owned();
    let is_missing = matches!(
        error.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_missing {
        return ("say what to do".to_owned(), explained());
    }
    if let Some(name) = told(ContextKind::InvalidSubcommand) {
        // In a chat commands have a slash, outside they have none.
        let (help, slash) = if name.starts_with('/') {
            ("/help", "/")
        } else {
            ("allm --help", "")
        };
        let near = suggested(Some(name.clone()), ContextKind::SuggestedSubcommand)
            .map(|word| near(format!("{slash}{}", word.trim_start_matches('/'))) + " ");
        let mut hint = format!("{}`{help}` lists the commands", near.unwrap_or_default());
        if !slash.is_empty() {
            hint.push_str(&format!(", `/{name}` says it to the model"));
        }
        return (format!("there is no command `{name}`"), hint);
    }
    // What is wrong comes first, and then advice, which is ours.
    let rendered = error.render().to_string();
    let message = rendered.split("\n\n").next().unwrap_or_default();
    let message = message.trim_start_matches("error: ").split_whitespace();
    let message = message.collect::<Vec<_>>().join(" ");
    let usage = told(ContextKind::Usage).and_then(|usage| {
        let line = usage.lines().next()?.trim_start_matches("Usage:").trim();
        Some(format!("usage: {line}"))
    });
    let named = suggested(told(ContextKind::InvalidArg), ContextKind::SuggestedArg);
    let named =
        named.or_else(|| suggested(told(ContextKind::InvalidValue), ContextKind::SuggestedValue));
    let hint = named.map(near).or_else(|| told(ContextKind::Suggested));
    (message, hint.or(usage).unwrap_or_else(explained))
}

/// Returns an error as lines: what failed, why, and what to do about it.
pub fn text(error: &anyhow::Error, color: bool) -> String {
    let mut text = format!(
        "{} {}",
        alarm("error:", color),
        visible(&own_words(&error.to_string()))
    );
    for cause in causes(error) {
        text.push_str(&format!(
            "\n{} {}",
            strong("caused by:", color),
            visible(&cause)
        ));
    }
    if let Some(hint) = hint(error) {
        text.push_str(&format!("\n{} {}", strong("hint:", color), visible(&hint)));
    }
    text
}

/// Returns an error as JSON.
pub fn json(error: &anyhow::Error) -> Value {
    json!({"type": "error", "error": own_words(&error.to_string()), "causes": causes(error), "hint": hint(error)})
}

/// Returns the line under an answer: local time, short id, tokens in and out, how many of the window's are taken, seconds.
pub fn footer(interaction: &Interaction, window: Option<(u64, u32)>, zone: Zone) -> String {
    let mut parts = vec![
        time(interaction, zone),
        short_id(&interaction.interaction_id).to_owned(),
    ];
    if let Some(usage) = interaction.usage() {
        let count = |tokens: Option<u64>| {
            tokens.map_or_else(|| "?".to_owned(), |tokens| tokens.to_string())
        };
        parts.push(format!(
            "{} in, {} out",
            count(usage.input_tokens),
            count(usage.output_tokens)
        ));
    }
    if let Some((taken, all)) = window.filter(|(_, all)| *all > 0) {
        let share = taken.saturating_mul(100).div_ceil(u64::from(all));
        parts.push(format!("{share}% of {all}"));
    }
    parts.push(seconds(interaction.duration_ms));
    if interaction.status != Status::Completed {
        parts.push(interaction.status.as_str().to_owned());
    } else if let Some(finish) = cut_short(interaction) {
        parts.push(one_line(finish));
    }
    parts.join(" · ")
}

/// Returns why a model stopped that had more to say.
fn cut_short(interaction: &Interaction) -> Option<&str> {
    let word = interaction.finish_reason.as_deref()?;
    Finish::read(word)
        .is_some_and(|finish| !finish.is_end())
        .then_some(word)
}

/// Returns when a turn was, in local time.
pub fn time(interaction: &Interaction, zone: Zone) -> String {
    moment(interaction.timestamp, zone)
}

/// Returns a moment in local time.
pub fn moment(time: DateTime<Utc>, zone: Zone) -> String {
    zone.local(time).format("%Y-%m-%d %H:%M").to_string()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "durations are far below 2^52 ms"
)]
fn seconds(milliseconds: i64) -> String {
    format!("{:.1} s", milliseconds as f64 / 1000.0)
}

/// Returns everything about an interaction.
pub fn interaction(
    interaction: &Interaction,
    steps: &[Step],
    requests: &[String],
    look: Look,
) -> String {
    let color = look.color;
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        text.push_str(&format!(
            "{} {}\n",
            dim(&format!("{name:<12}"), color),
            look.text(value)
        ));
    };
    row("interaction", &interaction.interaction_id);
    row("session", &interaction.session_id);
    row("time", &look.zone.shown(interaction.timestamp));
    row(
        "answered by",
        format!("{} {}", interaction.provider, interaction.model).trim(),
    );
    if let Some(model) = &interaction.answered_model
        && *model != interaction.model
    {
        row("as", model);
    }
    row("status", interaction.status.as_str());
    let known = [
        ("finish", &interaction.finish_reason),
        ("folder", &interaction.folder),
        ("branch", &interaction.branch),
    ];
    for (name, known) in known {
        if let Some(known) = known {
            row(name, known);
        }
    }
    if let Ok(Value::Object(metadata)) = serde_json::from_str(&interaction.metadata) {
        let is_place = |name: &str| matches!(name, "folder" | "branch");
        for (name, value) in metadata.iter().filter(|(name, _)| !is_place(name)) {
            row(name, value.as_str().unwrap_or(&value.to_string()));
        }
    }
    if let Some(usage) = interaction.usage() {
        let count = |tokens: Option<u64>| {
            tokens.map_or_else(|| "unknown".to_owned(), |tokens| tokens.to_string())
        };
        row(
            "tokens",
            &format!(
                "{} in, {} out",
                count(usage.input_tokens),
                count(usage.output_tokens)
            ),
        );
    }
    row("duration", &seconds(interaction.duration_ms));
    if let Some(took) = interaction.first_token_ms {
        row("first token", &seconds(took));
    }
    if !requests.is_empty() {
        let bytes: usize = requests.iter().map(String::len).sum();
        row(
            "sent",
            &format!(
                "{}, {} (`/context` shows them)",
                counted(requests.len(), "request"),
                counted(bytes, "byte")
            ),
        );
    }
    text.push_str(&format!(
        "\n{}\n{}\n",
        strong("question", color),
        look.text(&interaction.query)
    ));
    for (index, step) in steps.iter().enumerate() {
        text.push_str(&format!("\n{}", self::step(index, step, look)));
    }
    text.push_str(&format!(
        "\n{}\n{}",
        strong("answer", color),
        look.text(&interaction.response)
    ));
    if !interaction.facts_extracted.is_empty() {
        text.push_str(&format!(
            "\n\n{}\n{}",
            strong("facts", color),
            look.text(&interaction.facts_extracted.join("\n"))
        ));
    }
    text
}

/// Returns one step as lines: thought, action, observation.
fn step(index: usize, step: &Step, look: Look) -> String {
    let color = look.color;
    let mut text = format!("{}\n", strong(&format!("step {}", index + 1), color));
    if !step.thought.is_empty() {
        text.push_str(&format!(
            "{} {}\n",
            dim("thought", color),
            look.text(&step.thought)
        ));
    }
    let Some(action) = &step.action else {
        return text;
    };
    text.push_str(&format!(
        "{} {}\n{} {}, {}\n{}\n",
        dim("action ", color),
        call(action, usize::MAX),
        dim("seen   ", color),
        outcome(step),
        milliseconds(i64::try_from(step.duration_ms).unwrap_or(i64::MAX)),
        look.text(step.observation.trim_end()),
    ));
    text
}

/// Returns the steps of a turn, between its question and its answer.
pub fn scratchpad(interaction: &Interaction, steps: &[Step], look: Look) -> String {
    let color = look.color;
    let mut text = format!(
        "{}\n{}\n",
        strong("question", color),
        look.text(&interaction.query)
    );
    for (index, step) in steps.iter().enumerate() {
        text.push_str(&format!("\n{}", self::step(index, step, look)));
    }
    let answer = match interaction.response.as_str() {
        "" => interaction.status.as_str().into(),
        response => look.text(response),
    };
    text.push_str(&format!("\n{}\n{answer}", strong("answer", color)));
    text
}

/// Returns requests as indented JSON, what is no JSON as it is.
pub fn context(requests: &[String], look: Look) -> String {
    let pretty = |(index, body): (usize, &String)| {
        let json: Option<Value> = serde_json::from_str(body).ok();
        let text = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
        let heading = format!("request {} of {}", index + 1, requests.len());
        format!(
            "{}\n{}",
            dim(&heading, look.color),
            look.json(text.as_ref().unwrap_or(body))
        )
    };
    let requests = requests.iter().enumerate().map(pretty);
    requests.collect::<Vec<_>>().join("\n\n")
}

/// Returns a call on one line of so many characters.
pub fn call(call: &ToolCall, longest: usize) -> String {
    let line = format!(
        "{} {}",
        one_line(&call.name),
        one_line(&call.arguments.to_string())
    );
    cut(&line, longest)
}

/// Returns what came of an action: ok with its size, or what went wrong.
pub fn outcome(step: &Step) -> String {
    match &step.error {
        None => format!("ok, {}", bytes(step.observation.len() as u64)),
        Some(error) => format!("error: {}", one_line(error)),
    }
}

/// Returns a duration in milliseconds, or in seconds from one on.
pub fn milliseconds(duration: i64) -> String {
    match duration {
        ..1000 => format!("{duration} ms"),
        _ => seconds(duration),
    }
}
