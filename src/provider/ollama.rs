//! Ollama: request body and line decoder (<https://github.com/ollama/ollama/blob/main/docs/api.md>).

use futures::future::BoxFuture;
use serde_json::{Deserializer, Map, Value, json};

use super::attached::restore;
use super::calls::Calls;
use super::host::base_url;
use super::http::Http;
use super::said::find;
use super::secrets::Secrets;
use super::stream::{Decode, DecodeError};
use super::told::{self, Known, Told};
use super::{ChatEvent, ChatRequest, ChatStream, End, Provider, ProviderError, Settings, Think};
use crate::conversation::{Finish, Message, ToolCall, Usage};

/// Speaks to an Ollama server.
pub struct Ollama {
    http: Http,
    known: Known,
}

impl Ollama {
    /// Prepares to talk to the server at `host`, which may be anything that `OLLAMA_HOST` may be.
    pub fn new(host: &str, settings: &Settings) -> Result<Ollama, ProviderError> {
        let secrets = Secrets::ollama(settings);
        Ok(Ollama {
            http: Http::new("Ollama", base_url(host), secrets, settings)?,
            known: Known::default(),
        })
    }

    /// Returns whether the server says which Ollama it is; others that list models in its form do not.
    pub async fn tells_version(&self) -> bool {
        let version = self.http.get_aside("/api/version").await;
        version.is_ok_and(|version| version["version"].is_string())
    }
}

impl Provider for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn server(&self) -> &str {
        self.http.server()
    }

    fn chat(&self, request: ChatRequest) -> ChatStream {
        self.http
            .stream("/api/chat", body(&request), request.model, Decoder::default)
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, ProviderError>> {
        Box::pin(async {
            let tags = self.http.get_json("/api/tags").await?;
            // A list in OpenAI's form, too, is that of llama.cpp, which speaks nothing else of this API.
            let list = tags["models"].as_array().filter(|_| tags["data"].is_null());
            let Some(models) = list else {
                return Err(ProviderError::Malformed {
                    provider: "Ollama",
                    reason: "no list of models".to_owned(),
                    line: tags.to_string().chars().take(200).collect(),
                });
            };
            let models = models.iter();
            Ok(models
                .filter_map(|model| model["name"].as_str().map(str::to_owned))
                .collect())
        })
    }

    fn told<'p>(&'p self, model: &'p str) -> BoxFuture<'p, Told> {
        Box::pin(async move {
            if let Some(told) = self.known.get(model) {
                return told;
            }
            let body = json!({"model": model});
            let show = self.http.post_json("/api/show", &body).await;
            let told = show
                .as_ref()
                .map_or_else(|_| Told::default(), told::of_show);
            self.known.keep(model, told)
        })
    }
}

/// Returns the request body. The messages come last, so that a longer conversation shares the beginning of a shorter one.
fn body(request: &ChatRequest) -> Value {
    let options = &request.options;
    let mut settings = Map::new();
    settings.insert("num_ctx".to_owned(), json!(options.context_window));
    let set = [
        ("temperature", options.temperature.map(Value::from)),
        ("num_predict", options.max_tokens.map(Value::from)),
        ("seed", options.seed.map(Value::from)),
        ("top_p", options.top_p.map(Value::from)),
    ];
    settings.extend(
        set.into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    let mut body = json!({"model": request.model, "stream": true, "options": settings});
    if !request.stop.is_empty() {
        body["options"]["stop"] = json!(request.stop);
    }
    if let Some(format) = &request.format {
        body["format"] = format.clone();
    }
    if let Some(think) = options.think {
        body["think"] = match think {
            Think::On => json!(true),
            Think::Off => json!(false),
            level => json!(level),
        };
    }
    // There is no other way to keep the model from calling them.
    if !request.tools.is_empty() && request.may_call {
        body["tools"] = super::offered(&request.tools);
    }
    let mut calls: Vec<&ToolCall> = Vec::new();
    let mut messages = Vec::new();
    for message in &request.messages {
        messages.push(match message {
            Message::System(text) => json!({"role": "system", "content": text}),
            Message::User(text) => json!({"role": "user", "content": text}),
            Message::Assistant {
                text,
                calls: made,
                attached,
            } => {
                calls.extend(made);
                let mut message = json!({"role": "assistant", "content": text});
                if !made.is_empty() {
                    message["tool_calls"] = made.iter().map(written).collect();
                }
                restore(&mut message, attached);
                message
            }
            Message::Tool { call_id, text } => {
                let name = calls
                    .iter()
                    .rev()
                    .find(|call| call.id == *call_id)
                    .map_or("", |call| call.name.as_str());
                json!({"role": "tool", "content": text, "tool_name": name})
            }
        });
    }
    body["messages"] = messages.into();
    body
}

fn written(call: &ToolCall) -> Value {
    let mut written = json!({"function": {"name": call.name, "arguments": super::arguments(call)}});
    restore(&mut written, &call.attached);
    written
}

/// Decodes the lines of an answer, one JSON object each.
#[derive(Default)]
struct Decoder {
    calls: usize,
    thinking: String,
}

impl Decoder {
    fn document(
        &mut self,
        document: &Value,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), DecodeError> {
        if let Some(said) = find(document) {
            return Err(DecodeError::Reported(said));
        }
        let message = &document["message"];
        let text = |name: &str| {
            message[name]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let thinking = text("thinking");
        self.thinking += thinking.as_deref().unwrap_or_default();
        events.extend(thinking.map(ChatEvent::Reasoning));
        events.extend(text("content").map(ChatEvent::Text));
        // They come whole.
        let mut calls = Calls::default();
        let list = message["tool_calls"].as_array().into_iter().flatten();
        for (call, position) in list.zip(0..) {
            calls.add(call, position)?;
        }
        for mut call in calls.take() {
            if message["tool_calls"][0]["id"].is_null() {
                call.id = format!("call_{}", self.calls);
            }
            self.calls += 1;
            events.push(ChatEvent::ToolCall(call));
        }
        if document["done"] == true {
            let usage = Usage {
                input_tokens: document["prompt_eval_count"].as_u64(),
                output_tokens: document["eval_count"].as_u64(),
            };
            let mut end = End {
                usage: Some(usage).filter(|usage| *usage != Usage::default()),
                finish: document["done_reason"].as_str().and_then(Finish::read),
                model: document["model"].as_str().unwrap_or_default().to_owned(),
                ..End::default()
            };
            if !self.thinking.is_empty() {
                let thinking = std::mem::take(&mut self.thinking);
                end.attached.insert("thinking".to_owned(), thinking.into());
            }
            events.push(ChatEvent::Done(end));
        } else if message.is_null() {
            return Err(DecodeError::Malformed(
                "neither a message nor the end".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Decode for Decoder {
    fn line(&mut self, line: &str) -> Result<Vec<ChatEvent>, DecodeError> {
        let mut events = Vec::new();
        for document in Deserializer::from_str(line).into_iter::<Value>() {
            let document = document.map_err(|error| DecodeError::Malformed(error.to_string()))?;
            self.document(&document, &mut events)?;
        }
        Ok(events)
    }

    fn end(&mut self) -> Result<Vec<ChatEvent>, DecodeError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, testing};
    use super::*;
    use crate::conversation::{Attached, ToolSpec};

    const RECORDED: &str = concat!(
        r#"{"model":"llama3.2","created_at":"2026-11-20T13:02:11.1Z","message":{"role":"assistant","content":"","thinking":"Let me see"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","message":{"role":"assistant","content":"naïve 東","thinking":"…","tool_calls":[{"function":{"name":"a","arguments":{"x":1}}},{"function":{"name":"b","arguments":{}}}]},"done":false}"#,
        "\r\n\n",
        r#"{"model":"llama3.2","message":{"role":"assistant","content":"京 🦀"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"prompt_eval_count":26,"eval_count":9}"#,
    );

    #[test]
    fn an_answer_decodes_the_same_wherever_it_is_cut() {
        let call = |id: &str, name: &str, arguments: Value| {
            ChatEvent::ToolCall(ToolCall {
                id: id.into(),
                name: name.into(),
                arguments,
                ..ToolCall::default()
            })
        };
        let expected = vec![
            ChatEvent::Reasoning("Let me see".into()),
            ChatEvent::Reasoning("…".into()),
            ChatEvent::Text("naïve 東".into()),
            call("call_0", "a", json!({"x": 1})),
            call("call_1", "b", json!({})),
            ChatEvent::Text("京 🦀".into()),
            ChatEvent::Done(End {
                usage: Some(Usage {
                    input_tokens: Some(26),
                    output_tokens: Some(9),
                }),
                finish: Some(Finish::Stop),
                model: "llama3.2".into(),
                attached: json!({"thinking": "Let me see…"})
                    .as_object()
                    .cloned()
                    .unwrap(),
            }),
        ];
        testing::check(RECORDED, Decoder::default(), &expected);
    }

    #[test]
    fn errors_and_noise_are_told_apart() {
        let line = |line: &str| Decoder::default().line(line);
        assert_eq!(
            line(r#"{"error":"out of memory"}"#),
            Err(DecodeError::Reported("out of memory".into()))
        );
        assert!(matches!(line("<html>"), Err(DecodeError::Malformed(_))));
        assert!(matches!(line("{}"), Err(DecodeError::Malformed(_))));
        assert_eq!(
            line(r#"{"done":true}"#),
            Ok(vec![ChatEvent::Done(End::default())])
        );
    }

    #[test]
    fn the_body_holds_options_tools_and_messages() {
        let call = ToolCall {
            id: "call_0".into(),
            name: "look".into(),
            arguments: json!({"at": "x"}),
            ..ToolCall::default()
        };
        let request = ChatRequest {
            model: "llama3.2".into(),
            messages: vec![
                Message::System("be brief".into()),
                Message::User("hi".into()),
                Message::Assistant {
                    text: String::new(),
                    calls: vec![call],
                    attached: Attached::new(),
                },
                Message::Tool {
                    call_id: "call_0".into(),
                    text: "seen".into(),
                },
            ],
            tools: vec![ToolSpec {
                name: "look".into(),
                description: "Look.".into(),
                parameters: json!({"type": "object"}),
            }],
            options: Options {
                temperature: Some(0.5),
                max_tokens: Some(7),
                seed: Some(-1),
                top_p: None,
                think: Some(Think::Low),
                context_window: 8192,
            },
            stop: vec!["\nObservation:".into()],
            format: Some(json!({"type": "object"})),
            may_call: true,
        };
        assert_eq!(
            body(&request).to_string(),
            concat!(
                r#"{"model":"llama3.2","stream":true,"options":{"num_ctx":8192,"temperature":0.5,"num_predict":7,"seed":-1,"stop":["\nObservation:"]},"#,
                r#""format":{"type":"object"},"think":"low","#,
                r#""tools":[{"type":"function","function":{"name":"look","description":"Look.","parameters":{"type":"object"}}}],"#,
                r#""messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"},"#,
                r#"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{"at":"x"}}}]},"#,
                r#"{"role":"tool","content":"seen","tool_name":"look"}]}"#,
            )
        );
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
        decoder.end().ok();
    }
}
