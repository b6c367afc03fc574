//! What sigoden's aichat keeps in its folder: `messages.md` with what was asked outside sessions, and a YAML file for each
//! session; of agents, in folders of their own.

mod messages;
mod session;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::files::{below, files, name};
use super::{Item, Source, Take};

const NAME: &str = "aichat";

/// Is the folder of aichat, or one of the files in it.
pub struct Aichat(pub PathBuf);

impl Source for Aichat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn read(&self, take: &mut Take<'_>) -> Result<()> {
        let mut found = Vec::new();
        if self.0.is_file() {
            found.push(self.0.clone());
        } else {
            found.extend(files(&self.0, "md")?);
            found.retain(|path| name(path) == "messages.md");
            for extension in ["yaml", "yml"] {
                found.extend(files(&self.0, extension)?);
            }
            // Settings, roles and indices are YAML files, too.
            found.retain(|path| is_lines(path) || place(path).is_some());
        }
        if found.is_empty() {
            bail!("there are no messages of aichat in `{}`", self.0.display());
        }
        for path in found {
            take(NAME, Item::File(below(&self.0, &path)))?;
            let read = match is_lines(&path) {
                true => messages::read(&path, take)?,
                false => session::read(&path, take)?,
            };
            if let Err(error) = read {
                take(NAME, Item::Broken(name(&path), format!("{error:#}")))?;
            }
        }
        Ok(())
    }
}

fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|known| known == "md")
}

/// Returns the folder that a session is below, if it is below one of sessions.
fn place(path: &Path) -> Option<&Path> {
    path.ancestors()
        .skip(1)
        .find(|folder| name(folder) == "sessions")
}

/// Returns the agent whose folder a file is in, or nothing.
fn agent(folder: &Path) -> String {
    match folder.parent() {
        Some(above) if name(above) == "agents" => name(folder),
        _ => String::new(),
    }
}
