//! Finished turns as they are sent again: the question, the calls with what came of them, and the answer.

use super::prompt::Style;
use super::react;
use crate::conversation::{
    Attached, Message, NO_ANSWER, NO_MORE, OBSERVATION, Spoken, Step, ToolCall,
};
use crate::tools::shorten;

/// Holds one finished turn of the conversation.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The question as it was asked. What was recalled for it was told once: what is taken out of the conversation is to be out of it.
    pub query: String,
    pub steps: Vec<Step>,
    /// Empty where the turn was broken off before there was one.
    pub response: String,
    /// The model was told to call no more tools.
    pub out_of_steps: bool,
}

/// Says for whom turns are written down, and how.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'r> {
    pub style: Style,
    /// The server that is asked: what another one attached is nothing for it.
    pub server: &'r str,
    /// The most that is told of one observation, in bytes.
    pub longest: usize,
}

impl Exchange {
    /// Returns whether there is anything to send again.
    pub fn tells(&self) -> bool {
        !self.response.is_empty() || self.steps.iter().any(|step| step.action.is_some())
    }

    /// Returns the messages. Calls that have no id of this server get one; `first` is the number of steps before these.
    pub fn messages(&self, reader: Reader<'_>, first: usize) -> Vec<Message> {
        let mut messages = vec![Message::User(self.query.clone())];
        let acted: Vec<(usize, &Step, &ToolCall)> = self
            .steps
            .iter()
            .enumerate()
            .filter_map(|(at, step)| Some((first + at, step, step.action.as_ref()?)))
            .collect();
        match reader.style {
            Style::Native => native(&acted, reader, &mut messages),
            Style::Text => text(&acted, reader, &mut messages),
        }
        if self.out_of_steps {
            messages.push(Message::User(NO_MORE.to_owned()));
        }
        let last = self.steps.last().filter(|step| step.action.is_none());
        messages.push(Message::Assistant {
            text: match &*self.response {
                "" => NO_ANSWER.to_owned(),
                response => response.to_owned(),
            },
            calls: Vec::new(),
            attached: attached(last.and_then(|step| step.message.as_ref()), reader),
        });
        messages
    }
}

/// Adds calls and observations in the way of an API: those that came in one message stay in one.
fn native(acted: &[(usize, &Step, &ToolCall)], reader: Reader<'_>, messages: &mut Vec<Message>) {
    let mut rest = acted;
    while let [(_, head, _), more @ ..] = rest {
        let follows = |(_, step, _): &&(usize, &Step, &ToolCall)| step.message.is_none();
        // Of turns from elsewhere it is not known which calls came together.
        let followers = head
            .message
            .as_ref()
            .map_or(0, |_| more.iter().take_while(follows).count());
        let (these, others) = rest.split_at(1 + followers);
        rest = others;
        let calls: Vec<ToolCall> = these
            .iter()
            .map(|(number, _, call)| named(call, *number, head.message.as_ref(), reader))
            .collect();
        let observed = these.iter().zip(&calls);
        let observed = observed.map(|((_, step, _), call)| Message::Tool {
            call_id: call.id.clone(),
            text: observation(step, reader),
        });
        let observed: Vec<Message> = observed.collect();
        messages.push(Message::Assistant {
            text: match &head.message {
                // What was written in the other style has the calls in it.
                Some(_) if these[0].2.id.is_empty() => head.thought.clone(),
                Some(message) => message.text.clone(),
                None => String::new(),
            },
            calls,
            attached: attached(head.message.as_ref(), reader),
        });
        messages.extend(observed);
    }
}

/// Adds calls and observations as text, one after the other.
fn text(acted: &[(usize, &Step, &ToolCall)], reader: Reader<'_>, messages: &mut Vec<Message>) {
    for (_, step, call) in acted {
        let written = step.message.as_ref().map(|message| message.text.as_str());
        let text = match written {
            Some(text) if call.id.is_empty() && !text.is_empty() => text.to_owned(),
            _ => react::action(&step.thought, call),
        };
        messages.push(Message::Assistant {
            text,
            calls: Vec::new(),
            attached: Attached::new(),
        });
        let observation = observation(step, reader);
        messages.push(Message::User(format!("{OBSERVATION}{observation}")));
    }
}

/// Returns a call as it goes back: to the server that it came from as that called it, else under an id in the form that all servers take.
fn named(
    call: &ToolCall,
    number: usize,
    came_with: Option<&Spoken>,
    reader: Reader<'_>,
) -> ToolCall {
    let mut call = call.clone();
    let foreign = came_with.is_none_or(|message| message.server != reader.server);
    if foreign || call.id.is_empty() {
        call.id = format!("call{number:05}");
    }
    if foreign {
        call.attached.clear();
    }
    call
}

fn attached(message: Option<&Spoken>, reader: Reader<'_>) -> Attached {
    let message = message.filter(|message| message.server == reader.server);
    message.map_or_else(Attached::new, |message| message.attached.clone())
}

/// Returns what is told of a step; a tool that was interrupted has said nothing.
fn observation(step: &Step, reader: Reader<'_>) -> String {
    match (&*step.observation, &step.error) {
        ("", Some(error)) => format!("error: {error}"),
        (text, _) => shorten(text, reader.longest).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(id: &str, at: &str, message: Option<Spoken>) -> Step {
        Step {
            thought: format!("{at} may tell"),
            action: Some(ToolCall {
                id: id.to_owned(),
                name: "look".to_owned(),
                arguments: json!({"at": at}),
                attached: json!({"sign": at}).as_object().cloned().unwrap(),
            }),
            message,
            observation: format!("seen {at}"),
            success: true,
            ..Step::default()
        }
    }

    fn spoken(text: &str) -> Spoken {
        Spoken {
            text: text.to_owned(),
            attached: json!({"reasoning": "r"}).as_object().cloned().unwrap(),
            server: "here".to_owned(),
        }
    }

    fn exchange(steps: Vec<Step>) -> Exchange {
        Exchange {
            query: "q".to_owned(),
            steps,
            response: "a".to_owned(),
            out_of_steps: false,
        }
    }

    /// Draws messages: role, text, calls with ids, what is attached.
    fn drawn(exchange: &Exchange, style: Style, server: &str) -> Vec<String> {
        let reader = Reader {
            style,
            server,
            longest: 4096,
        };
        let draw = |message: &Message| match message {
            Message::System(text) => format!("S {text}"),
            Message::User(text) => format!("U {text}"),
            Message::Tool { call_id, text } => format!("T {call_id} {text}"),
            Message::Assistant {
                text,
                calls,
                attached,
            } => {
                let mut drawn = format!("A {text}");
                for call in calls {
                    drawn += &format!(" {}{}{}", call.id, call.arguments, call.attached.len());
                }
                format!("{drawn} +{}", attached.len())
            }
        };
        exchange.messages(reader, 7).iter().map(draw).collect()
    }

    #[test]
    fn calls_that_came_together_stay_together_and_what_a_server_attached_is_for_it_alone() {
        let together = exchange(vec![
            step("c1", "x", Some(spoken("I look."))),
            step("c2", "y", None),
            step("c3", "z", Some(spoken(""))),
        ]);
        assert_eq!(
            drawn(&together, Style::Native, "here"),
            [
                "U q",
                r#"A I look. c1{"at":"x"}1 c2{"at":"y"}1 +1"#,
                "T c1 seen x",
                "T c2 seen y",
                r#"A  c3{"at":"z"}1 +1"#,
                "T c3 seen z",
                "A a +0",
            ]
        );
        let elsewhere = drawn(&together, Style::Native, "there");
        assert_eq!(
            elsewhere[1],
            r#"A I look. call00007{"at":"x"}0 call00008{"at":"y"}0 +0"#
        );
        assert_eq!(
            drawn(&together, Style::Text, "here")[1..3],
            [
                "A Thought: x may tell\nAction: look\nAction Input: {\"at\":\"x\"} +0",
                "U Observation: seen x",
            ]
        );
    }

    #[test]
    fn turns_of_another_style_or_program_are_written_in_the_one_at_hand() {
        let imported = exchange(vec![step("", "x", None), step("", "y", None)]);
        assert_eq!(
            drawn(&imported, Style::Native, "here"),
            [
                "U q",
                r#"A  call00007{"at":"x"}0 +0"#,
                "T call00007 seen x",
                r#"A  call00008{"at":"y"}0 +0"#,
                "T call00008 seen y",
                "A a +0",
            ]
        );
        let raw = "Thought: hm\nAction: look\nAction Input: {}";
        let written = exchange(vec![step("", "x", Some(spoken(raw)))]);
        assert_eq!(
            drawn(&written, Style::Text, "here")[1],
            format!("A {raw} +0")
        );
        assert_eq!(
            drawn(&written, Style::Native, "here")[1],
            r#"A x may tell call00007{"at":"x"}1 +1"#
        );
    }

    #[test]
    fn a_turn_that_was_broken_off_says_so() {
        let mut cut = step("c1", "x", Some(spoken("")));
        cut.observation.clear();
        cut.error = Some("interrupted".to_owned());
        let mut exchange = exchange(vec![cut]);
        exchange.response.clear();
        assert!(exchange.tells());
        let drawn = drawn(&exchange, Style::Native, "here");
        assert_eq!(drawn[2], "T c1 error: interrupted");
        assert_eq!(drawn[3], format!("A {NO_ANSWER} +0"));
        exchange.steps.clear();
        assert!(!exchange.tells());
    }
}
