//! The marks that models write around their thoughts, and the channels of the Harmony format
//! (<https://cookbook.openai.com/articles/openai-harmony>).

/// Opens a thought, and closes it.
pub struct Tag {
    pub open: &'static str,
    pub close: &'static str,
}

/// The tags that are in use.
pub static TAGS: [Tag; 9] = [
    tag("<think>", "</think>"),
    tag("<thinking>", "</thinking>"),
    tag("<thought>", "</thought>"),
    tag("<reasoning>", "</reasoning>"),
    tag("<seed:think>", "</seed:think>"),
    tag("[THINK]", "[/THINK]"),
    tag("◁think▷", "◁/think▷"),
    tag("<|begin_of_thought|>", "<|end_of_thought|>"),
    tag("<|START_THINKING|>", "<|END_THINKING|>"),
];

/// What models that mark their thoughts put around the answer.
pub static AROUND_ANSWER: [&str; 4] = [
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
];

pub const START: &str = "<|start|>";
pub const CHANNEL: &str = "<|channel|>";
pub const MESSAGE: &str = "<|message|>";
pub const END: &str = "<|end|>";
pub const RETURN: &str = "<|return|>";
/// What ends a message or begins one.
pub static FRAME: [&str; 5] = [START, CHANNEL, END, RETURN, "<|call|>"];

/// What marks begin with, and marks of code.
pub const STARTS: &[char] = &['<', '[', '◁', '`'];

/// Returns what one mark begins with, in either case.
pub fn starts_of(mark: &str) -> impl Fn(char) -> bool {
    let first = mark.chars().next().unwrap_or_default();
    move |c| c.eq_ignore_ascii_case(&first)
}

const fn tag(open: &'static str, close: &'static str) -> Tag {
    Tag { open, close }
}

/// Says whether a text begins with a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// It may, when more has come.
    Maybe,
    Yes,
    No,
}

/// Compares the beginning of a text with a mark, in either case of its letters.
pub fn begins(text: &str, mark: &str) -> Begins {
    let length = text.len().min(mark.len());
    match text.as_bytes()[..length].eq_ignore_ascii_case(&mark.as_bytes()[..length]) {
        false => Begins::No,
        true if length == mark.len() => Begins::Yes,
        true => Begins::Maybe,
    }
}

/// Returns the mark of a list that a text begins with; `Err` where more has to come to tell.
pub fn found<'m>(
    text: &str,
    marks: impl IntoIterator<Item = &'m &'static str>,
) -> Result<Option<&'static str>, ()> {
    let mut open = false;
    for mark in marks {
        match begins(text, mark) {
            Begins::Yes => return Ok(Some(mark)),
            Begins::Maybe => open = true,
            Begins::No => {}
        }
    }
    if open { Err(()) } else { Ok(None) }
}

/// Says what a message of the Harmony format is.
#[derive(Debug, PartialEq, Eq)]
pub enum Channel {
    Thought,
    Answer,
    /// A call of this tool; the message holds its arguments.
    Call(String),
}

/// Reads the head of a message, from its first mark to where its text begins.
pub fn channel(head: &str) -> Option<Channel> {
    let (role, rest) = match head.split_once(CHANNEL) {
        Some((role, rest)) => (role, rest),
        None => (head, ""),
    };
    let role = role.strip_prefix(START).unwrap_or(role).trim();
    let to = head
        .split_once("to=")
        .map(|(_, to)| to.split(|c: char| c.is_whitespace() || c == '<').next());
    let recipient = to.flatten().unwrap_or_default();
    let is_assistant = role.is_empty() || role.starts_with("assistant");
    let name = rest.trim_start();
    let name = name.split(|c: char| !c.is_alphanumeric()).next();
    Some(match name.unwrap_or_default() {
        // What a tool says is made up here.
        "analysis" | "commentary" | "final" | "" if !is_assistant => Channel::Thought,
        "analysis" | "commentary" if !recipient.is_empty() => Channel::Call(recipient.to_owned()),
        "analysis" => Channel::Thought,
        "commentary" | "final" => Channel::Answer,
        "" if head.starts_with(START) && !role.is_empty() => Channel::Answer,
        _ => return None,
    })
}
