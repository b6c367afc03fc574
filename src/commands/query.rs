//! Tells the words of a query from the options beside them: people look for flags, too.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

/// Puts the options of a command that takes a query before its words: a flag that it does not know is a word, and so is one that lacks
/// its value. What is nearly an option stays one, so that the slip is told. A line of another command stays as it is.
pub fn settled(command: &Command, line: Vec<OsString>, queries: &[&str]) -> Vec<OsString> {
    let are_called = |sub: &Command| {
        let mut names = sub.get_all_aliases().chain([sub.get_name()]);
        names.any(|name| line.iter().any(|word| word == name))
    };
    let mut subs = command.get_subcommands();
    let is_query = subs.any(|sub| queries.contains(&sub.get_name()) && are_called(sub));
    if !is_query || !line.iter().any(|word| is_flag(word)) {
        return line;
    }
    let mut command = command.clone();
    command.build();
    let mut at = usize::from(!command.is_no_binary_name_set());
    while let Some(flag) = line.get(at).filter(|word| is_flag(word)) {
        let option = find(&command, flag);
        at += 1 + usize::from(option.is_some_and(|option| takes_next(option, flag)));
    }
    let sub = line.get(at).and_then(|name| command.find_subcommand(name));
    let Some(command) = sub.filter(|command| queries.contains(&command.get_name())) else {
        return line;
    };
    let (mut options, mut words): (Vec<&OsString>, Vec<&OsString>) = Default::default();
    let mut rest = line[at + 1..].iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            words.extend(rest.by_ref());
        } else if let Some(option) = find(command, word).filter(|_| is_flag(word)) {
            let value = rest.as_slice().first().filter(|_| takes_next(option, word));
            let value = value.filter(|value| !value.as_encoded_bytes().starts_with(b"--"));
            let lacks = takes_next(option, word) && value.is_none();
            // After words, one letter is of theirs, as in `git commit -v`, but where a number follows it.
            let is_number =
                |value: &OsString| value.as_encoded_bytes().iter().all(u8::is_ascii_digit);
            let is_letter = word.len() == 2 && !value.is_some_and(is_number);
            if (lacks || is_letter) && !words.is_empty() {
                words.push(word);
                continue;
            }
            options.push(word);
            options.extend(value.and_then(|_| rest.next()));
        } else if is_flag(word) && is_near(command, word) {
            options.push(word);
        } else {
            words.push(word);
        }
    }
    if !words.iter().any(|word| is_flag(word)) {
        return line;
    }
    let (head, dashes) = (line[..=at].iter(), OsString::from("--"));
    let settled = head.chain(options).chain([&dashes]).chain(words);
    settled.cloned().collect()
}

fn is_flag(word: &OsStr) -> bool {
    word.len() > 1 && word.as_encoded_bytes().starts_with(b"-")
}

/// Returns the name of a flag, without the value that may be in the same word.
fn name(flag: &OsStr) -> Option<&str> {
    flag.to_str()?.split('=').next()
}

/// Returns the option that a flag names.
fn find<'c>(command: &'c Command, flag: &OsStr) -> Option<&'c Arg> {
    let flag = name(flag)?;
    named(command).find(|option| match flag.strip_prefix("--") {
        Some(long) => longs(option).contains(&long),
        None => option.get_short().is_some_and(|short| {
            let value = flag.strip_prefix(&format!("-{short}"));
            value.is_some_and(|value| value.is_empty() || is_attached(option, value))
        }),
    })
}

/// Returns what is named by a flag, with a value or without.
fn named(command: &Command) -> impl Iterator<Item = &Arg> {
    let arguments = command.get_arguments();
    arguments.filter(|argument| !argument.is_positional())
}

/// Returns whether a number follows its short flag in the same word.
fn is_attached(option: &Arg, value: &str) -> bool {
    option.get_action().takes_values() && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn longs(option: &Arg) -> Vec<&str> {
    option.get_long_and_visible_aliases().unwrap_or_default()
}

/// Returns whether the word after a flag is its value.
fn takes_next(option: &Arg, flag: &OsStr) -> bool {
    let is_short = flag.len() > 2 && !flag.as_encoded_bytes().starts_with(b"--");
    let is_whole = is_short || flag.as_encoded_bytes().contains(&b'=');
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append) && !is_whole
}

/// Returns whether a flag may be a slip: a letter or two off an option that is long enough.
fn is_near(command: &Command, flag: &OsStr) -> bool {
    let Some(flag) = name(flag).and_then(|flag| flag.strip_prefix("--")) else {
        return false;
    };
    let longs = named(command).flat_map(longs);
    let mut longs = longs.filter(|long| long.len() > 3);
    longs.any(|long| strsim::osa_distance(long, flag) <= long.len() / 4)
}
