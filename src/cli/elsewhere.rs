//! What is asked for in the wrong place: a command of the chat outside of it, a message, a history of no known kind.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, Command, Subcommand as _};

use super::args::ChatArgs;
use super::histories::Format;
use crate::commands::explained;
use crate::store::Hinted;
use crate::ui::suggestion;

/// Returns the help that was asked for, or what to say, where a word is no subcommand but means something.
pub fn meant(
    error: &clap::Error,
    arguments: &[OsString],
    command: impl FnOnce() -> Command,
) -> Option<Result<String, Hinted>> {
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) {
        return of_a_chat(flag, error).map(Err);
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let is_word = |argument: &OsString| argument == word.as_str();
    let at = arguments.iter().position(is_word)?;
    let (before, after) = (&arguments[..at], &arguments[at + 1..]);
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let mut command = command();
    command.build();
    if let Some((name, around)) = around(&mut command, before) {
        return Some(match (word.as_str(), name) {
            ("help", _) => Ok(around.render_help().to_string()),
            (_, "import") => Err(source(word)),
            _ => Err(Hinted {
                message: format!("there is no command `{name} {word}`"),
                hint: suggestion(word, around.get_subcommands().map(Command::get_name))
                    + &format!("`allm {name} --help` lists them"),
            }),
        });
    }
    let name = format!("/{}", word.trim_start_matches('/'));
    if let Some(help) = explained(&name) {
        let asks = |argument: &OsString| argument == "--help" || argument == "-h";
        let is_help = before.last().is_some_and(|last| last == "help") || after.iter().any(asks);
        return Some(match is_help {
            true => Ok(help),
            false => Err(in_a_chat(&name)),
        });
    }
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let is_near = error.get(ContextKind::SuggestedSubcommand).is_some();
    let are_words = word.contains(char::is_whitespace)
        || (!is_near && after.first().is_some_and(|next| !is_flag(next)));
    are_words.then(|| {
        Err(Hinted {
            message: format!("there is no command `{word}`"),
            hint: "`allm chat` and the words say them to a model; `allm help` lists the commands"
                .to_owned(),
        })
    })
}

/// Returns the command that has commands of its own among which a word was looked for, and what it was called.
fn around<'a, 'c>(
    command: &'c mut Command,
    before: &'a [OsString],
) -> Option<(&'a str, &'c mut Command)> {
    let has_some = |name: &&str| {
        let sub = command.find_subcommand(name);
        *name != "help" && sub.is_some_and(Command::has_subcommands)
    };
    let mut words = before.iter().filter_map(|word| word.to_str());
    let name = words.find(has_some)?;
    Some((name, command.find_subcommand_mut(name)?))
}

/// Says whose option a flag is that was given without a command.
fn of_a_chat(flag: &str, error: &clap::Error) -> Option<Hinted> {
    let usage = error.get(ContextKind::Usage)?.to_string();
    let is_bare = usage.contains("allm [OPTIONS] [COMMAND]");
    let is_it = |argument: &clap::Arg| {
        let short = argument.get_short().map(|short| format!("-{short}"));
        let long = argument.get_long().map(|long| format!("--{long}"));
        [short, long].contains(&Some(flag.to_owned()))
    };
    let chat = ChatArgs::augment_args(Command::new("chat"));
    (is_bare && chat.get_arguments().any(is_it)).then(|| Hinted {
        message: format!("`{flag}` is an option of a chat"),
        hint: format!("`allm chat {flag}` takes it"),
    })
}

/// Says where a command of the chat works.
fn in_a_chat(name: &str) -> Hinted {
    let option = &name[1..];
    let chat = ChatArgs::augment_args(Command::new("chat"));
    let is_option = chat
        .get_arguments()
        .any(|argument| argument.get_long() == Some(option));
    let also = match name {
        "/resume" => {
            "`allm chat --session ID` goes on with a conversation, `allm chat -c` with the last one; `allm sessions` lists them".to_owned()
        }
        "/history" => {
            "`allm sessions` lists the conversations, and `allm chat -c` goes on with the last one"
                .to_owned()
        }
        "/model" => {
            "`allm models` lists what the server has, `allm chat -m NAME` talks to one".to_owned()
        }
        "/user" => "`allm users` lists the users, `--user NAME` says who you are".to_owned(),
        "/quit" | "/exit" | "/q" => "there is none to leave; `allm chat` begins one".to_owned(),
        _ if is_option => format!("`allm chat` begins one, `allm chat --{option}` with it set"),
        _ => "`allm chat` begins one".to_owned(),
    };
    Hinted {
        message: format!("`{name}` works in a chat"),
        hint: also,
    }
}

/// Says which histories can be brought in.
fn source(word: &str) -> Hinted {
    let formats = Format::augment_subcommands(Command::new("import"));
    let names: Vec<&str> = formats.get_subcommands().map(Command::get_name).collect();
    let near = suggestion(word, names.iter().copied());
    let names = names.join(", ");
    let is_there = std::path::Path::new(word).exists();
    Hinted {
        message: match is_there {
            true => format!("what is in `{word}` is not said"),
            false => format!("there is nothing called `{word}` that can be brought in"),
        },
        hint: match is_there {
            true => format!("name what wrote it before it: {names}"),
            false => format!("{near}these can: {names}; `allm import --help` explains them"),
        },
    }
}
