//! The text of a file of settings with one of them put in or taken out: all else stays as it is, comments too.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use toml::Spanned;

use crate::config::Config;

/// What a file of settings has, with where in the text it is.
type Lines = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

fn find<'l>(
    lines: &'l Lines,
    name: &str,
) -> Option<(&'l Spanned<String>, &'l Spanned<toml::Value>)> {
    lines.iter().find(|(key, _)| key.get_ref() == name)
}

/// Returns the text of a file with a setting in it; all else stays as it is, comments too.
pub fn with(text: &str, name: &str, value: &str) -> Result<String> {
    ensure!(
        name != "headers",
        "headers have more than one value: `allm config edit` changes them"
    );
    let lines: Lines = toml::from_str(text).context("cannot read the file as it is")?;
    let place = |value: &str| {
        let at = match find(&lines, name) {
            Some((_, old)) => old.span(),
            None => end_of_top(text, &lines)..end_of_top(text, &lines),
        };
        let (before, after) = (&text[..at.start], &text[at.end..]);
        let end = match before.is_empty() || before.ends_with('\n') {
            true => "",
            false => "\n",
        };
        match at.is_empty() {
            true => format!("{before}{end}{name} = {value}\n{after}"),
            false => format!("{before}{value}{after}"),
        }
    };
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let list = toml::Value::from(value.split(',').map(str::trim).collect::<Vec<_>>());
    // A value is read as TOML, else it is a text, else a list of texts: whatever the setting can be.
    let forms = [value.to_owned(), quoted(value), list.to_string()];
    let mut refused = None;
    for (at, form) in forms.iter().enumerate() {
        // Of one value alone: more lines would be more settings.
        let alone = toml::from_str::<toml::Table>(&format!("value = {form}"));
        if alone.is_ok_and(|alone| alone.len() != 1) {
            continue;
        }
        let text = place(form);
        let Ok(table) = toml::from_str::<toml::Table>(&text) else {
            continue;
        };
        match Config::with(table) {
            Ok(_) => return Ok(text),
            // Of a text and a list where neither will do, and of a number, the first to be read says why.
            Err(error) if refused.is_none() || at == 0 => refused = Some(error),
            Err(_) => {}
        }
    }
    let context = || format!("`{name}` cannot be `{value}`");
    match refused {
        Some(error) => Err(error).with_context(context),
        None => bail!(context()),
    }
}

/// Returns the text of a file without a setting.
pub fn without(text: &str, name: &str) -> Result<String> {
    let lines: Lines = toml::from_str(text).context("cannot read the file as it is")?;
    let Some((key, value)) = find(&lines, name) else {
        return Ok(text.to_owned());
    };
    ensure!(
        name != "headers",
        "headers have more than one value: `allm config edit` changes them"
    );
    let start = text[..key.span().start]
        .rfind('\n')
        .map_or(0, |end| end + 1);
    let end = line_end(text, value.span().end);
    Ok(format!("{}{}", &text[..start], &text[end..]))
}

/// Returns where another setting can stand: behind the last one that is below no heading.
fn end_of_top(text: &str, lines: &Lines) -> usize {
    let is_below_heading = |value: &Spanned<toml::Value>| {
        matches!(value.get_ref(), toml::Value::Table(_)) && !text[value.span()].starts_with('{')
    };
    let values = lines.values().filter(|value| !is_below_heading(value));
    let end = values.map(|value| line_end(text, value.span().end)).max();
    let is_headed = lines.values().any(is_below_heading);
    end.unwrap_or(if is_headed { 0 } else { text.len() })
}

/// Returns where the line ends that goes on from here.
fn line_end(text: &str, from: usize) -> usize {
    text[from..]
        .find('\n')
        .map_or(text.len(), |end| from + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_changed_and_all_else_stays() {
        let text = "# mine\nmodel = 'a' # the small one\n\ntools = [\n  \"read_file\",\n]\n[headers.openai]\nx = \"1\" # secret\n";
        for (name, value, old, new) in [
            ("model", "llama3.2", "'a'", "\"llama3.2\""),
            ("model", "7", "'a'", "\"7\""),
            (
                "tools",
                "read_file, current_time",
                "[\n  \"read_file\",\n]",
                "[\"read_file\", \"current_time\"]",
            ),
            (
                "temperature",
                "1",
                "]\n[headers",
                "]\ntemperature = 1\n[headers",
            ),
            ("facts", "true", "]\n[headers", "]\nfacts = true\n[headers"),
            (
                "think",
                "off",
                "]\n[headers",
                "]\nthink = \"off\"\n[headers",
            ),
            (
                "system",
                "say \"hi\"\nto me",
                "]\n[headers",
                "]\nsystem = \"\"\"\nsay \"hi\"\nto me\"\"\"\n[headers",
            ),
        ] {
            assert_eq!(
                with(text, name, value).unwrap(),
                text.replace(old, new),
                "{name}"
            );
        }
        assert_eq!(
            with("[headers]\n", "limit", "5").unwrap(),
            "limit = 5\n[headers]\n"
        );
        assert_eq!(
            with("# no end", "limit", "5").unwrap(),
            "# no end\nlimit = 5\n"
        );
        assert_eq!(
            without(text, "model").unwrap(),
            text.replace("model = 'a' # the small one\n", "")
        );
        assert_eq!(
            without(text, "tools").unwrap(),
            text.replace("tools = [\n  \"read_file\",\n]\n", "")
        );
        assert_eq!(without(text, "limit").unwrap(), text);
        for (name, value, why) in [
            ("temperature", "9", "`temperature = 9` is not from 0 to 2"),
            ("temperature", "warm", "expected f64"),
            ("limit", "0", "`limit = 0` is not at least 1"),
            ("limit", "ten", "expected usize"),
            ("provider", "olama", "is none of auto"),
            ("headers", "x", "`allm config edit`"),
            // More than one value is none.
            ("limit", "5\nmodel = 'y'", "expected usize"),
        ] {
            let error = with(text, name, value).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{error:#}");
        }
        // A text may look like lines of the file, and is a text all the same.
        let odd = "x\"\nlimit = 7 #";
        let table: toml::Table = toml::from_str(&with(text, "model", odd).unwrap()).unwrap();
        assert_eq!(
            (table["model"].as_str(), table.get("limit")),
            (Some(odd), None)
        );
    }
}
