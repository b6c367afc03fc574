//! Any OpenAI-compatible server: request body and line decoder (<https://platform.openai.com/docs/api-reference/chat>).

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::http::{Decode, DecodeError, Http};
use super::url::{is_loopback, shown};
use super::{ChatEvent, ChatRequest, ChatStream, Provider, ProviderError, Settings};
use crate::conversation::{Message, ToolCall, Usage};

/// Speaks to an OpenAI-compatible server.
pub struct OpenAi(Http);

impl OpenAi {
    /// Prepares to talk to the server at `url`. A server elsewhere wants a key.
    pub fn new(url: &str, settings: &Settings) -> Result<OpenAi, ProviderError> {
        let url = base_url(url);
        let key = settings.openai_key.clone();
        if key.is_none() && !is_loopback(&url) {
            return Err(ProviderError::NoKey { url: shown(&url) });
        }
        Ok(OpenAi(Http::new(
            "the OpenAI-compatible server",
            url,
            key,
            settings,
        )?))
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn chat(&self, request: ChatRequest) -> ChatStream {
        self.0.stream(
            "/chat/completions",
            body(&request),
            request.model,
            Decoder::default(),
        )
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, ProviderError>> {
        Box::pin(async {
            let list = self.0.get_json("/models").await?;
            let models = list["data"].as_array().into_iter().flatten();
            Ok(models
                .filter_map(|model| model["id"].as_str().map(str::to_owned))
                .collect())
        })
    }
}

/// Completes a base URL: servers have the API under `/v1` when no path is named.
pub fn base_url(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let url = match url.contains("://") {
        true => url.to_owned(),
        // A key is not sent in clear text, but to this machine.
        false if is_loopback(&format!("http://{url}")) => format!("http://{url}"),
        false => format!("https://{url}"),
    };
    let bare = url
        .split_once("://")
        .is_some_and(|(_, rest)| !rest.contains('/'));
    if bare { format!("{url}/v1") } else { url }
}

/// Returns the request body. The messages come last, so that a longer conversation shares the beginning of a shorter one.
fn body(request: &ChatRequest) -> String {
    let options = &request.options;
    let mut body =
        json!({"model": request.model, "stream": true, "stream_options": {"include_usage": true}});
    let set = [
        ("temperature", options.temperature.map(Value::from)),
        ("max_tokens", options.max_tokens.map(Value::from)),
        ("seed", options.seed.map(Value::from)),
        ("top_p", options.top_p.map(Value::from)),
        (
            "stop",
            (!request.stop.is_empty()).then(|| json!(request.stop)),
        ),
        ("response_format", request.format.as_ref().map(format)),
        (
            "tools",
            Some(super::offered(&request.tools)).filter(|_| !request.tools.is_empty()),
        ),
    ];
    for (name, value) in set {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    let messages = request.messages.iter().map(|message| match message {
        Message::System(text) => json!({"role": "system", "content": text}),
        Message::User(text) => json!({"role": "user", "content": text}),
        Message::Assistant { text, calls } if calls.is_empty() => json!({"role": "assistant", "content": text}),
        Message::Assistant { text, calls } => {
            let text = Some(text).filter(|text| !text.is_empty());
            let call = |call: &ToolCall| {
                let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
                json!({"id": call.id, "type": "function", "function": function})
            };
            json!({"role": "assistant", "content": text, "tool_calls": calls.iter().map(call).collect::<Vec<_>>()})
        }
        Message::Tool { call_id, text } => json!({"role": "tool", "tool_call_id": call_id, "content": text}),
    });
    body["messages"] = messages.collect();
    body.to_string()
}

/// Returns a JSON schema in the form that the API takes.
fn format(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}})
}

/// Decodes the lines of an answer, server-sent events with one JSON object each.
#[derive(Default)]
struct Decoder {
    /// Calls by their index, as far as their fragments have come: id, name, arguments.
    calls: BTreeMap<u64, (String, String, String)>,
    usage: Option<Usage>,
    /// The model has said why it stopped.
    finished: bool,
}

impl Decoder {
    fn data(&mut self, data: &str) -> Result<Vec<ChatEvent>, DecodeError> {
        if data == "[DONE]" {
            return Ok(self.close());
        }
        let data: Value = serde_json::from_str(data)
            .map_err(|error| DecodeError::Malformed(error.to_string()))?;
        let error = &data["error"];
        if let Some(message) = error.as_str().or(error["message"].as_str()) {
            return Err(DecodeError::Reported(message.to_owned()));
        }
        let usage = &data["usage"];
        if usage.is_object() {
            self.usage = Some(Usage {
                input_tokens: usage["prompt_tokens"].as_u64(),
                output_tokens: usage["completion_tokens"].as_u64(),
            });
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
        }
        self.finished |= choice["finish_reason"].is_string();
        if whole {
            events.extend(self.close());
        }
        Ok(events)
    }

    fn close(&mut self) -> Vec<ChatEvent> {
        let call = |(id, name, arguments): (String, String, String)| {
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
            })
        };
        let mut events: Vec<_> = std::mem::take(&mut self.calls)
            .into_values()
            .map(call)
            .collect();
        events.push(ChatEvent::Done(self.usage.take()));
        events
    }
}

impl Decode for Decoder {
    fn line(&mut self, line: &str) -> Result<Vec<ChatEvent>, DecodeError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with(':') {
            return Ok(Vec::new());
        }
        match line.split_once(':') {
            Some(("data", data)) => self.data(data.trim()),
            Some(("event" | "id" | "retry", _)) => Ok(Vec::new()),
            _ if line.starts_with('{') => self.data(line),
            _ => Err(DecodeError::Malformed("not a server-sent event".to_owned())),
        }
    }

    fn end(&mut self) -> Vec<ChatEvent> {
        // Some servers leave out `[DONE]`.
        if self.finished {
            self.close()
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, testing};
    use super::*;

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
            }),
            ChatEvent::Done(Some(Usage {
                input_tokens: Some(26),
                output_tokens: Some(9),
            })),
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
        assert!(matches!(line("data: {"), Err(DecodeError::Malformed(_))));
        assert!(matches!(line("<html>"), Err(DecodeError::Malformed(_))));
        let whole = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        assert_eq!(
            line(whole),
            Ok(vec![ChatEvent::Text("hi".into()), ChatEvent::Done(None)])
        );
    }

    #[test]
    fn the_body_holds_options_and_messages() {
        let call = ToolCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: json!({"at": "x"}),
        };
        let request = ChatRequest {
            model: "m".into(),
            messages: vec![
                Message::User("hi".into()),
                Message::Assistant {
                    text: String::new(),
                    calls: vec![call],
                },
                Message::Tool {
                    call_id: "c1".into(),
                    text: "seen".into(),
                },
            ],
            tools: Vec::new(),
            options: Options {
                top_p: Some(0.9),
                max_tokens: Some(7),
                ..Options::default()
            },
            stop: vec!["end".into()],
            format: Some(json!({"type": "object"})),
        };
        assert_eq!(
            body(&request),
            concat!(
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"top_p":0.9,"stop":["end"],"#,
                r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}},"#,
                r#""messages":[{"role":"user","content":"hi"},"#,
                r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\":\"x\"}"}}]},"#,
                r#"{"role":"tool","tool_call_id":"c1","content":"seen"}]}"#,
            )
        );
    }

    #[test]
    fn a_url_without_a_path_gets_the_version() {
        assert_eq!(
            base_url("http://localhost:1234/"),
            "http://localhost:1234/v1"
        );
        assert_eq!(base_url("localhost:1234"), "http://localhost:1234/v1");
        assert_eq!(base_url("example.com"), "https://example.com/v1");
        assert_eq!(base_url("https://host/api/v2/"), "https://host/api/v2");
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
