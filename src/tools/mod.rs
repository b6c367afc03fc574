//! Acts on the machine: what a model may call. The tool itself says whether it needs approval.

mod access;
mod clock;
mod files;
mod plain;
mod real;
mod search;
mod secrets;
mod shell;
mod umask;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::conversation::ToolSpec;

pub use access::Access;
use real::Real;
pub use shell::RUN_COMMAND;
pub use umask::keep_private;

/// Does one thing that a model may ask for.
pub trait Tool: Send + Sync {
    /// Returns what the model is told of the tool.
    fn spec(&self) -> ToolSpec;
    /// Returns whether a call may change anything; when in doubt, `true`: it needs approval.
    fn mutates(&self) -> bool;
    /// Returns what a person is shown before they approve a call.
    ///
    /// # Errors
    ///
    /// Fails when the call could not work anyway; then nobody is asked.
    fn preview<'c>(&'c self, arguments: &'c Value) -> BoxFuture<'c, Result<Preview>> {
        Box::pin(async { Ok(Preview::of(serde_json::to_string_pretty(arguments)?)) })
    }
    /// Runs the tool. An error is told to the model and does not end the turn. Dropping the future stops what it does.
    fn call(&self, arguments: Value) -> BoxFuture<'_, Result<String>>;
    /// Runs the tool and lets its output be heard as it comes, if it has any before it ends.
    fn call_heard<'c>(
        &'c self,
        arguments: &'c Value,
        _heard: Option<&'c Heard>,
    ) -> BoxFuture<'c, Result<String>> {
        self.call(arguments.clone())
    }
}

/// Hears what a tool puts out while it runs, in pieces that end anywhere.
pub type Heard = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Is what a person is shown before they approve a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Exactly what the call would do.
    pub text: String,
    /// What else an approval for the rest of the conversation covers.
    pub cover: Cover,
}

/// Is what an approval of a call covers that is given for the rest of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cover {
    /// Every call of the tool.
    Tool,
    /// Commands that begin with this program, or this program and subcommand.
    Commands(String),
    /// This very command.
    Command(String),
    /// Nothing: each such call is asked for; and why a person should look closely.
    Call(Option<&'static str>),
}

impl fmt::Display for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cover::Tool => f.write_str("every call"),
            Cover::Commands(beginning) => write!(f, "`{beginning} …`"),
            Cover::Command(command) => write!(f, "`{command}`"),
            Cover::Call(_) => f.write_str("no other call"),
        }
    }
}

impl Preview {
    /// Returns a preview of a call like any other.
    pub fn of(text: String) -> Preview {
        Preview {
            text,
            cover: Cover::Tool,
        }
    }
}

/// Returns every tool there is; `memory` is the one that searches the history, `limit` how long a command may run, and `withheld` names
/// the variables that it does not get.
pub fn builtin(
    access: Access,
    memory: Arc<dyn Tool>,
    limit: Duration,
    withheld: Vec<String>,
) -> Toolbox {
    let access = Arc::new(access);
    let tools: Vec<Arc<dyn Tool>> = vec![
        Arc::new(files::ReadFile(Arc::clone(&access))),
        Arc::new(search::ListFiles(Arc::clone(&access))),
        Arc::new(search::SearchFiles(Arc::clone(&access))),
        Arc::new(files::WriteFile(Arc::clone(&access))),
        Arc::new(shell::RunCommand {
            access,
            limit,
            withheld,
        }),
        memory,
        Arc::new(clock::CurrentTime),
    ];
    Toolbox(tools.into_iter().map(|tool| (tool, true)).collect())
}

/// Holds tools, and whether the model is offered each.
#[derive(Clone, Default)]
pub struct Toolbox(Vec<(Arc<dyn Tool>, bool)>);

impl Toolbox {
    /// Returns a toolbox with one tool.
    pub fn of(tool: Arc<dyn Tool>) -> Toolbox {
        Toolbox(vec![(tool, true)])
    }

    /// Returns every tool, and whether it is offered.
    pub fn list(&self) -> impl Iterator<Item = (&Arc<dyn Tool>, bool)> {
        self.0.iter().map(|(tool, on)| (tool, *on))
    }

    /// Returns what the model is told of each tool that it is offered.
    pub fn specs(&self) -> Vec<ToolSpec> {
        let offered = self.0.iter().filter(|(_, on)| *on);
        offered.map(|(tool, _)| tool.spec()).collect()
    }

    /// Returns the tool of that name, if it is offered.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        let mut offered = self.0.iter().filter(|(_, on)| *on);
        offered
            .find(|(tool, _)| tool.spec().name == name)
            .map(|(tool, _)| tool)
    }

    /// Offers a tool to the model, or no longer does.
    pub fn switch(&mut self, name: &str, on: bool) -> Result<()> {
        let at = self.place(name)?;
        self.0[at].1 = on;
        Ok(())
    }

    /// Returns the place of the tool of that name, whether it is offered or not.
    pub fn place(&self, name: &str) -> Result<usize> {
        let names: Vec<String> = self.list().map(|(tool, _)| tool.spec().name).collect();
        let at = names.iter().position(|known| known == name);
        at.with_context(|| format!("there is no tool `{name}`: there are {}", names.join(", ")))
    }

    /// Offers these tools and no others.
    pub fn choose(&mut self, names: &[String]) -> Result<()> {
        self.clear();
        names.iter().try_for_each(|name| self.switch(name, true))
    }

    /// Puts a tool in the place of the one with the same name.
    pub fn replace(&mut self, tool: Arc<dyn Tool>) {
        let name = tool.spec().name;
        for (known, _) in &mut self.0 {
            if known.spec().name == name {
                *known = Arc::clone(&tool);
            }
        }
    }

    /// Offers no tool.
    pub fn clear(&mut self) {
        self.0.iter_mut().for_each(|(_, on)| *on = false);
    }
}

/// Keeps the beginning and the end of a text that is longer than `longest` bytes, and says between them what is left out.
pub fn shorten(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let head = text.floor_char_boundary(longest / 2);
    let tail = text.ceil_char_boundary(text.len() - longest / 2);
    Cow::Owned(format!(
        "{}\n[… {} of {} bytes left out …]\n{}",
        &text[..head],
        tail - head,
        text.len(),
        &text[tail..]
    ))
}

/// Reads the arguments of a call.
pub fn read<T: DeserializeOwned>(arguments: &Value) -> Result<T> {
    let arguments = arguments.clone();
    serde_json::from_value(arguments).context("the arguments do not fit the tool")
}

/// Returns the description of a tool; `properties` holds a JSON schema for each argument.
pub fn spec(name: &str, description: &str, properties: Value, required: &[&str]) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_keeps_its_ends_and_says_what_is_missing() {
        assert_eq!(shorten("short", 5), "short");
        let text = format!("{}{}", "é".repeat(50), "z".repeat(100));
        assert_eq!(
            shorten(&text, 21),
            "ééééé\n[… 180 of 200 bytes left out …]\nzzzzzzzzzz"
        );
    }
}
