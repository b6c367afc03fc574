//! What lets one in at a server, from the environment: keys, and the variables that `headers` in config.toml names.

use std::sync::LazyLock;

use anyhow::Result;
use regex::{Captures, Regex};

use crate::config::{Config, variable};
use crate::store::Hinted;

/// The variables that hold the keys of an OpenAI-compatible server and of Ollama.
pub const OPENAI_KEY: &str = "OPENAI_API_KEY";
pub const OLLAMA_KEY: &str = "OLLAMA_API_KEY";

/// Returns the headers for a provider, with the variables in them filled in.
pub fn headers(config: &Config, provider: &str) -> Result<Vec<(String, String)>> {
    let headers = config.headers(provider);
    let filled = headers.map(|(name, value)| Ok((name.clone(), fill(name, value)?)));
    filled.collect()
}

/// Returns the variables that hold something secret.
pub fn variables(config: &Config) -> Vec<String> {
    let headers = ["openai", "ollama"].into_iter();
    let headers = headers.flat_map(|provider| config.headers(provider));
    let named = headers.flat_map(|(_, value)| VARIABLE.captures_iter(value));
    let named = named
        .filter_map(|found| name(&found))
        .chain([OPENAI_KEY, OLLAMA_KEY]);
    named.map(str::to_owned).collect()
}

/// Returns all that is secret, as far as it is set.
pub fn known(config: &Config) -> Vec<String> {
    let variables = variables(config);
    variables.iter().filter_map(|name| variable(name)).collect()
}

/// Is a variable in a text: `$NAME` or `${NAME}`; `$$` is a dollar.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})").expect("the form is tested")
});

fn name<'t>(found: &Captures<'t>) -> Option<&'t str> {
    found.get(1).or(found.get(2)).map(|name| name.as_str())
}

/// Fills in the variables; one that is not set is an error, since who is at the other end would only say no.
fn fill(header: &str, text: &str) -> Result<String> {
    let mut filled = String::new();
    let mut end = 0;
    for found in VARIABLE.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        filled += &text[end..whole.start()];
        end = whole.end();
        match name(&found) {
            None => filled.push('$'),
            Some(name) => {
                filled += &variable(name).ok_or_else(|| {
                    anyhow::Error::new(Hinted {
                        message: format!(
                            "the header `{header}` in config.toml wants `${name}`, which is not set"
                        ),
                        hint: format!("set `{name}`, or take the header out of `headers`"),
                    })
                })?;
            }
        }
    }
    Ok(filled + &text[end..])
}
