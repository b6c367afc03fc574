//! What a URL names, and how it is shown.

use reqwest::Url;

/// Returns a URL without the name and password in it.
pub fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        // What cannot be taken apart may hold a password before its last @.
        return url.rsplit('@').next().unwrap_or_default().to_owned();
    };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return url.to_owned();
    }
    let cleared = parsed.set_username("").is_ok() && parsed.set_password(None).is_ok();
    if cleared {
        parsed.to_string().trim_end_matches('/').to_owned()
    } else {
        String::new()
    }
}

/// Returns whether a URL names this machine.
pub fn is_loopback(url: &str) -> bool {
    let parsed = Url::parse(url);
    let host = parsed
        .as_ref()
        .ok()
        .and_then(Url::host_str)
        .unwrap_or_default();
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_credentials() {
        assert_eq!(
            shown("http://me:secret@localhost:1/v1"),
            "http://localhost:1/v1"
        );
        assert_eq!(shown("http://localhost:1/v1"), "http://localhost:1/v1");
        assert!(
            ["http://localhost", "http://127.0.0.2:1", "http://[::1]:1"]
                .into_iter()
                .all(is_loopback)
        );
        assert!(
            !["http://example.com", "http://127.0.0.1.example.com", "x"]
                .into_iter()
                .any(is_loopback)
        );
    }
}
