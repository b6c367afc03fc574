//! Why a provider did not answer, and what a person can do about it.

/// Says why a provider did not answer; [`ProviderError::hint`] says what to do about it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProviderError {
    #[error("cannot reach {provider} at `{url}`: {reason}")]
    Unreachable {
        provider: &'static str,
        url: String,
        reason: String,
    },
    #[error("{provider} has no model `{model}`: {message}")]
    NoSuchModel {
        provider: &'static str,
        model: String,
        message: String,
    },
    /// The model, or the server for it, takes no tools; ask without them.
    #[error("{provider} offers `{model}` no tools: {message}")]
    NoTools {
        provider: &'static str,
        model: String,
        message: String,
    },
    #[error("{provider} lists no model that answers messages")]
    NoModel { provider: &'static str },
    #[error("{provider} refused the key: {message}")]
    Unauthorized {
        provider: &'static str,
        message: String,
    },
    /// Whoever pays has to do something about it.
    #[error("{provider} wants to be paid: {message}")]
    Spent {
        provider: &'static str,
        message: String,
    },
    #[error("`{url}` wants a key, and `OPENAI_API_KEY` is not set")]
    NoKey { url: String },
    /// The request is longer than the model's window, which holds so many tokens, where the server says so.
    #[error("the request is too long for {provider}: {message}")]
    TooLong {
        provider: &'static str,
        message: String,
        window: Option<u32>,
    },
    #[error("{provider} sends you on to `{to}`")]
    Redirect { provider: &'static str, to: String },
    #[error("{provider} answered {status}: {message}")]
    Status {
        provider: &'static str,
        status: u16,
        message: String,
    },
    #[error("{provider} reported: {message}")]
    Reported {
        provider: &'static str,
        message: String,
    },
    #[error("the answer of {provider} broke off: {reason}")]
    Broken {
        provider: &'static str,
        reason: String,
    },
    #[error("{provider} was silent for {seconds} s")]
    Stalled {
        provider: &'static str,
        seconds: u64,
    },
    #[error("cannot read what {provider} sent: {reason}: `{line}`")]
    Malformed {
        provider: &'static str,
        reason: String,
        line: String,
    },
    /// Whoever asked does not want it sent.
    #[error("the request was not sent: {reason}")]
    Withheld { reason: String },
    #[error("cannot send the header `{name}`: {reason}")]
    BadHeader { name: String, reason: String },
    #[error("`{url}` is not a base URL: {reason}")]
    BadUrl { url: String, reason: String },
}

impl ProviderError {
    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ProviderError::Unreachable {
                provider: "Ollama", ..
            } => "start it with `ollama serve`, or choose another provider with `--provider`"
                .to_owned(),
            ProviderError::Unreachable { .. } | ProviderError::BadUrl { .. } => {
                "check `--base-url`, or choose another provider with `--provider`".to_owned()
            }
            ProviderError::NoSuchModel {
                provider: "Ollama",
                model,
                ..
            } => {
                format!("fetch it with `ollama pull {model}`, or list what is there with `/model`")
            }
            ProviderError::NoSuchModel { .. } => "list what is there with `/model`".to_owned(),
            ProviderError::NoTools { .. } => {
                "let it write its calls as text with `--react text`, or none with `--no-tools`"
                    .to_owned()
            }
            ProviderError::NoModel { provider: "Ollama" } => {
                "fetch one with `ollama pull llama3.2`".to_owned()
            }
            ProviderError::NoModel { .. } => "name one with `--model`".to_owned(),
            ProviderError::Unauthorized {
                provider: "Ollama", ..
            } => "check the key in `OLLAMA_API_KEY`".to_owned(),
            ProviderError::Unauthorized { .. } => "check the key in `OPENAI_API_KEY`".to_owned(),
            ProviderError::Spent { .. } => {
                "look after quota and credit of the account, or choose another server or model"
                    .to_owned()
            }
            ProviderError::NoKey { .. } => {
                "set `OPENAI_API_KEY`, or choose another provider with `--provider`".to_owned()
            }
            ProviderError::Stalled { .. } => {
                "raise `idle_timeout_s` in config.toml if the model is only slow".to_owned()
            }
            ProviderError::Redirect { .. } => {
                "what you say goes to no other server unless you name it with `--base-url`"
                    .to_owned()
            }
            ProviderError::TooLong {
                provider: "Ollama", ..
            } => "lower `ollama_window` in config.toml, or begin anew with `/new`".to_owned(),
            ProviderError::TooLong { .. } => {
                "lower `openai_window` in config.toml to what the server takes, or begin anew with `/new`"
                    .to_owned()
            }
            ProviderError::Status {
                status: 401,
                provider,
                ..
            } => {
                let key = match *provider {
                    "Ollama" => "OLLAMA_API_KEY",
                    _ => "OPENAI_API_KEY",
                };
                format!(
                    "set `{key}`; over http:// it goes to another machine only when `--provider` names the server's kind"
                )
            }
            ProviderError::Status {
                status: 404 | 405, ..
            } => {
                "nothing answers at that path: check the path of `--base-url` (most servers have their API below `/v1`)"
                    .to_owned()
            }
            ProviderError::Status { status: 429, .. } => {
                "the server limits how often it may be asked; wait and try again".to_owned()
            }
            ProviderError::Malformed { .. } => {
                "check that `--base-url` and `--provider` fit together".to_owned()
            }
            ProviderError::BadHeader { .. } => {
                "look at `headers` in config.toml and the variables that it names".to_owned()
            }
            ProviderError::Status { .. }
            | ProviderError::Reported { .. }
            | ProviderError::Broken { .. }
            | ProviderError::Withheld { .. } => return None,
        })
    }
}
