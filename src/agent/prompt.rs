//! Puts together what a model is sent: system prompt, history and question, within its window.

use crate::conversation::Message;
use crate::provider::Options;

/// Old turns are left out in groups of this size, so that the head of the request stays the same for a while: servers keep
/// what they have read of it, and the store keeps it once.
const GROUP: usize = 4;

/// Holds one finished turn of the conversation.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub query: String,
    pub response: String,
}

/// Returns the messages to send, and how many of the oldest exchanges had to be left out.
pub fn compose(
    system: &str,
    history: &[Exchange],
    question: &str,
    options: &Options,
) -> (Vec<Message>, usize) {
    let window = options.context_window as usize;
    let answer = options
        .max_tokens
        .map_or(window / 4, |tokens| (tokens as usize).min(window / 2));
    let fixed = tokens(system) + tokens(question);
    let budget = window.saturating_sub(answer + fixed);
    let mut left_out = 0;
    let mut needed: usize = history
        .iter()
        .map(|exchange| tokens(&exchange.query) + tokens(&exchange.response))
        .sum();
    while needed > budget && left_out < history.len() {
        let group = &history[left_out..history.len().min(left_out + GROUP)];
        needed -= group
            .iter()
            .map(|exchange| tokens(&exchange.query) + tokens(&exchange.response))
            .sum::<usize>();
        left_out += group.len();
    }
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(Message::System(system.to_owned()));
    }
    for exchange in &history[left_out..] {
        messages.push(Message::User(exchange.query.clone()));
        messages.push(Message::Assistant {
            text: exchange.response.clone(),
            calls: Vec::new(),
        });
    }
    messages.push(Message::User(question.to_owned()));
    (messages, left_out)
}

/// Estimates the tokens of a message from above: text in most languages has 3 bytes or more a token, and each message a frame.
fn tokens(text: &str) -> usize {
    text.len() / 3 + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(turns: usize, window: u32, left_out: usize) {
        let history: Vec<_> = (0..turns)
            .map(|_| Exchange {
                query: "q".repeat(276),
                response: "r".repeat(276),
            })
            .collect();
        let options = Options {
            context_window: window,
            ..Options::default()
        };
        let (messages, left) = compose("", &history, "question", &options);
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
}
