//! Any OpenAI-compatible server: where it is and what is sent to it (<https://platform.openai.com/docs/api-reference/chat>).

mod content;
mod decoder;
#[cfg(test)]
mod recorded;
mod thought;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::attached::restore;
use super::http::Http;
use super::secrets::Secrets;
use super::told::{self, Known, Told};
use super::url::{connectable, is_loopback, is_near, shown, unquoted};
use super::{ChatRequest, ChatStream, Provider, ProviderError, Settings, Think};
use crate::conversation::{Message, ToolCall};
use decoder::Decoder;

/// Speaks to an OpenAI-compatible server.
pub struct OpenAi {
    http: Http,
    /// Whether the server is one of somebody's own.
    is_near: bool,
    list: OnceCell<Value>,
    known: Known,
}

impl OpenAi {
    /// Prepares to talk to the server at `url`. A service elsewhere wants a key; one that can only be reached over http is somebody's own.
    pub fn new(url: &str, settings: &Settings) -> Result<OpenAi, ProviderError> {
        let url = base_url(url);
        let secrets = Secrets::openai(settings);
        let is_near = is_near(&url);
        if secrets.is_empty() && !is_near {
            return Err(ProviderError::NoKey { url: shown(&url) });
        }
        Ok(OpenAi {
            is_near,
            http: Http::new("the OpenAI-compatible server", url, secrets, settings)?,
            list: OnceCell::new(),
            known: Known::default(),
        })
    }

    /// Asks a server for what it tells of a model: in its list, and where llama.cpp tells it.
    async fn ask(&self, model: &str) -> Told {
        let list = self
            .list
            .get_or_try_init(|| self.http.get_soon("/models"))
            .await;
        let list = list.unwrap_or(&Value::Null);
        let entry = told::listed(list, model);
        let told = entry.map_or_else(Told::default, told::of_entry);
        let is_llama = entry.is_some_and(|entry| entry["owned_by"] == "llamacpp");
        if is_llama || (list.is_null() && self.is_near) {
            let props = self.http.get_aside("/props").await.unwrap_or_default();
            return told::of_props(&props).or(told);
        }
        told
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn server(&self) -> &str {
        self.http.server()
    }

    fn chat(&self, request: ChatRequest) -> ChatStream {
        self.http.stream(
            "/chat/completions",
            body(&request),
            request.model,
            Decoder::default,
        )
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<String>, ProviderError>> {
        Box::pin(async {
            let list = self.http.get_json("/models").await?;
            let entries = told::entries(&list).into_iter().flatten();
            let names = entries.filter_map(told::id).map(str::to_owned).collect();
            // Whoever asked first has told as much.
            drop(self.list.set(list));
            Ok(names)
        })
    }

    fn told<'p>(&'p self, model: &'p str) -> BoxFuture<'p, Told> {
        Box::pin(async move {
            match self.known.get(model) {
                Some(told) => told,
                None => self.known.keep(model, self.ask(model).await),
            }
        })
    }
}

/// Completes a base URL: servers have the API under `/v1` when no path is named.
pub fn base_url(url: &str) -> String {
    let url = unquoted(url).trim_end_matches('/');
    let url = match url.contains("://") {
        true => url.to_owned(),
        // A key is not sent in clear text, but to this machine.
        false if is_loopback(&format!("http://{url}")) => format!("http://{url}"),
        false => format!("https://{url}"),
    };
    let url = connectable(url);
    let bare = url
        .split_once("://")
        .is_some_and(|(_, rest)| !rest.contains(['/', '?']));
    if bare { format!("{url}/v1") } else { url }
}

/// Returns the request body. What changes from request to request comes last, so that a longer conversation shares the beginning of a
/// shorter one.
fn body(request: &ChatRequest) -> Value {
    let options = &request.options;
    let mut body =
        json!({"model": request.model, "stream": true, "stream_options": {"include_usage": true}});
    let set = [
        ("temperature", options.temperature.map(Value::from)),
        ("max_tokens", options.max_tokens.map(Value::from)),
        ("seed", options.seed.map(Value::from)),
        ("top_p", options.top_p.map(Value::from)),
        ("reasoning_effort", options.think.map(effort)),
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
    let mut messages: Vec<Value> = request.messages.iter().map(written).collect();
    thought::complete(&mut messages);
    body["messages"] = messages.into();
    if !request.tools.is_empty() && !request.may_call {
        body["tool_choice"] = json!("none");
    }
    body
}

fn written(message: &Message) -> Value {
    match message {
        Message::System(text) => json!({"role": "system", "content": text}),
        Message::User(text) => json!({"role": "user", "content": text}),
        Message::Assistant {
            text,
            calls,
            attached,
        } => {
            let mut message = json!({"role": "assistant", "content": text});
            if !calls.is_empty() {
                let text = Some(text).filter(|text| !text.is_empty());
                message["content"] = json!(text);
                message["tool_calls"] = calls.iter().map(written_call).collect();
            }
            restore(&mut message, attached);
            message
        }
        Message::Tool { call_id, text } => {
            json!({"role": "tool", "tool_call_id": call_id, "content": text})
        }
    }
}

fn written_call(call: &ToolCall) -> Value {
    let function = json!({"name": call.name, "arguments": super::arguments(call).to_string()});
    let mut written = json!({"id": call.id, "type": "function", "function": function});
    restore(&mut written, &call.attached);
    written
}

/// Returns how much a model is to think, in the API's words; one that cannot do without is asked for as little as it can.
fn effort(think: Think) -> Value {
    match think {
        Think::Off => json!("none"),
        Think::On => json!("medium"),
        level => json!(level),
    }
}

/// Returns a JSON schema in the form that the API takes.
fn format(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}})
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::conversation::{Attached, ToolSpec};

    #[test]
    fn the_body_holds_options_and_messages() {
        let call = ToolCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: json!({"at": "x"}),
            ..ToolCall::default()
        };
        let request = ChatRequest {
            model: "m".into(),
            messages: vec![
                Message::User("hi".into()),
                Message::Assistant {
                    text: String::new(),
                    calls: vec![call],
                    attached: Attached::new(),
                },
                Message::Tool {
                    call_id: "c1".into(),
                    text: "seen".into(),
                },
            ],
            tools: Vec::new(),
            may_call: true,
            options: Options {
                top_p: Some(0.9),
                max_tokens: Some(7),
                think: Some(Think::Off),
                ..Options::default()
            },
            stop: vec!["end".into()],
            format: Some(json!({"type": "object"})),
        };
        assert_eq!(
            body(&request).to_string(),
            concat!(
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":7,"top_p":0.9,"reasoning_effort":"none","stop":["end"],"#,
                r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}},"#,
                r#""messages":[{"role":"user","content":"hi"},"#,
                r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\":\"x\"}"}}]},"#,
                r#"{"role":"tool","tool_call_id":"c1","content":"seen"}]}"#,
            )
        );
    }

    #[test]
    fn tools_are_kept_when_they_may_not_be_called_and_arguments_are_objects() {
        let call = ToolCall {
            id: "c1".into(),
            name: "look".into(),
            arguments: json!("no JSON"),
            ..ToolCall::default()
        };
        let request = ChatRequest {
            model: "m".into(),
            messages: vec![Message::Assistant {
                text: String::new(),
                calls: vec![call],
                attached: Attached::new(),
            }],
            tools: vec![ToolSpec {
                name: "look".into(),
                description: "Look.".into(),
                parameters: json!({"type": "object"}),
            }],
            may_call: false,
            options: Options::default(),
            stop: Vec::new(),
            format: None,
        };
        let body = body(&request);
        assert_eq!(body["tools"].as_array().map(Vec::len), Some(1));
        assert_eq!(body["tool_choice"], "none");
        let sent = &body["messages"][0]["tool_calls"][0]["function"];
        assert_eq!(sent["arguments"], "{}");
    }

    #[test]
    fn a_url_without_a_path_gets_the_version() {
        assert_eq!(
            base_url("http://localhost:1234/"),
            "http://localhost:1234/v1"
        );
        assert_eq!(base_url("localhost:1234"), "http://localhost:1234/v1");
        assert_eq!(base_url("0.0.0.0:1234"), "http://127.0.0.1:1234/v1");
        assert_eq!(base_url("example.com"), "https://example.com/v1");
        assert_eq!(base_url(" 'http://box/v1/' "), "http://box/v1");
        assert_eq!(base_url("https://host/api/v2/"), "https://host/api/v2");
    }
}
