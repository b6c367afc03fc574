//! Settings and models as they are shown, and what a turn took.

use anyhow::Result;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::theme::{clipped, dim, one_line, visible};
use super::{Ui, draw, report};
use crate::conversation::{Step, counted};
use crate::provider::is_listed;
use crate::store::Interaction;

/// Is a setting as it is shown.
pub struct Setting {
    pub name: String,
    pub value: Value,
    /// Where the value comes from; empty where that is not asked for.
    pub origin: String,
}

/// How many models are named to whoever has named none of them.
const MODELS: usize = 10;

impl Ui {
    /// Warns of a model that a server does not list, where it lists any; gateways take more than they list.
    pub fn unlisted(&self, model: &str, models: &[String]) {
        if models.is_empty() || is_listed(model, models) {
            return;
        }
        let named = models.iter().take(MODELS).cloned().collect::<Vec<_>>();
        let more = match models.len().saturating_sub(MODELS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = named.join(", ");
        self.warn(&format!(
            "the server lists no `{model}`; it has {named}{more}"
        ));
    }

    /// Shows a setting, or that it was changed.
    pub fn setting(&self, name: &str, value: &Value) -> Result<()> {
        if self.json {
            return self
                .print_json(&serde_json::json!({"type": "setting", "name": name, "value": value}));
        }
        let shown = match value {
            Value::Null => "left to the server".to_owned(),
            Value::Bool(is_on) => if *is_on { "on" } else { "off" }.to_owned(),
            Value::String(text) if !text.is_empty() => visible(text),
            other => other.to_string(),
        };
        self.tell(&format!("{name}: {shown}"));
        Ok(())
    }

    /// Shows who answers, and where.
    pub fn provider(&self, name: &str, server: &str) -> Result<()> {
        if self.json {
            return self.print_json(
                &json!({"type": "setting", "name": "provider", "value": name, "server": server}),
            );
        }
        self.setting("provider", &json!(at(name, server)))
    }

    /// Says who answers, to those who want to know more.
    pub fn reached(&self, name: &str, server: &str, model: &str) {
        self.detail(&format!("{} answers, with `{model}`", at(name, server)));
    }

    /// Shows settings, each on a line.
    pub fn settings(&self, settings: &[Setting]) -> Result<()> {
        if self.json {
            let setting = |setting: &Setting| match setting.origin.as_str() {
                "" => json!({"name": setting.name, "value": setting.value}),
                origin => json!({"name": setting.name, "value": setting.value, "origin": origin}),
            };
            let settings: Vec<Value> = settings.iter().map(setting).collect();
            return self.print_json(&json!({"type": "config", "settings": settings}));
        }
        let widest = |text: &dyn Fn(&Setting) -> usize| settings.iter().map(text).max();
        let names = widest(&|setting| setting.name.len()).unwrap_or_default();
        let origins = widest(&|setting| setting.origin.width()).unwrap_or_default();
        let values = widest(&|setting| shown(&setting.value).width()).unwrap_or_default();
        let room = self
            .look
            .width()
            .saturating_sub(names + origins + 4)
            .max(10);
        let room = values.min(room);
        let line = |setting: &Setting| {
            let value = shown(&setting.value);
            let value = clipped(&value, room);
            let padding = " ".repeat(room.saturating_sub(value.width()));
            let origin = dim(&setting.origin, self.look.color);
            let line = format!("{:<names$}  {value}{padding}  {origin}", setting.name);
            line.trim_end().to_owned()
        };
        draw(&settings.iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    /// Says what a turn took, to those who want to know more.
    pub fn took(&self, interaction: &Interaction, steps: &[Step]) {
        let mut parts = vec![format!("{} {}", interaction.provider, interaction.model)];
        if let Some(first) = interaction.first_token_ms {
            parts.push(format!("first token after {}", report::milliseconds(first)));
        }
        parts.push(counted(steps.len(), "step"));
        if let Some(finish) = &interaction.finish_reason {
            parts.push(format!("finish: {finish}"));
        }
        self.detail(&parts.join(" · "));
    }
}

/// Returns the name of a provider, and where it is if it is anywhere.
fn at(name: &str, server: &str) -> String {
    match server {
        server if server == name => name.to_owned(),
        server => format!("{name} at {server}"),
    }
}

/// Returns a value on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}
