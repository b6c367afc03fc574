//! What a server is given with each request to let one in: a key, and what `headers` says. It is shown and recorded nowhere.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::{ProviderError, Settings};

/// Holds what goes to one server and to no other.
#[derive(Clone, Default)]
pub struct Secrets {
    pub key: Option<String>,
    /// By name.
    pub headers: Vec<(String, String)>,
    /// The variable that the key is from.
    variable: &'static str,
}

impl Secrets {
    /// Returns those for Ollama.
    pub fn ollama(settings: &Settings) -> Secrets {
        Secrets {
            key: settings.ollama_key.clone(),
            headers: settings.ollama_headers.clone(),
            variable: "OLLAMA_API_KEY",
        }
    }

    /// Returns those for an OpenAI-compatible server.
    pub fn openai(settings: &Settings) -> Secrets {
        Secrets {
            key: settings.openai_key.clone(),
            headers: settings.openai_headers.clone(),
            variable: "OPENAI_API_KEY",
        }
    }

    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.headers.is_empty()
    }

    /// Returns where they come from.
    pub fn origin(&self) -> String {
        let key = self.key.as_ref().map(|_| format!("`{}`", self.variable));
        let headers = (!self.headers.is_empty()).then(|| "`headers` of config.toml".to_owned());
        let origins: Vec<String> = key.into_iter().chain(headers).collect();
        origins.join(" with ")
    }

    /// Returns them as they are sent; what is set as `authorization` goes before the key.
    pub fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let key = self.key.iter();
        let key = key.map(|key| (AUTHORIZATION.to_string(), format!("Bearer {key}")));
        let mut map = HeaderMap::new();
        for (name, value) in key.chain(self.headers.iter().cloned()) {
            let bad = |reason: &str| ProviderError::BadHeader {
                name: name.clone(),
                reason: reason.to_owned(),
            };
            let header = HeaderName::from_bytes(name.as_bytes());
            let header = header.map_err(|_| bad("no header can be called that"))?;
            let value = HeaderValue::from_str(value.trim());
            let mut value =
                value.map_err(|_| bad("its value has characters that no header has"))?;
            value.set_sensitive(true);
            map.insert(header, value);
        }
        Ok(map)
    }
}
