//! Writes a source as a link in Markdown.

/// Returns a link whose title and address cannot end it.
pub fn link(title: &str, url: &str) -> String {
    let title: Vec<&str> = title.split_whitespace().collect();
    let title = title.join(" ").replace('\\', r"\\");
    let title = title.replace('[', r"\[").replace(']', r"\]");
    let mut address = String::new();
    for c in url.chars().filter(|c| !c.is_control()) {
        match c {
            ' ' => address.push_str("%20"),
            '(' => address.push_str("%28"),
            ')' => address.push_str("%29"),
            '<' => address.push_str("%3C"),
            c => address.push(c),
        }
    }
    format!("[{title}]({address})")
}
