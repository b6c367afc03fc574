//! Puts together what a model is sent: system prompt, history, recalled interactions, question and steps, within its window.

use std::borrow::Cow;

use super::react;
use crate::conversation::{Attached, Message, ToolSpec};
use crate::provider::Options;
use crate::tools::shorten;

/// Old turns are left out in groups of this size, so that the head of the request stays the same for a while: servers keep
/// what they have read of it, and the store keeps it once.
const GROUP: usize = 4;
/// The most that a model is told of one observation, in bytes.
pub const LONGEST_OBSERVATION: usize = 64 << 10;
/// Observations are never cut below this, in bytes; a model could make nothing of less.
const SHORTEST_OBSERVATION: usize = 512;

/// Holds one finished turn of the conversation.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub query: String,
    pub response: String,
}

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
    /// What does not fit goes in this order: the middle of long observations, then the oldest exchanges.
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
        let fixed = cost(&system) + cost(self.question) + cost(self.recalled) + offered;
        let room = room(options).saturating_sub(fixed);
        let of_exchange = |exchange: &Exchange| cost(&exchange.query) + cost(&exchange.response);
        let mut history: usize = self.history.iter().map(of_exchange).sum();

        // The steps of the turn may have what the history does not need, and three quarters of the room in any case.
        let share = (room * 3 / 4).max(room.saturating_sub(history));
        let mut longest = LONGEST_OBSERVATION;
        let of_turn = |longest: usize| -> usize {
            let costs = self
                .turn
                .iter()
                .map(|message| cost(&said(message, longest)));
            costs.sum()
        };
        while of_turn(longest) > share && longest > SHORTEST_OBSERVATION {
            longest /= 2;
        }

        let of_turn = of_turn(longest);
        let room = room.saturating_sub(of_turn);
        let mut left_out = 0;
        while history > room && left_out < self.history.len() {
            let group = &self.history[left_out..self.history.len().min(left_out + GROUP)];
            history -= group.iter().map(of_exchange).sum::<usize>();
            left_out += group.len();
        }
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message::System(system.into_owned()));
        }
        for exchange in &self.history[left_out..] {
            messages.push(Message::User(exchange.query.clone()));
            messages.push(Message::Assistant {
                text: exchange.response.clone(),
                calls: Vec::new(),
                attached: Attached::new(),
            });
        }
        // In front of the question and not in a message of its own: some models want user and assistant to take turns.
        messages.push(Message::User(match self.recalled {
            "" => self.question.to_owned(),
            recalled => format!("{recalled}\n\n{}", self.question),
        }));
        let turn = self.turn.iter();
        messages.extend(turn.map(|message| rendered(message, style, longest)));
        Fitted {
            messages,
            left_out,
            cost: fixed + of_turn + history,
        }
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

/// Returns the text of a message, shortened if it is an observation.
fn said(message: &Message, longest: usize) -> Cow<'_, str> {
    match message {
        Message::Tool { text, .. } => shorten(text, longest),
        Message::Assistant { text, calls, .. } if !calls.is_empty() => {
            let calls = calls.iter().map(|call| call.arguments.to_string());
            Cow::Owned(calls.fold(text.clone(), |text, call| text + &call))
        }
        Message::System(text) | Message::User(text) | Message::Assistant { text, .. } => {
            Cow::Borrowed(text)
        }
    }
}

fn rendered(message: &Message, style: Style, longest: usize) -> Message {
    match (message, style) {
        (Message::Tool { call_id, text }, Style::Native) => Message::Tool {
            call_id: call_id.clone(),
            text: shorten(text, longest).into_owned(),
        },
        (Message::Tool { text, .. }, Style::Text) => {
            Message::User(format!("Observation: {}", shorten(text, longest)))
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
        let size = |fitted: &Fitted| -> usize {
            let messages = fitted.messages.iter();
            messages
                .map(|message| cost(&said(message, usize::MAX)))
                .sum()
        };
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
}
