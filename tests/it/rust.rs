//! Reads Rust files as rows of tokens: what they import, name and put into texts.

use std::path::{Path, PathBuf};

use crate::harness::project;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Holds a Rust file, and its tokens in a row: brackets are tokens, too.
pub struct Source {
    pub path: PathBuf,
    pub text: String,
    tokens: Vec<(usize, String)>,
}

impl Source {
    pub fn new(path: PathBuf, text: String) -> Self {
        let mut tokens = Vec::new();
        let stream: TokenStream = text.parse().expect("a source file is Rust");
        flatten(stream, &mut tokens);
        Self { path, text, tokens }
    }

    /// Returns the top-level module that the file belongs to.
    pub fn module(&self) -> String {
        names(&self.path).into_iter().next().unwrap_or_default()
    }

    /// Returns the line and the path of each import from the crate: `crate::…`, and `super::…` where that leads out of the first
    /// so many folders.
    pub fn imports(&self, folders: usize) -> Vec<(usize, Vec<String>)> {
        let mut imports = Vec::new();
        let here = names(&self.path);
        let is_face = here.last().is_some_and(|name| name == "mod");
        for at in 0..self.tokens.len() {
            let word = self.tokens[at].1.as_str();
            let starts = at == 0 || self.tokens[at - 1].1 != ":";
            if !starts || !["crate", "super"].contains(&word) {
                continue;
            }
            let (mut next, mut outer) = (at, here.len() - usize::from(is_face));
            while self.tokens[next].1 == "super" {
                outer = outer.saturating_sub(1);
                next += 3;
            }
            let base = if word == "crate" {
                next = at + 3;
                Vec::new()
            } else {
                // An inline module's `super` is the file.
                here[..outer].to_vec()
            };
            let leaves = word == "crate" || outer <= folders;
            let follows = self
                .tokens
                .get(next - 1)
                .is_some_and(|(_, text)| text == ":");
            if leaves && follows {
                let mut paths = Vec::new();
                self.paths(&mut next, &base, &mut paths);
                let line = self.tokens[at].0;
                imports.extend(paths.into_iter().map(|path| (line, path)));
            }
        }
        // What an inline module takes from its file names no other one.
        let exists = |name: &String| {
            let path = project().join("src").join(name);
            path.is_dir() || path.with_extension("rs").is_file() || name == "mutate"
        };
        imports.retain(|(_, path)| path.first().is_some_and(exists));
        imports
    }

    /// Reads `a::b`, or a tree of such paths, from a token on.
    fn paths(&self, next: &mut usize, base: &[String], paths: &mut Vec<Vec<String>>) {
        let mut path = base.to_vec();
        while let Some((_, token)) = self.tokens.get(*next) {
            if token == "{" && (path.len() == base.len() || self.tokens[*next - 1].1 == ":") {
                *next += 1;
                while self.tokens[*next].1 != "}" {
                    self.paths(next, &path, paths);
                    if self.tokens[*next].1 == "," {
                        *next += 1;
                    }
                }
                *next += 1;
                return;
            }
            if !token.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '*') {
                break;
            }
            path.push(token.clone());
            *next += 1;
            let colons = self.tokens[*next..].iter().take(2);
            if colons.filter(|(_, text)| text == ":").count() < 2 {
                break;
            }
            *next += 2;
        }
        // `use a as b`
        while self.tokens.get(*next).is_some_and(|(_, text)| {
            ![",", "}", ";"].contains(&text.as_str()) && base.len() < path.len() && text == "as"
        }) {
            *next += 2;
        }
        paths.push(path);
    }

    /// Returns the lines where some code stands; blanks in it do not count.
    pub fn find(&self, code: &str) -> Vec<usize> {
        let mut wanted = Vec::new();
        let stream: TokenStream = code.parse().expect("what is looked for is Rust");
        flatten(stream, &mut wanted);
        let is_there =
            |some: &&[(usize, String)]| some.iter().zip(&wanted).all(|(a, b)| a.1 == b.1);
        let found = self.tokens.windows(wanted.len()).filter(is_there);
        found.map(|some| some[0].0).collect()
    }

    /// Returns the texts that something is put into.
    pub fn formatted(&self) -> Vec<(usize, String)> {
        let is_text = |text: &str| text.starts_with(['"', 'r']) && text.contains('"');
        let macros = ["format", "write", "writeln", "format_args"];
        let mut texts = Vec::new();
        for (at, some) in self.tokens.windows(3).enumerate() {
            if !macros.contains(&some[0].1.as_str()) || some[1].1 != "!" {
                continue;
            }
            let text = self.tokens[at..].iter().find(|(_, token)| is_text(token));
            if let Some((line, text)) = text {
                texts.push((*line, text.trim_matches(['"', 'r', '#']).to_owned()));
            }
        }
        texts
    }

    pub fn fault(&self, line: usize, rule: &str) -> String {
        format!("{}:{line}: {rule}", self.path.display())
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<(usize, String)>) {
    for token in stream {
        let line = token.span().start().line;
        let TokenTree::Group(group) = token else {
            tokens.push((line, token.to_string()));
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        // What a comment of documentation says is a literal of an attribute.
        tokens.push((line, open.to_owned()));
        flatten(group.stream(), tokens);
        tokens.push((group.span_close().start().line, close.to_owned()));
    }
}

/// Returns the modules that a path below `src` goes through; the face of a folder counts as one.
pub fn names(path: &Path) -> Vec<String> {
    let path = path.strip_prefix("src").unwrap_or(path).with_extension("");
    path.iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
