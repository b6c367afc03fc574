//! Where Ollama is, by what `OLLAMA_HOST` says.

use super::url::{connectable, unquoted};

/// The port where Ollama listens when nobody says.
const PORT: u16 = 11434;

/// Completes what `OLLAMA_HOST` may hold, by the rules of the server that it starts: a host, a port, both, or a URL, quoted or not. A port
/// that cannot be one is taken for the usual one.
pub fn base_url(host: &str) -> String {
    let host = unquoted(host);
    let (scheme, rest) = match host.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if host == "ollama.com" => ("https".to_owned(), host),
        None => ("http".to_owned(), host),
    };
    let usual = match scheme.as_str() {
        _ if !host.contains("://") && scheme == "http" => Some(PORT),
        "http" | "https" => None,
        // Whoever reads the URL says what is wrong with it.
        _ => return host.to_owned(),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (credentials, name) = match authority.rsplit_once('@') {
        Some((credentials, name)) => (format!("{credentials}@"), name),
        None => (String::new(), authority),
    };
    let (name, port) = match name.rsplit_once(':') {
        // An address of IPv6 without brackets has no port.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            (name, port.parse::<u16>().ok())
        }
        _ => (name, None),
    };
    let name = match name.trim_matches(['[', ']']) {
        "" => "127.0.0.1".to_owned(),
        address if address.contains(':') => format!("[{address}]"),
        name => name.to_owned(),
    };
    let port = port
        .or(usual)
        .map_or_else(String::new, |port| format!(":{port}"));
    connectable(format!(
        "{scheme}://{credentials}{name}{port}{}",
        path.trim_end_matches('/')
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_becomes_a_url() {
        for (host, url) in [
            ("localhost", "http://localhost:11434"),
            ("", "http://127.0.0.1:11434"),
            (":11435", "http://127.0.0.1:11435"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("[::]", "http://[::1]:11434"),
            ("::", "http://[::1]:11434"),
            ("[::]:11435", "http://[::1]:11435"),
            ("box:8080", "http://box:8080"),
            ("box:66000", "http://box:11434"),
            ("box:", "http://box:11434"),
            ("box:x/api/", "http://box:11434/api"),
            (" \"127.0.0.1:11434\" ", "http://127.0.0.1:11434"),
            ("'http://127.0.0.1:11434'", "http://127.0.0.1:11434"),
            ("http://box:8080/", "http://box:8080"),
            ("http://box", "http://box"),
            ("HTTPS://box", "https://box"),
            ("https://box:99999/ollama/", "https://box/ollama"),
            ("ollama.com", "https://ollama.com"),
            ("http://u:p@0.0.0.0:1", "http://u:p@127.0.0.1:1"),
            ("::1", "http://[::1]:11434"),
            ("[::1]", "http://[::1]:11434"),
            ("[::1]:99", "http://[::1]:99"),
            ("ftp://box", "ftp://box"),
        ] {
            assert_eq!(base_url(host), url);
        }
    }
}
