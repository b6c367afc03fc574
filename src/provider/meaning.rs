//! What the words of a server mean when it refuses or fails: each has its own.

use std::sync::LazyLock;

use regex::Regex;
use reqwest::StatusCode;

use super::ProviderError;
use super::said::Said;

/// Returns what the server's words mean, where they mean more than that it did not work.
pub fn meant(
    provider: &'static str,
    model: &str,
    status: StatusCode,
    said: &Said,
    message: &str,
) -> Option<ProviderError> {
    let (model, message) = (model.to_owned(), message.to_owned());
    Some(if is_too_long(status, said) {
        ProviderError::TooLong {
            provider,
            window: said.window.or_else(|| window(&said.message)),
            message,
        }
    } else if refuses_tools(status, &said.message) {
        ProviderError::NoTools {
            provider,
            model,
            message,
        }
    } else if is_spent(status, said) {
        ProviderError::Spent { provider, message }
    } else if !model.is_empty() && lacks_model(status, said) {
        ProviderError::NoSuchModel {
            provider,
            model,
            message,
        }
    } else {
        return None;
    })
}

/// Returns whether a server refused a request for money: what passes by itself is only a limit.
fn is_spent(status: StatusCode, said: &Said) -> bool {
    static FORMS: LazyLock<Regex> = LazyLock::new(|| {
        let forms = r"(?xi) insufficient[_\ ](?:account\ )?(?:quota|balance|credits?|funds)
            | \bcredit\ balance\b | \bbilling | \bpayment\ required\b | \bspend(?:ing)?\ limit
            | \b(?:no|not\ enough|out\ of|more|used\ (?:up\ )?(?:all\ )?(?:your|the))\ (?:[a-z]+\ )?credits?\b
            | \bquota\ (?:has\ been\ |is\ )?(?:exceeded|exhausted|used\ up)\b | \bexceeded\ your\ (?:current\ |monthly\ )?quota";
        Regex::new(forms).expect("the forms are tested")
    });
    match status.as_u16() {
        402 => true,
        _ if said.code.contains("insufficient_quota") => true,
        400 | 403 | 429 => {
            said.wait.is_none() && (FORMS.is_match(&said.message) || FORMS.is_match(&said.code))
        }
        _ => false,
    }
}

/// Returns whether a server has no such model, or not for this person.
fn lacks_model(status: StatusCode, said: &Said) -> bool {
    static FORMS: LazyLock<Regex> = LazyLock::new(|| {
        let forms = r"(?xi) \b(?:unknown|invalid|no\ such|unsupported|unrecogni[sz]ed|non-?existent)\ model\b
            | \bmodels?\b .{0,200}? (?:\bnot\ found\b|\bnot\ exist|n't\ exist|\bnot\ been\ found\b|\bnot\ a\ valid\ model\b|\bis\ (?:not\ (?:available|recogni[sz]ed|known|loaded|served|deployed|valid)|unknown|invalid)\b)
            | \b(?:not\ find|n't\ find|unable\ to\ (?:find|access|locate))\ (?:\S+\ ){0,2}? model\b
            | \bnot\ a\ valid\ model\b | \bno\ endpoints\ found\ for\b | \bno\ model\ (?:named|called|with)\b
            | \b(?:access|allowed)\ (?:\S+\ ){0,3}? models?\b
            | model_?not_?(?:found|exist) | deployment_?not_?found | (?:unknown|invalid)_model\b";
        Regex::new(forms).expect("the forms are tested")
    });
    match status.as_u16() {
        404 if said.message.contains("model") => true,
        // It may be there a little later.
        429 | 502.. => false,
        _ => FORMS.is_match(&said.message) || FORMS.is_match(&said.code),
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
    use super::super::failure::Refusal;
    use super::super::said::read;
    use super::*;

    const BAD: StatusCode = StatusCode::BAD_REQUEST;

    fn refused(status: StatusCode, message: &str) -> ProviderError {
        let refusal = Refusal {
            provider: "the server",
            model: "m",
            status,
            with_key: true,
        };
        refusal.failed(read(message)).error
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
    fn a_model_that_is_missing_is_told_from_one_that_cannot() {
        for (status, body) in [
            (404, r#"{"error":"model 'm' not found"}"#),
            (
                404,
                r#"{"error":{"message":"The model `m` does not exist or you do not have access to it.","code":"model_not_found"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"litellm.BadRequestError: Invalid model name passed in model=m. Call `/v1/models`"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error"}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"m is not a valid model ID","code":400}}"#,
            ),
            (
                400,
                r#"{"object":"error","message":"Invalid model: m","code":"1500"}"#,
            ),
            (
                404,
                r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            ),
            (
                404,
                r#"{"error":{"message":"No endpoints found for acme/m."}}"#,
            ),
            (
                404,
                r#"[{"error":{"code":404,"message":"models/m is not found for API version v1main, or is not supported for generateContent."}}]"#,
            ),
            (422, r#"{"detail":"unknown model"}"#),
            (500, r#"{"error":{"message":"could not find model m"}}"#),
            (
                400,
                r#"{"error":{"message":"The model llama3.2 is not loaded"}}"#,
            ),
            (
                401,
                r#"{"error":{"message":"key not allowed to access model. This key can only access models=['a']"}}"#,
            ),
        ] {
            let error = refused(StatusCode::from_u16(status).unwrap(), body);
            assert!(
                matches!(error, ProviderError::NoSuchModel { .. }),
                "{body}: {error}"
            );
        }
        for (status, body) in [
            (404, r#"{"error":{"message":"File Not Found","code":404}}"#),
            (404, "<html><title>404 Not Found</title></html>"),
            (400, "temperature is not supported with this model"),
            (400, "this model is too small for that"),
            (429, "the model is not available right now: rate limit"),
            (503, "The model is not available: overloaded"),
        ] {
            let error = refused(StatusCode::from_u16(status).unwrap(), body);
            assert!(
                matches!(error, ProviderError::Status { .. }),
                "{body}: {error}"
            );
        }
    }
}
