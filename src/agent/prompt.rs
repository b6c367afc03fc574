//! Puts together what a model is sent: system prompt, history, recalled interactions, question and steps, within its window.

use std::borrow::Cow;

use serde_json::Value;

use super::history::{Exchange, Reader};
use super::react;
use crate::conversation::{Attached, Message, OBSERVATION, ToolSpec};
use crate::provider::Options;
use crate::tools::shorten;

/// Old turns are left out in groups of this size, so that the head of the request stays the same for a while: servers keep
/// what they have read of it, and the store keeps it once.
const GROUP: usize = 4;
/// The most that a model is told of one observation, in bytes.
pub const LONGEST_OBSERVATION: usize = 64 << 10;
/// Observations are never cut below this, in bytes; a model could make nothing of less.
const SHORTEST_OBSERVATION: usize = 512;

/// Says how a model calls tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// In the way of the API.
    Native,
    /// As text that it writes, see `react.rs`.
    Text,
}

/// Says how a model is to call tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum React {
    /// In the way of the API, or as text when the model or the server cannot.
    Auto,
    Native,
    Text,
}

impl React {
    /// Returns the style that is asked for; `None` to find out.
    pub fn style(self) -> Option<Style> {
        match self {
            React::Auto => None,
            React::Native => Some(Style::Native),
            React::Text => Some(Style::Text),
        }
    }
}

/// Holds all that a request is made of.
#[derive(Debug, Clone)]
pub struct Prompt<'p> {
    pub system: &'p str,
    /// The server that is asked.
    pub server: &'p str,
    pub history: &'p [Exchange],
    /// Interactions of the past, quoted; empty without any.
    pub recalled: &'p str,
    pub question: &'p str,
    /// What the model and the tools have said in this turn.
    pub turn: Vec<Message>,
}

/// Holds what is sent, and what is not.
pub struct Fitted {
    pub messages: Vec<Message>,
    /// How many of the oldest exchanges did not fit.
    pub left_out: usize,
    /// What all of it costs, in tokens, estimated from above.
    pub cost: usize,
}

impl Prompt<'_> {
    /// Returns the messages to send, within the model's window and with room for the answer.
    ///
    /// What does not fit goes in this order: the middle of this turn's long observations, that of earlier ones from the oldest on, then
    /// the oldest exchanges. All else goes on where the last request ended, but for
    /// what was recalled, which is told once.
    pub fn fit(&self, tools: &[ToolSpec], style: Style, options: &Options) -> Fitted {
        let system = match style {
            Style::Text if !tools.is_empty() => {
                let text = format!("{}\n\n{}", self.system, react::instructions(tools));
                Cow::Owned(text.trim_start().to_owned())
            }
            _ => Cow::Borrowed(self.system),
        };
        let offered: usize = match style {
            Style::Text => 0,
            Style::Native => tools.iter().map(cost_of_tool).sum(),
        };
        let asked = asked(self.recalled, self.question);
        let fixed = cost(&system) + cost(&asked) + offered;
        let room = room(options).saturating_sub(fixed);
        let cost_of_all =
            |group: &[Vec<Message>]| -> usize { group.iter().flatten().map(cost_of).sum() };
        let mut told = self.told(style, LONGEST_OBSERVATION);
        let mut history = cost_of_all(&told);

        // The steps of the turn may have what the history does not need, and three quarters of the room in any case.
        let share = (room * 3 / 4).max(room.saturating_sub(history));
        let mut longest = LONGEST_OBSERVATION;
        let of_turn = |longest: usize| -> usize {
            let turn = self.turn.iter();
            turn.map(|message| cost_of(&rendered(message, style, longest)))
                .sum()
        };
        while of_turn(longest) > share && longest > SHORTEST_OBSERVATION {
            longest /= 2;
        }

        let of_turn = of_turn(longest);
        let room = room.saturating_sub(of_turn);
        let mut cut = 0;
        if history > room {
            let mut short = self.told(style, SHORTEST_OBSERVATION);
            while history > room && cut < told.len() {
                let group = cut..told.len().min(cut + GROUP);
                history -= cost_of_all(&told[group.clone()]);
                history += cost_of_all(&short[group.clone()]);
                cut = group.end;
                told[group.clone()].swap_with_slice(&mut short[group]);
            }
        }
        let mut left_out = 0;
        while history > room && left_out < told.len() {
            let group = &told[left_out..told.len().min(left_out + GROUP)];
            history -= cost_of_all(group);
            left_out += group.len();
        }
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message::System(system.into_owned()));
        }
        messages.extend(told.into_iter().skip(left_out).flatten());
        messages.push(Message::User(asked.into_owned()));
        let turn = self.turn.iter();
        messages.extend(turn.map(|message| rendered(message, style, longest)));
        Fitted {
            messages,
            left_out,
            cost: fixed + of_turn + history,
        }
    }

    /// Returns the messages of each exchange, with so much of each observation.
    fn told(&self, style: Style, longest: usize) -> Vec<Vec<Message>> {
        let reader = Reader {
            style,
            server: self.server,
            longest,
        };
        let mut first = 0;
        let messages = |exchange: &Exchange| {
            let messages = exchange.messages(reader, first);
            first += exchange.steps.len();
            messages
        };
        self.history.iter().map(messages).collect()
    }
}

/// Returns a question as it is sent. What is recalled stands in front of it and not in a message of its own: some models want user and
/// assistant to take turns.
fn asked<'q>(recalled: &str, question: &'q str) -> Cow<'q, str> {
    match recalled {
        "" => Cow::Borrowed(question),
        recalled => Cow::Owned(format!("{recalled}\n\n{question}")),
    }
}

/// Returns how many tokens a model may be sent: half of its window at least, the rest is for the answer.
pub fn room(options: &Options) -> usize {
    let window = options.context_window as usize;
    let answer = options
        .max_tokens
        .map_or(window / 4, |tokens| (tokens as usize).min(window / 2));
    window - answer
}

/// Estimates the tokens of a message from above: text in most languages has 3 bytes or more a token, and each message a frame.
pub fn cost(text: &str) -> usize {
    text.len() / 3 + 8
}

fn cost_of_tool(tool: &ToolSpec) -> usize {
    let parameters = tool.parameters.to_string();
    cost(&tool.name) + cost(&tool.description) + cost(&parameters)
}

fn cost_of(message: &Message) -> usize {
    match message {
        Message::System(text) | Message::User(text) | Message::Tool { text, .. } => cost(text),
        Message::Assistant {
            text,
            calls,
            attached,
        } => {
            let calls = calls.iter().map(|call| {
                let fields = call.attached.values();
                cost(&call.name) + fields.map(weight).sum::<usize>() + weight(&call.arguments)
            });
            cost(text) + calls.sum::<usize>() + attached.values().map(weight).sum::<usize>()
        }
    }
}

/// Estimates the tokens of a value.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => cost(text),
        Value::Null => 0,
        value => cost(&value.to_string()),
    }
}

fn rendered(message: &Message, style: Style, longest: usize) -> Message {
    match (message, style) {
        (Message::Tool { call_id, text }, Style::Native) => Message::Tool {
            call_id: call_id.clone(),
            text: shorten(text, longest).into_owned(),
        },
        (Message::Tool { text, .. }, Style::Text) => {
            Message::User(format!("{OBSERVATION}{}", shorten(text, longest)))
        }
        (Message::Assistant { text, .. }, Style::Text) => Message::Assistant {
            text: text.clone(),
            calls: Vec::new(),
            attached: Attached::new(),
        },
        (message, _) => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(turns: usize) -> Vec<Exchange> {
        let exchange = Exchange {
            query: "q".repeat(276),
            response: "r".repeat(276),
            ..Exchange::default()
        };
        vec![exchange; turns]
    }

    fn fit(turns: usize, window: u32, turn: Vec<Message>) -> Fitted {
        let options = Options {
            context_window: window,
            ..Options::default()
        };
        let prompt = Prompt {
            system: "",
            server: "",
            history: &history(turns),
            recalled: "",
            question: "question",
            turn,
        };
        prompt.fit(&[], Style::Native, &options)
    }

    #[track_caller]
    fn check(turns: usize, window: u32, left_out: usize) {
        let Fitted {
            messages,
            left_out: left,
            ..
        } = fit(turns, window, Vec::new());
        assert_eq!(left, left_out);
        assert_eq!(messages.len(), (turns - left_out) * 2 + 1);
        assert_eq!(messages.last(), Some(&Message::User("question".into())));
    }

    #[test]
    fn old_turns_are_left_out_in_groups_when_the_window_is_full() {
        check(3, 8192, 0);
        check(10, 2048, 4);
        check(11, 2048, 4);
        check(12, 2048, 8);
        check(3, 16, 3);
    }

    #[test]
    fn long_observations_are_cut_before_history_goes_and_all_fits() {
        let observation = |bytes: usize| Message::Tool {
            call_id: "c".into(),
            text: "o".repeat(bytes),
        };
        let size = |fitted: &Fitted| -> usize { fitted.messages.iter().map(cost_of).sum() };
        let fitted = fit(2, 8192, vec![observation(1 << 20), observation(100)]);
        assert_eq!(fitted.left_out, 0);
        assert!(size(&fitted) <= 8192 * 3 / 4, "{}", size(&fitted));
        assert!(
            matches!(&fitted.messages[5], Message::Tool { text, .. } if text.contains("of 1048576 bytes left out"))
        );
        let wide = fit(0, 128_000, vec![observation(1 << 20)]);
        assert!(size(&wide) * 3 > LONGEST_OBSERVATION);
        let many = fit(20, 4096, vec![observation(9000); 4]);
        assert!(size(&many) <= 4096 * 3 / 4, "{}", size(&many));
    }

    #[test]
    fn the_oldest_observations_are_cut_first_and_then_whole_turns_go() {
        use crate::conversation::{Step, ToolCall};
        let exchange = Exchange {
            query: "q".repeat(276),
            response: "r".repeat(276),
            steps: vec![Step {
                action: Some(ToolCall::default()),
                observation: "o".repeat(3000),
                ..Step::default()
            }],
            ..Exchange::default()
        };
        let history = vec![exchange; 12];
        let lengths = |window: u32| {
            let options = Options {
                context_window: window,
                ..Options::default()
            };
            let prompt = Prompt {
                system: "",
                server: "",
                history: &history,
                recalled: "",
                question: "question",
                turn: Vec::new(),
            };
            let fitted = prompt.fit(&[], Style::Native, &options);
            let spent: usize = fitted.messages.iter().map(cost_of).sum();
            assert!(spent <= room(&options), "{spent} of {window}");
            let observed = fitted.messages.iter().filter_map(|message| match message {
                Message::Tool { text, .. } => Some(text.len() == 3000),
                _ => None,
            });
            let whole = observed.clone().filter(|whole| *whole).count();
            (fitted.left_out, observed.count() - whole, whole)
        };
        assert_eq!(lengths(128_000), (0, 0, 12));
        assert_eq!(lengths(18_000), (0, 4, 8));
        assert_eq!(lengths(12_000), (0, 8, 4));
        assert_eq!(lengths(7_000), (0, 12, 0));
        assert_eq!(lengths(4_500), (4, 8, 0));
    }
}
