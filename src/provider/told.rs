//! What a server tells of a model: its window, whether it can call tools, whether it chats at all. Each server has words of its own.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

/// Windows below this many tokens are none.
const SMALLEST: u64 = 128;

/// Holds what a server tells of a model; what it does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// The tokens that it can be sent and answer, together.
    pub window: Option<u32>,
    /// Whether it can call tools in the way of the API.
    pub tools: Option<bool>,
    /// Whether it answers messages; others embed, rank, draw or speak.
    pub chats: Option<bool>,
}

impl Told {
    /// Takes from another what is not told here.
    #[must_use]
    pub fn or(self, other: Told) -> Told {
        Told {
            window: self.window.or(other.window),
            tools: self.tools.or(other.tools),
            chats: self.chats.or(other.chats),
        }
    }
}

/// Holds what has been told, so that it is asked once.
#[derive(Default)]
pub struct Known(Mutex<HashMap<String, Told>>);

impl Known {
    pub fn get(&self, model: &str) -> Option<Told> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(model).copied()
    }

    pub fn keep(&self, model: &str, told: Told) -> Told {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(model.to_owned(), told);
        told
    }
}

/// Finds a model in the list at `/models`; a server that has a single one answers with it, however it is called.
pub fn listed<'l>(list: &'l Value, model: &str) -> Option<&'l Value> {
    let entries = entries(list)?;
    let named = entries.iter().find(|entry| id(entry) == Some(model));
    named.or(entries.first().filter(|_| entries.len() == 1))
}

/// Returns the models of a list: `{"data": […]}`, or the list alone.
pub fn entries(list: &Value) -> Option<&Vec<Value>> {
    list["data"]
        .as_array()
        .or_else(|| list.as_array())
        .or_else(|| list["models"].as_array())
}

/// Returns what a model of a list is called.
pub fn id(entry: &Value) -> Option<&str> {
    entry["id"].as_str().or_else(|| entry["name"].as_str())
}

/// Reads a model's entry in the list at `/models`.
pub fn of_entry(entry: &Value) -> Told {
    let kind = entry["type"].as_str().or_else(|| entry["object"].as_str());
    let chats = match kind {
        Some("chat" | "llm" | "vlm" | "language") => Some(true),
        Some(
            "embedding" | "embeddings" | "rerank" | "reranker" | "image" | "audio" | "video"
            | "moderation" | "transcribe",
        ) => Some(false),
        _ => entry["capabilities"]["completion_chat"].as_bool(),
    };
    let parameters = entry["supported_parameters"].as_array();
    let by_parameters = parameters.map(|names| names.iter().any(|name| name == "tools"));
    let tools = entry["capabilities"]["function_calling"].as_bool();
    Told {
        window: smallest_window(entry),
        tools: tools.or(by_parameters),
        chats,
    }
}

/// Returns the smallest of the windows that an entry tells of, at any depth: what a provider behind the server has may be less.
fn smallest_window(entry: &Value) -> Option<u32> {
    const NAMES: [&str; 13] = [
        "n_ctx",
        "max_model_len",
        "max_input_tokens",
        "context_length",
        "context_window",
        "max_context_length",
        "loaded_context_length",
        "context_size",
        "max_context_window_tokens",
        "max_seq_len",
        "inputTokenLimit",
        "input_token_limit",
        "contextWindow",
    ];
    let windows: Box<dyn Iterator<Item = u32>> =
        match entry {
            Value::Object(fields) => Box::new(fields.iter().filter_map(|(name, value)| {
                match NAMES.contains(&name.as_str()) {
                    true => tokens(value),
                    false => smallest_window(value),
                }
            })),
            Value::Array(values) => Box::new(values.iter().filter_map(smallest_window)),
            _ => return None,
        };
    windows.min()
}

/// Reads a number of tokens, which some write as text.
fn tokens(value: &Value) -> Option<u32> {
    let number = value
        .as_u64()
        .or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| *number >= SMALLEST)?.try_into().ok()
}

/// Reads llama.cpp's `/props`.
pub fn of_props(props: &Value) -> Told {
    let caps = &props["chat_template_caps"];
    let said = |name: &str| caps[name].as_bool();
    let settings = &props["default_generation_settings"];
    Told {
        window: tokens(&settings["n_ctx"]).or_else(|| tokens(&props["n_ctx"])),
        tools: said("supports_tools").or_else(|| said("supports_tool_calls")),
        chats: None,
    }
}

/// Reads Ollama's `/api/show`; older servers list no capabilities.
pub fn of_show(show: &Value) -> Told {
    static NUM_CTX: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^\s*(?:PARAMETER\s+)?num_ctx\s+(\d+)").expect("the form is tested")
    });
    let can = |what: &str| {
        let list = show["capabilities"].as_array()?;
        Some(list.iter().any(|capability| capability == what))
    };
    let info = show["model_info"].as_object().into_iter().flatten();
    let lengths = info.filter(|(name, _)| name.ends_with(".context_length"));
    let trained = lengths.filter_map(|(_, length)| tokens(length)).min();
    let set = show["parameters"]
        .as_str()
        .and_then(|text| NUM_CTX.captures(text)?[1].parse().ok());
    Told {
        window: [trained, set].into_iter().flatten().min(),
        tools: can("tools"),
        // Some lists are of abilities beside it.
        chats: match (can("completion"), can("embedding"), can("image")) {
            (Some(true), ..) => Some(true),
            (_, Some(true), _) | (_, _, Some(true)) => Some(false),
            _ => None,
        },
    }
}

/// Guesses by its name that a model does not answer messages.
pub fn is_called_otherwise(model: &str) -> bool {
    static NAMES: LazyLock<Regex> = LazyLock::new(|| {
        let names = r"(?xi) embed | rerank | whisper | moderation | transcribe | dall-?e | diffusion | cross-encoder
            | (?:\A|[^a-z0-9]) (?:bge|gte|e5|tts|asr|stt|minilm|colbert|clip|sdxl|flux|imagen|veo|sora|kokoro|parakeet|guard|ocr
                |realtime|paraphrase|gpt-image|davinci|babbage) (?:[^a-z]|\z)
            | turbo-instruct | speech | text-to-image";
        Regex::new(names).expect("the names are tested")
    });
    NAMES.is_match(model)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_window_is_found_wherever_a_list_tells_it() {
        for (entry, window) in [
            (
                json!({"id": "m", "meta": {"n_ctx_train": 8192, "n_ctx": 4096}}),
                Some(4096),
            ),
            (json!({"id": "m", "max_model_len": 32768}), Some(32768)),
            (
                json!({"id": "m", "max_input_tokens": "200000"}),
                Some(200_000),
            ),
            (
                json!({"id": "m", "context_length": 131_072, "top_provider": {"context_length": 65536}}),
                Some(65536),
            ),
            (json!({"id": "m", "context_window": 131_072}), Some(131_072)),
            (
                json!({"id": "m", "max_context_length": 8192, "loaded_context_length": 2048}),
                Some(2048),
            ),
            (
                json!({"id": "m", "context_length": 0, "created": 1_700_000_000}),
                None,
            ),
            (json!({"id": "m", "context_length": null}), None),
        ] {
            assert_eq!(of_entry(&entry).window, window, "{entry}");
        }
        let list = json!({"data": [{"id": "a"}, {"id": "b", "max_model_len": 4096}]});
        assert_eq!(listed(&list, "b").map(of_entry).unwrap().window, Some(4096));
        assert!(listed(&list, "c").is_none());
        assert!(listed(&json!([{"id": "a"}]), "c").is_some());
    }

    #[test]
    fn ollama_and_llama_cpp_tell_windows_and_abilities() {
        let show = json!({
            "parameters": "stop                           \"<|end|>\"\nnum_ctx                        4096",
            "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
            "capabilities": ["completion", "tools"],
        });
        let all = Told {
            window: Some(4096),
            tools: Some(true),
            chats: Some(true),
        };
        assert_eq!(of_show(&show), all);
        let embeds = of_show(&json!({"capabilities": ["embedding"]}));
        assert_eq!((embeds.tools, embeds.chats), (Some(false), Some(false)));
        assert_eq!(of_show(&json!({"capabilities": ["tools"]})).chats, None);
        assert_eq!(of_show(&json!({"license": "…"})), Told::default());
        let props = json!({"default_generation_settings": {"n_ctx": 4096}, "chat_template_caps": {"supports_tools": false}});
        let told = of_props(&props);
        assert_eq!((told.window, told.tools), (Some(4096), Some(false)));
        assert_eq!(of_props(&json!({"chat_template": "…"})), Told::default());
    }

    #[test]
    fn what_does_not_chat_is_known_by_its_name() {
        for name in [
            "nomic-embed-text:latest",
            "text-embedding-3-small",
            "embeddinggemma",
            "bge-m3",
            "all-minilm:33m",
            "BAAI/bge-reranker-v2-m3",
            "whisper-1",
            "tts-1-hd",
            "gpt-4o-mini-tts",
            "gpt-4o-transcribe",
            "omni-moderation-latest",
            "dall-e-3",
            "gpt-image-1",
            "stable-diffusion-xl",
            "meta-llama/llama-guard-4-12b",
        ] {
            assert!(is_called_otherwise(name), "{name}");
        }
        for name in [
            "llama3.2:latest",
            "gpt-4o-mini",
            "qwen2.5-coder:7b",
            "o3",
            "gemma3:4b",
            "deepseek-r1",
            "phi4",
        ] {
            assert!(!is_called_otherwise(name), "{name}");
        }
    }
}
