//! The histories that can be brought in, and where other programs keep them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::config::{home_directory, path, path_in};

#[derive(Debug, Subcommand)]
pub enum Format {
    /// What the Python program AbstractLLM left
    #[command(
        after_help = "Examples:\n  allm import abstractllm\n  allm import abstractllm ~/.abstractllm --dry-run"
    )]
    Abstractllm {
        /// Its data directory [default: ~/.abstractllm]
        #[arg(value_name = "HOME", value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// The log of simonw's `llm`
    #[command(after_help = "Examples:\n  allm import llm\n  allm import llm logs.db --dry-run")]
    Llm {
        /// Its database [default: logs.db in $LLM_USER_PATH or where llm keeps it]
        #[arg(value_parser = path())]
        file: Option<PathBuf>,
    },
    /// OpenAI's data export
    #[command(
        after_help = "Examples:\n  allm import chatgpt export.zip\n  allm import chatgpt export.zip --since 2025-01-01"
    )]
    Chatgpt {
        /// The archive, a folder of such files, or the conversations.json in it
        #[arg(value_parser = path())]
        export: PathBuf,
    },
    /// The data export of claude.ai
    #[command(
        after_help = "Examples:\n  allm import claude export.zip\n  allm import claude export.zip --dry-run"
    )]
    Claude {
        /// The archive, a folder of such files, or the conversations.json in it
        #[arg(value_parser = path())]
        export: PathBuf,
    },
    /// The transcripts of Claude Code
    #[command(
        after_help = "Examples:\n  allm import claude-code\n  allm import claude-code ~/.claude/projects --since 2025-01-01"
    )]
    ClaudeCode {
        /// Their folder, or one transcript [default: projects in $CLAUDE_CONFIG_DIR or ~/.claude]
        #[arg(value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// The transcripts of Codex
    #[command(
        after_help = "Examples:\n  allm import codex\n  allm import codex ~/.codex/sessions --dry-run"
    )]
    Codex {
        /// Their folder, or one transcript [default: $CODEX_HOME or ~/.codex]
        #[arg(value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// The sessions of Gemini CLI
    #[command(
        after_help = "Examples:\n  allm import gemini-cli\n  allm import gemini-cli ~/.gemini/tmp/PROJECT --dry-run"
    )]
    GeminiCli {
        /// Its data folder, that of a project, or one session [default: .gemini in $GEMINI_CLI_HOME or your home]
        #[arg(value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// The sessions of opencode
    #[command(
        after_help = "Examples:\n  allm import opencode\n  allm import opencode ~/.local/share/opencode/opencode.db --since 2026-01-01"
    )]
    Opencode {
        /// Its data folder or database [default: opencode in $XDG_DATA_HOME or ~/.local/share]
        #[arg(value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// The sessions of goose
    #[command(
        after_help = "Examples:\n  allm import goose\n  allm import goose ~/.local/share/goose/sessions/20250325_200615.jsonl"
    )]
    Goose {
        /// Its data folder, database, or one session [default: data in $GOOSE_PATH_ROOT, or goose in $XDG_DATA_HOME or ~/.local/share]
        #[arg(value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// The messages and sessions of sigoden's aichat
    #[command(
        after_help = "Examples:\n  allm import aichat\n  allm import aichat ~/.config/aichat/sessions --dry-run"
    )]
    Aichat {
        /// Its folder, messages.md, or one session [default: $AICHAT_CONFIG_DIR or where aichat keeps it]
        #[arg(value_parser = path())]
        folder: Option<PathBuf>,
    },
    /// What `allm export` has written, or any JSON Lines with timestamp, query and response
    #[command(
        after_help = "Examples:\n  allm import jsonl backup.jsonl\n  allm export --all-users | allm --home copy import jsonl -\n\nLines of other programs may have, too: id, session, title, system, provider, model, input_tokens, output_tokens, duration_ms, facts, steps, status."
    )]
    Jsonl {
        /// The file; `-` for standard input
        #[arg(value_parser = path())]
        file: PathBuf,
    },
}

/// Returns the path that was named, or where a program keeps its data: in the folder that the first variable names which is set,
/// or below the home.
pub fn named(
    path: Option<PathBuf>,
    variables: &[(&str, &str)],
    below_home: &str,
) -> Result<PathBuf> {
    if let Some(path) = path {
        return Ok(path);
    }
    for (variable, inside) in variables {
        match path_in(variable)? {
            Some(folder) if inside.is_empty() => return Ok(folder),
            Some(folder) => return Ok(folder.join(inside)),
            None => {}
        }
    }
    let home = home_directory().context("cannot find your home directory: say where it is")?;
    Ok(home.join(below_home))
}

/// Where programs that go by the system's rules keep their settings, below the home.
pub const SETTINGS: &str = match cfg!(target_os = "macos") {
    true => "Library/Application Support",
    false => ".config",
};
