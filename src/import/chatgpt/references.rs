//! What ChatGPT leaves in a text where a source or a name belongs: marks in private-use characters, and `【12†source】`.
//!
//! The metadata of a message says what its marks stand for; that of the messages before it, what the results of a search were called.
//! A mark becomes a Markdown link. What nothing is known of is taken out; what a person typed is not looked at.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::import::data_export::link;
use crate::import::files::text;

/// Is what a mark stands for: a page, or a file, which has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    title: String,
    url: String,
}

impl Link {
    /// Reads what has an address, or is a file with a name.
    fn read(value: &Value) -> Option<Link> {
        let url = text(value, "url").trim();
        let is_page = url.starts_with("https://") || url.starts_with("http://");
        let name = ["title", "attribution", "name"].map(|name| text(value, name).trim());
        let name = name.into_iter().find(|name| !name.is_empty());
        match (is_page, name) {
            (true, name) => Some(Link {
                title: name.unwrap_or_else(|| host(url)).to_owned(),
                url: url.to_owned(),
            }),
            (false, Some(name)) if text(value, "type") == "file" => Some(Link {
                title: name.to_owned(),
                url: String::new(),
            }),
            _ => None,
        }
    }

    fn page(url: &str) -> Option<Link> {
        Link::read(&serde_json::json!({"url": url}))
    }

    fn markdown(&self) -> String {
        match &*self.url {
            "" => self.title.clone(),
            url => link(&self.title, url),
        }
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    host.strip_prefix("www.").unwrap_or(host)
}

/// Knows the sources of a conversation by what marks call them.
#[derive(Debug, Default)]
pub struct Sources(HashMap<String, Link>);

impl Sources {
    /// Takes in what some metadata says of sources, at whatever place.
    pub fn learn(&mut self, metadata: &Value) {
        match metadata {
            Value::Array(all) => all.iter().for_each(|value| self.learn(value)),
            Value::Object(all) => {
                if let Some(link) = Link::read(metadata) {
                    let named = names(metadata).into_iter();
                    self.0.extend(named.map(|name| (name, link.clone())));
                }
                all.values().for_each(|value| self.learn(value));
            }
            _ => {}
        }
    }

    /// Returns a text with links in the places of its marks.
    pub fn resolve(&self, said: &str, metadata: &Value) -> String {
        if !said.contains(is_mark) {
            return said.to_owned();
        }
        let mut spans = self.referenced(said, &metadata["content_references"]);
        spans.extend(cited(said, &metadata["citations"]));
        let rest = MARKS.captures_iter(said).map(|mark| {
            let whole = mark.get(0).expect("a match has a text");
            (whole.start(), whole.end(), self.guess(&mark))
        });
        spans.extend(rest);
        // Of two that begin at one place the longer one says more; what metadata says stands before what is guessed.
        spans.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
        let (mut resolved, mut done) = (String::with_capacity(said.len()), 0);
        for (start, end, stands_for) in spans {
            if start < done {
                continue;
            }
            resolved.push_str(&said[done..start]);
            put(&mut resolved, &stands_for, &said[end..]);
            done = end;
        }
        resolved.push_str(&said[done..]);
        resolved
    }

    /// Returns the sources that some metadata lists without a place in the text, as name and address.
    pub fn unplaced(&self, resolved: &str, metadata: &Value) -> Vec<Value> {
        let references = list(&metadata["content_references"]);
        let aside =
            references.filter(|reference| !text(reference, "matched_text").contains(is_mark));
        let aside = aside.flat_map(|reference| self.links(reference));
        let aside = aside.filter(|link| !link.url.is_empty() && !resolved.contains(&link.url));
        aside
            .map(|link| serde_json::json!({"title": link.title, "url": link.url}))
            .collect()
    }

    /// Returns what `content_references` says of places in a text. A text that stands there more than once is told apart by order.
    fn referenced(&self, said: &str, references: &Value) -> Vec<(usize, usize, String)> {
        let mut by_text: Vec<(&str, Vec<&Value>)> = Vec::new();
        let references = list(references).filter(|reference| {
            // Bookkeeping has blanks or plain words here, which are no marks.
            text(reference, "matched_text").contains(is_mark)
        });
        for reference in references {
            let matched = text(reference, "matched_text");
            match by_text.iter_mut().find(|(known, _)| *known == matched) {
                Some((_, all)) => all.push(reference),
                None => by_text.push((matched, vec![reference])),
            }
        }
        let mut spans = Vec::new();
        for (matched, mut all) in by_text {
            all.sort_by_key(|reference| reference["start_idx"].as_u64());
            for (number, (start, _)) in said.match_indices(matched).enumerate() {
                let reference = all[number.min(all.len() - 1)];
                spans.push((start, start + matched.len(), self.reference(reference)));
            }
        }
        spans
    }

    /// Returns what a reference stands for.
    fn reference(&self, reference: &Value) -> String {
        let alt = text(reference, "alt");
        if !alt.trim().is_empty() {
            return match alt.contains(is_mark) {
                true => self.resolve(alt, &Value::Null),
                false => alt.to_owned(),
            };
        }
        if text(reference, "type") == "hidden" {
            return String::new();
        }
        let links = self.links(reference);
        match (text(reference, "type"), text(reference, "name")) {
            ("link_title" | "url", _) if !links.is_empty() => links[0].markdown(),
            ("entity", name) if !name.is_empty() => name.to_owned(),
            _ if !links.is_empty() => cite(&links),
            _ => self.resolve(text(reference, "matched_text"), &Value::Null),
        }
    }

    /// Returns the sources of a reference, from the first of its lists that has any.
    fn links(&self, reference: &Value) -> Vec<Link> {
        const LISTS: [&str; 6] = [
            "items",
            "fallback_items",
            "sources",
            "images",
            "products",
            "item",
        ];
        let several = LISTS.iter().map(|name| match &reference[name] {
            one @ Value::Object(_) => Vec::from_iter(Link::read(one)),
            all => list(all).filter_map(Link::read).collect(),
        });
        let itself = std::iter::once_with(|| Vec::from_iter(Link::read(reference)));
        let safe = std::iter::once_with(|| {
            let urls = list(&reference["safe_urls"]).filter_map(Value::as_str);
            urls.filter_map(Link::page).collect()
        });
        let named = std::iter::once_with(|| {
            let names = names(reference).into_iter();
            names
                .filter_map(|name| self.0.get(&name).cloned())
                .collect()
        });
        let mut lists = several.chain(itself).chain(safe).chain(named);
        lists
            .find(|links: &Vec<Link>| !links.is_empty())
            .unwrap_or_default()
    }

    /// Returns what a mark stands for that no metadata places.
    fn guess(&self, mark: &Captures) -> String {
        if let Some(number) = mark.name("number") {
            let number = number.as_str();
            let evidence = mark.name("evidence").map_or("", |text| text.as_str());
            let evidence = evidence.trim_matches(|c: char| c.is_whitespace() || "()".contains(c));
            let message = number.split(':').next().unwrap_or(number);
            let known = self.0.get(number).or_else(|| self.0.get(message));
            return match known {
                Some(link) => cite(std::slice::from_ref(link)),
                None if PLAIN_EVIDENCE.is_match(evidence) => String::new(),
                None => format!("({evidence})"),
            };
        }
        let Some(inside) = mark.name("inside") else {
            return String::new();
        };
        let mut fields = inside.as_str().split('\u{e202}');
        let kind = fields.next().unwrap_or_default();
        let fields: Vec<&str> = fields.collect();
        let links = fields.iter().flat_map(|field| field.split([',', ' ']));
        let links = links.filter_map(|name| self.0.get(name).cloned().or_else(|| Link::page(name)));
        let links: Vec<Link> = links.collect();
        match (kind, fields.first()) {
            ("entity" | "product_entity" | "product", Some(entity)) => named(entity),
            ("url" | "link" | "link_title", Some(title)) => match links.first() {
                Some(link) if *title == link.url => link.markdown(),
                Some(link) => Link {
                    title: (*title).to_owned(),
                    url: link.url.clone(),
                }
                .markdown(),
                None => (*title).to_owned(),
            },
            _ => cite(&links),
        }
    }
}

/// Returns what the older `citations` say of places in a text, which they count in characters.
fn cited(said: &str, citations: &Value) -> Vec<(usize, usize, String)> {
    let mut citations = list(citations).peekable();
    if citations.peek().is_none() {
        return Vec::new();
    }
    let places: Vec<usize> = said
        .char_indices()
        .map(|(at, _)| at)
        .chain([said.len()])
        .collect();
    let place = |value: &Value| {
        let index = usize::try_from(value.as_u64()?).ok()?;
        places.get(index).copied()
    };
    let span = |citation: &Value| {
        let (start, end) = (place(&citation["start_ix"])?, place(&citation["end_ix"])?);
        let mark = said.get(start..end)?;
        let is_whole = mark.starts_with(is_mark) && mark.ends_with(['】', '\u{e201}']);
        let link = Link::read(&citation["metadata"]).filter(|_| is_whole)?;
        Some((start, end, cite(&[link])))
    };
    citations.filter_map(span).collect()
}

/// Returns the name in what a mark says of an entity: a list of its kind, or its id, and its name.
fn named(entity: &str) -> String {
    match serde_json::from_str(entity) {
        Ok(Value::Array(fields)) => {
            let name = fields.get(1).or_else(|| fields.first());
            name.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        Ok(fields) => text(&fields, "name").to_owned(),
        Err(_) => String::new(),
    }
}

/// Returns what marks call a source, from all that says so.
fn names(value: &Value) -> Vec<String> {
    let named = |reference: &Value| {
        let (turn, kind) = (
            reference["turn_index"].as_u64()?,
            text(reference, "ref_type"),
        );
        let number = reference["ref_index"].as_u64()?;
        Some(format!("turn{turn}{kind}{number}"))
    };
    let mut names: Vec<String> = list(&value["refs"]).filter_map(named).collect();
    names.extend(named(&value["ref_id"]));
    let extra = &value["extra"];
    if let Some(message) = extra["cited_message_idx"].as_u64() {
        names.push(match extra["search_result_idx"].as_u64() {
            Some(result) => format!("{message}:{result}"),
            None => message.to_string(),
        });
    }
    names
}

fn cite(links: &[Link]) -> String {
    let mut known: Vec<&Link> = Vec::new();
    for link in links {
        if !known
            .iter()
            .any(|other| other.url == link.url && (!link.url.is_empty() || *other == link))
        {
            known.push(link);
        }
    }
    match &known[..] {
        [] => String::new(),
        known => {
            let links: Vec<String> = known.iter().map(|link| link.markdown()).collect();
            format!("({})", links.join(", "))
        }
    }
}

/// Adds what stands in the place of a mark, with the blanks that belong around it.
fn put(resolved: &mut String, stands_for: &str, after: &str) {
    let blank_before = resolved.ends_with([' ', '\n', '(', '[']) || resolved.is_empty();
    if stands_for.is_empty() {
        let ends =
            after.is_empty() || after.starts_with([' ', '\n', '.', ',', ';', ':', '!', '?', ')']);
        if ends && resolved.ends_with(' ') {
            resolved.pop();
        }
    } else {
        if stands_for.starts_with('(') && !blank_before {
            resolved.push(' ');
        }
        resolved.push_str(stands_for);
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{e200}'..='\u{e20f}' | '【')
}

/// Marks as they are, cut off, or with an end or a beginning alone. Other private-use characters are pictures of some font.
static MARKS: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        r"\x{e200}(?<inside>[^\x{e200}\x{e201}\x{e20b}]*)[\x{e201}\x{e20b}]",
        r"\x{e200}[a-z_]+(?:\x{e202}[^\s\x{e200}-\x{e20f}]*)+",
        r"\x{e200}[a-z_]*$",
        r"\x{e202}(?:turn\d+[a-z_]+\d+|L\d+(?:-L?\d+)?)",
        r"[\x{e200}-\x{e20f}]",
        r"【(?<number>\d+(?::\d+)?)†(?<evidence>[^【】\n]*)】",
    ];
    Regex::new(&forms.join("|")).expect("it is written so")
});

/// What stands for no name of its own in `【12†…】`.
static PLAIN_EVIDENCE: LazyLock<Regex> = LazyLock::new(|| {
    let forms = r"^(?:source|screenshot|image|L\d+(?:-L?\d+)?)?$";
    Regex::new(forms).expect("it is written so")
});
