//! What a URL names, and how it is shown.

use std::net::IpAddr;

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

/// Returns what a variable holds without blanks and quotes around it, which files of variables keep.
pub fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\'']).trim()
}

/// Returns whether a URL names this machine.
pub fn is_loopback(url: &str) -> bool {
    match address(url) {
        Some(address) => address.to_canonical().is_loopback() || address.is_unspecified(),
        None => Url::parse(url).is_ok_and(|url| {
            let name = url.host_str().unwrap_or_default().trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }),
    }
}

/// Returns the host of a URL, where it is a number.
fn address(url: &str) -> Option<IpAddr> {
    let parsed = Url::parse(url).ok()?;
    parsed.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Returns whether what is sent to a URL can be read on the way.
pub fn is_exposed(url: &str) -> bool {
    Url::parse(url).is_ok_and(|parsed| parsed.scheme() == "http") && !is_loopback(url)
}

/// Returns whether a server is somebody's own, as far as its URL tells: on this machine, or not to be reached but over http.
pub fn is_near(url: &str) -> bool {
    is_loopback(url) || is_exposed(url)
}

/// Returns a URL with this machine in the place of the address that a server listens on everywhere, which is none to connect to.
pub fn connectable(url: String) -> String {
    let here = match address(&url) {
        Some(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1",
        Some(IpAddr::V6(address)) if address.is_unspecified() => "[::1]",
        _ => return url,
    };
    let Ok(mut parsed) = Url::parse(&url) else {
        return url;
    };
    match parsed.set_host(Some(here)) {
        Ok(()) => parsed.to_string().trim_end_matches('/').to_owned(),
        Err(_) => url,
    }
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
            [
                "http://localhost",
                "http://api.localhost.:1",
                "http://127.0.0.2:1",
                "http://[::1]:1",
                "http://0.0.0.0:1",
                "http://[::]/v1",
                "http://[::ffff:127.0.0.1]",
            ]
            .into_iter()
            .all(is_loopback)
        );
        assert!(
            !["http://example.com", "http://127.0.0.1.example.com", "x"]
                .into_iter()
                .any(is_loopback)
        );
    }

    // Finding M19.
    #[test]
    fn only_http_to_another_machine_can_be_read_on_the_way() {
        assert!(is_exposed("http://box:11434") && is_exposed("http://127.0.0.1.example.com"));
        for url in ["https://box", "http://localhost:1", "http://[::]:1", "box"] {
            assert!(!is_exposed(url), "{url}");
        }
    }

    #[test]
    fn the_address_of_all_addresses_is_this_machine() {
        for (url, expected) in [
            ("http://0.0.0.0:11434", "http://127.0.0.1:11434"),
            ("http://[::]:1/v1", "http://[::1]:1/v1"),
            ("http://u:p@0.0.0.0", "http://u:p@127.0.0.1"),
            ("http://0.0.0.0.example.com/", "http://0.0.0.0.example.com/"),
        ] {
            assert_eq!(connectable(url.to_owned()), expected);
        }
    }
}
