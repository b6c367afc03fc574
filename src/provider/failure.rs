//! What a server means when it refuses or fails: each has words of its own.

use std::sync::LazyLock;

use regex::Regex;
use reqwest::StatusCode;

use super::ProviderError;
use super::said::Said;

/// Is a response that is no success.
pub struct Refusal<'r> {
    pub provider: &'static str,
    pub model: &'r str,
    pub status: StatusCode,
    /// Whether a key was sent.
    pub with_key: bool,
}

impl Refusal<'_> {
    /// Returns what the server means.
    pub fn error(&self, said: Said) -> ProviderError {
        let (provider, status, model) = (self.provider, self.status, self.model);
        if is_too_long(status, &said) {
            return too_long(provider, said);
        }
        let names_model = !model.is_empty() && said.message.contains("model");
        let no_tools = refuses_tools(status, &said.message);
        let message = match said.message.is_empty() {
            true => status.canonical_reason().unwrap_or("no reason given"),
            false => &said.message,
        };
        let (model, message) = (model.to_owned(), message.to_owned());
        match status {
            _ if no_tools => ProviderError::NoTools {
                provider,
                model,
                message,
            },
            StatusCode::UNAUTHORIZED if self.with_key => {
                ProviderError::Unauthorized { provider, message }
            }
            StatusCode::NOT_FOUND if names_model => ProviderError::NoSuchModel {
                provider,
                model,
                message,
            },
            _ => ProviderError::Status {
                provider,
                status: status.as_u16(),
                message,
            },
        }
    }

    /// Returns whether the same request may be answered a little later.
    pub fn may_pass(&self, said: &Said) -> bool {
        matches!(self.status.as_u16(), 408 | 409 | 429 | 500 | 502..)
            && !said.code.contains("insufficient_quota")
            && !refuses_tools(self.status, &said.message)
            && !is_too_long(self.status, said)
    }
}

/// Returns what an error means that comes instead of an answer, or within one.
pub fn reported(provider: &'static str, said: Said) -> ProviderError {
    if is_too_long(StatusCode::BAD_REQUEST, &said) {
        return too_long(provider, said);
    }
    ProviderError::Reported {
        provider,
        message: said.message,
    }
}

fn too_long(provider: &'static str, said: Said) -> ProviderError {
    ProviderError::TooLong {
        provider,
        window: said.window.or_else(|| window(&said.message)),
        message: said.message,
    }
}

/// Returns whether a server refused a request for the tools in it.
fn refuses_tools(status: StatusCode, message: &str) -> bool {
    /// As Ollama and `OpenRouter` say it, as `Groq` does, as llama.cpp and vLLM do (`tools param requires --jinja`), as strict servers do.
    static FORMS: LazyLock<Regex> = LazyLock::new(|| {
        let forms = r#"(?xi) support (?:s|ed|ing)?\ [`'"]? (?:tool|function.call)
            | \b (?:tools?|tool[\ _](?:use|calls?|calling|choice)|function[\ _]calling) [`'"]? \ (?:is|are)\ not\ (?:supported|enabled|available|allowed)
            | \b tool[a-z_]* (?:\ [a-z]+)? \ requires?\ --
            | \b (?:unsupported|unknown|unrecognized|unexpected|extra) [^.]{0,60} [\ `'"] (?:tools|tool_choice) (?:[`'"\s.:,] | \z)"#;
        Regex::new(forms).expect("the forms are tested")
    });
    matches!(status.as_u16(), 400 | 404 | 405 | 422 | 500 | 501) && FORMS.is_match(message)
}

/// Returns whether a server refused a request for its length.
fn is_too_long(status: StatusCode, said: &Said) -> bool {
    /// As these say it: OpenAI, vLLM, llama.cpp, LM Studio, Ollama; and Anthropic, Mistral, Gemini, text-generation-inference, Qwen.
    static FORMS: LazyLock<Regex> = LazyLock::new(|| {
        let forms = r"(?xi) context[_\ ](?:length|window|size|limit) .* (?:exceed|overflow|reduce|greater|only|too\ (?:long|large))
            | (?:maximum|exceed\w*|longer\ than|greater\ than|reached|overflow\w*|larger\ than) [^.]{0,40} \b context \b
            | (?:prompt|input|request) (?:[^.]{0,60}) \b too\ (?:long|large)
            | too\ large\ for\ model
            | longer\ than\ the\ maximum\ model\ length
            | input\ token\ count .* exceeds
            | inputs.{0,4}tokens.{1,6}max_new_tokens.{1,4}must\ be
            | reduce\ the\ length\ of\ the\ (?:messages|prompt|input)
            | range\ of\ input\ length
            | context_length_exceeded | exceed_context_size";
        Regex::new(forms).expect("the forms are tested")
    });
    match status.as_u16() {
        413 => true,
        400 | 422 | 500 => FORMS.is_match(&said.message) || FORMS.is_match(&said.code),
        _ => false,
    }
}

/// Reads how many tokens a model's window holds, where a server says so.
fn window(message: &str) -> Option<u32> {
    static FORMS: LazyLock<Regex> = LazyLock::new(|| {
        let forms = r"(?xi) context\ (?:length|size|window|limit) [^\d.]{0,30} (\d{3,8})
            | >\ (\d{3,8})\ maximum
            | (?:maximum\ model\ length|tokens\ allowed) [^\d.]{0,10} (\d{3,8})
            | model\ with\ (\d{3,8})\ maximum
            | must\ be\ <=\ (\d{3,8})
            | \[1,\ (\d{3,8})\]";
        Regex::new(forms).expect("the forms are tested")
    });
    let found = FORMS.captures(message)?;
    let number = found.iter().skip(1).flatten().next()?;
    number.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::said::read;

    const BAD: StatusCode = StatusCode::BAD_REQUEST;

    fn refused(status: StatusCode, message: &str) -> ProviderError {
        let refusal = Refusal {
            provider: "the server",
            model: "m",
            status,
            with_key: true,
        };
        refusal.error(read(message))
    }

    // Finding M28.
    #[test]
    fn a_request_that_is_too_long_is_told_from_other_faults() {
        let too_long = |message: &str| match refused(BAD, message) {
            ProviderError::TooLong { window, .. } => Some(window),
            _ => None,
        };
        for (message, window) in [
            (
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                Some(8192),
            ),
            (
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
                None,
            ),
            (
                r#"{"error":{"message":"too much","code":"context_length_exceeded"}}"#,
                None,
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 4096 tokens and your request has 3900 input tokens",
                Some(4096),
            ),
            (
                "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
                Some(4096),
            ),
            (
                "the request exceeds the available context size. try increasing the context size or enable context shift",
                None,
            ),
            (
                r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
                Some(4096),
            ),
            (
                "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
                Some(4096),
            ),
            (
                "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model with a larger context length, or provide a shorter input",
                None,
            ),
            (
                "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
                Some(4096),
            ),
            ("the input length exceeds the context length", None),
            (
                "prompt is too long: 210000 tokens > 200000 maximum",
                Some(200_000),
            ),
            (
                "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
                Some(32768),
            ),
            (
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                Some(1_048_576),
            ),
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
                Some(4096),
            ),
            (
                "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                Some(4096),
            ),
            ("Range of input length should be [1, 30720]", Some(30720)),
        ] {
            assert_eq!(too_long(message), Some(window), "{message}");
        }
        for message in [
            "max_tokens is too large: 100000. This model supports at most 4096 completion tokens",
            "Missing required parameter: 'messages[2].tool_call_id'",
            "model 'm' not found",
            "temperature must be lower than 2",
            "cannot create a context for the model",
        ] {
            assert_eq!(too_long(message), None, "{message}");
        }
        assert!(matches!(
            refused(StatusCode::PAYLOAD_TOO_LARGE, "<html>"),
            ProviderError::TooLong { .. }
        ));
    }

    #[test]
    fn a_server_that_takes_no_tools_is_told_from_one_that_misses_something() {
        for message in [
            "registry.ollama.ai/library/llama2 does not support tools",
            "tools param requires --jinja flag",
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
            "No endpoints found that support tool use",
            "`tool calling` is not supported with this model",
            "Function calling is not enabled for this model",
            "Unrecognized request argument supplied: tools",
            "Unsupported parameter: 'tools'",
        ] {
            let error = refused(BAD, message);
            assert!(matches!(error, ProviderError::NoTools { .. }), "{message}");
        }
        for message in [
            "Missing required parameter: 'messages[2].tool_call_id'",
            "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'; content is required",
            "Invalid schema for function 'look': unsupported type in tools[0]",
        ] {
            let error = refused(BAD, message);
            assert!(matches!(error, ProviderError::Status { .. }), "{message}");
        }
    }

    #[test]
    fn only_a_key_that_was_sent_is_refused() {
        let error = |status: u16, with_key: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal {
                provider: "the server",
                model: "m",
                status,
                with_key,
            };
            refusal.error(Said::from("no"))
        };
        assert!(matches!(
            error(401, true),
            ProviderError::Unauthorized { .. }
        ));
        for (status, with_key) in [(401, false), (403, true), (403, false)] {
            assert!(matches!(
                error(status, with_key),
                ProviderError::Status { .. }
            ));
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let may_pass = |status: u16, body: &str| {
            let refusal = Refusal {
                provider: "the server",
                model: "m",
                status: StatusCode::from_u16(status).unwrap(),
                with_key: true,
            };
            refusal.may_pass(&read(body))
        };
        for status in [408, 409, 429, 500, 502, 503, 504, 520, 529] {
            assert!(may_pass(status, "busy"), "{status}");
        }
        for (status, body) in [
            (400, "no"),
            (404, "no"),
            (501, "no"),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#,
            ),
            (500, "tools param requires --jinja flag"),
            (500, "the request exceeds the available context size"),
        ] {
            assert!(!may_pass(status, body), "{status} {body}");
        }
    }
}
