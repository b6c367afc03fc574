//! The lines of an answer: server-sent events (<https://platform.openai.com/docs/api-reference/chat-streaming>).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::conversation::{Finish, ToolCall, Usage};
use crate::provider::said::{Said, find, read};
use crate::provider::stream::{Decode, DecodeError};
use crate::provider::{ChatEvent, End};

/// The longest arguments of a call that are read, in bytes.
const LONGEST_ARGUMENTS: usize = 16 << 20;

/// Decodes the lines of an answer, server-sent events with one JSON object each.
#[derive(Default)]
pub struct Decoder {
    /// Calls by their index, as far as their fragments have come: id, name, arguments.
    calls: BTreeMap<u64, (String, String, String)>,
    end: End,
    /// The event that comes is an error, whatever its data look like.
    fails: bool,
}

impl Decoder {
    fn data(&mut self, data: &str) -> Result<Vec<ChatEvent>, DecodeError> {
        if data == "[DONE]" {
            return Ok(self.close());
        }
        let data: Value = match serde_json::from_str(data) {
            Err(_) if self.fails => return Err(DecodeError::Reported(Said::from(data))),
            data => data.map_err(|error| DecodeError::Malformed(error.to_string()))?,
        };
        let said = find(&data);
        if let Some(said) = said.or_else(|| self.fails.then(|| read(&data.to_string()))) {
            return Err(DecodeError::Reported(said));
        }
        let usage = &data["usage"];
        if usage.is_object() {
            self.end.usage = Some(Usage {
                input_tokens: usage["prompt_tokens"].as_u64(),
                output_tokens: usage["completion_tokens"].as_u64(),
            });
        }
        if let (true, Some(model)) = (self.end.model.is_empty(), data["model"].as_str()) {
            model.clone_into(&mut self.end.model);
        }
        let choice = &data["choices"][0];
        // A server that does not stream sends the whole message at once.
        let whole = choice["message"].is_object();
        let delta = if whole {
            &choice["message"]
        } else {
            &choice["delta"]
        };
        let text = |name: &str| {
            delta[name]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let mut events = Vec::new();
        events.extend(
            text("reasoning_content")
                .or_else(|| text("reasoning"))
                .map(ChatEvent::Reasoning),
        );
        events.extend(text("content").map(ChatEvent::Text));
        for (position, part) in delta["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let call = self
                .calls
                .entry(part["index"].as_u64().unwrap_or(position as u64))
                .or_default();
            let function = &part["function"];
            // Some servers repeat the id and the name with every fragment; the arguments alone come in pieces.
            for (field, value) in [(&mut call.0, &part["id"]), (&mut call.1, &function["name"])] {
                if field.is_empty() {
                    value.as_str().unwrap_or_default().clone_into(field);
                }
            }
            call.2
                .push_str(function["arguments"].as_str().unwrap_or_default());
            if call.2.len() > LONGEST_ARGUMENTS {
                let reason = "the arguments of a call do not end";
                return Err(DecodeError::Malformed(reason.to_owned()));
            }
        }
        // Some servers have an empty reason in each event.
        let reason = choice["finish_reason"].as_str().unwrap_or_default();
        self.end.finish = Finish::read(reason).or(self.end.finish.take());
        if whole {
            events.extend(self.close());
        }
        Ok(events)
    }

    fn close(&mut self) -> Vec<ChatEvent> {
        let call = |(mut id, name, arguments): (String, String, String)| {
            // Else what two tools say could not be told apart. Mistral takes ids of this form alone.
            if id.is_empty() {
                id.extend(std::iter::repeat_with(fastrand::alphanumeric).take(9));
            }
            let arguments = match arguments.trim() {
                "" => json!({}),
                text => {
                    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
                }
            };
            ChatEvent::ToolCall(ToolCall {
                id,
                name,
                arguments,
                ..ToolCall::default()
            })
        };
        let mut events: Vec<_> = std::mem::take(&mut self.calls)
            .into_values()
            .map(call)
            .collect();
        events.push(ChatEvent::Done(std::mem::take(&mut self.end)));
        events
    }
}

impl Decode for Decoder {
    fn line(&mut self, line: &str) -> Result<Vec<ChatEvent>, DecodeError> {
        let line = line.trim();
        if line.is_empty() {
            self.fails = false;
            return Ok(Vec::new());
        }
        match line.split_once(':') {
            Some(("data", data)) if data.trim().is_empty() => Ok(Vec::new()),
            Some(("data", data)) => self.data(data.trim()),
            Some(("event", name)) => {
                self.fails = name.trim() == "error";
                Ok(Vec::new())
            }
            Some(("" | "id" | "retry", _)) => Ok(Vec::new()),
            _ if line.starts_with(['{', '[']) => self.data(line),
            _ => Err(DecodeError::Malformed("not a server-sent event".to_owned())),
        }
    }

    fn end(&mut self) -> Vec<ChatEvent> {
        // Some servers leave out `[DONE]`.
        if self.is_finished() {
            self.close()
        } else {
            Vec::new()
        }
    }

    fn is_finished(&self) -> bool {
        self.end.finish.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing;

    const RECORDED: &str = concat!(
        ": keep-alive\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"naïve 東京 🦀\"}}]}\n\n",
        "data:{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"at\\\":\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"x\\\"}\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":26,\"completion_tokens\":9,\"total_tokens\":35}}\n\n",
        "data: [DONE]\n\n",
    );

    fn expected() -> Vec<ChatEvent> {
        vec![
            ChatEvent::Reasoning("hm".into()),
            ChatEvent::Text("naïve 東京 🦀".into()),
            ChatEvent::ToolCall(ToolCall {
                id: "c1".into(),
                name: "look".into(),
                arguments: json!({"at": "x"}),
                ..ToolCall::default()
            }),
            ChatEvent::Done(End {
                usage: Some(Usage {
                    input_tokens: Some(26),
                    output_tokens: Some(9),
                }),
                finish: Some(Finish::ToolCalls),
                ..End::default()
            }),
        ]
    }

    #[test]
    fn an_answer_decodes_the_same_wherever_it_is_cut() {
        testing::check(RECORDED, Decoder::default, &expected());
    }

    #[test]
    fn an_answer_without_the_last_mark_is_whole_once_the_model_has_finished() {
        testing::check(
            &RECORDED.replace("data: [DONE]\n\n", ""),
            Decoder::default,
            &expected(),
        );
    }

    #[test]
    fn errors_and_noise_are_told_apart() {
        let line = |line: &str| Decoder::default().line(line);
        assert_eq!(
            line(r#"data: {"error":{"message":"overloaded"}}"#),
            Err(DecodeError::Reported("overloaded".into()))
        );
        for reported in [
            r#"data: {"object":"error","message":"overloaded"}"#,
            r#"data: {"type":"error","error":{"message":"overloaded"}}"#,
            r#"data: [{"error":{"message":"overloaded"}}]"#,
            r#"[{"error":{"message":"overloaded"}}]"#,
        ] {
            let said = Err(DecodeError::Reported("overloaded".into()));
            assert_eq!(line(reported), said, "{reported}");
        }
        let unnamed = Err(DecodeError::Reported(r#"{"code":502}"#.into()));
        assert_eq!(line(r#"data: {"error":{"code":502}}"#), unnamed);
        for data in [r#"{"message":"overloaded"}"#, "overloaded"] {
            let mut decoder = Decoder::default();
            assert_eq!(decoder.line("event: error"), Ok(Vec::new()));
            let said = decoder.line(&format!("data: {data}"));
            assert_eq!(said, Err(DecodeError::Reported("overloaded".into())));
        }
        assert_eq!(line("data:"), Ok(Vec::new()));
        assert!(matches!(line("data: {"), Err(DecodeError::Malformed(_))));
        assert!(matches!(line("<html>"), Err(DecodeError::Malformed(_))));
        let whole = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        assert_eq!(
            line(whole),
            Ok(vec![
                ChatEvent::Text("hi".into()),
                ChatEvent::Done(End {
                    finish: Some(Finish::Stop),
                    ..End::default()
                })
            ])
        );
    }

    #[test]
    fn calls_without_an_id_get_ids_of_their_own() {
        let call = json!({"function": {"name": "look", "arguments": "no JSON"}});
        let message = json!({"tool_calls": [call, call]});
        let whole = json!({"choices": [{"message": message}]}).to_string();
        let events = Decoder::default().line(&whole).unwrap();
        let [ChatEvent::ToolCall(one), ChatEvent::ToolCall(two), _] = &events[..] else {
            panic!("{events:?}");
        };
        assert!(!one.id.is_empty() && one.id != two.id, "{one:?} {two:?}");
        assert_eq!(one.arguments, json!("no JSON"));
    }

    #[test]
    fn spoilt_answers_are_errors_and_nothing_worse() {
        let seeds: Vec<&str> = RECORDED.lines().collect();
        let mut decoder = Decoder::default();
        crate::mutate::each(&seeds, |line| {
            if decoder.line(line).is_err() {
                decoder = Decoder::default();
            }
        });
        decoder.end();
    }
}
