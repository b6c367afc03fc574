//! Finding by meaning and by words: how good it is, phrases, honest scores, duplicates, and what is broken.

use allm::embedder::{Embedder, Lazy, Source};
use allm::store::{Filter, Mode, Options, Scope, SearchQuery, Store};
use serde_json::{Value, json};

use crate::evaluation::Evaluation;
use crate::harness::{Home, project};
use crate::server;

#[tokio::test]
async fn search_stays_as_good_as_it_was() {
    let set = project().join("tests/fixtures/eval");
    let home = tempfile::tempdir().unwrap();
    let evaluation = Evaluation::new(&set, home.path()).await.unwrap();
    let free = evaluation.run(Mode::Hybrid, Some(-1.0)).await.unwrap();
    assert!(free.all.mrr >= 0.92 && free.all.recall >= 0.96, "{free:?}");
    for (kind, figures) in &free.by_kind {
        let least = if kind == "paraphrase" { 0.75 } else { 0.93 };
        assert!(figures.mrr >= least, "{kind}: {figures:?}");
    }
    // The floor keeps nonsense out and hardly anything else.
    let floored = evaluation.run(Mode::Hybrid, None).await.unwrap();
    assert!(floored.silent >= 3, "{floored:?}");
    assert!(free.all.recall - floored.all.recall < 0.03, "{floored:?}");
    let semantic = evaluation.run(Mode::Semantic, Some(-1.0)).await.unwrap();
    assert!(semantic.all.mrr < free.all.mrr, "{semantic:?}");
}

fn filled() -> Home {
    let home = Home::new();
    let server = server::ollama(|question| match question {
        "why?" => "The request failed with connection reset by peer.".to_owned(),
        "how?" => "A peer was reset, and its connection with it.".to_owned(),
        "again" => "To be or not to be, that is the question.".to_owned(),
        _ => "Dogs bark.".to_owned(),
    });
    let script = "why?\nhow?\nagain\nwhat do dogs do?\nwhat do dogs do?\n";
    home.allm()
        .env("OLLAMA_HOST", &server.url)
        .args(["chat", "-p", "ollama", "--no-tools"])
        .stdin(script)
        .run()
        .ok();
    home
}

fn search(home: &Home, args: &[&str]) -> Value {
    home.allm()
        .args(["search", "--json"])
        .args(args.iter().copied())
        .ok_json()
}

#[test]
fn a_phrase_must_stand_as_it_is() {
    let home = filled();
    let queries = |found: &Value| -> Vec<String> {
        let hits = found["hits"].as_array().unwrap().iter();
        hits.map(|hit| hit["query"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        queries(&search(&home, &["\"connection reset by peer\""])),
        ["why?"]
    );
    assert_eq!(
        queries(&search(&home, &["\"To be or NOT to be\""])),
        ["again"]
    );
    assert_eq!(
        queries(&search(&home, &["--mode", "text", "\"reset by\" peer"])),
        ["why?"]
    );
    assert!(queries(&search(&home, &["\"reset by dogs\""])).is_empty());
    // In the shell a quoted word is a phrase, too.
    let inside = home.allm().args(["chat", "--json"]);
    let inside = inside
        .stdin("/search \"connection reset by peer\"\n")
        .run()
        .ok();
    assert_eq!(queries(&inside.json()[0]), ["why?"]);
    // Words alone, however common, are no failure.
    assert_eq!(search(&home, &["the"])["type"], "search");
    assert_eq!(search(&home, &["--mode", "text", "(:*"])["count"], 0);
}

#[test]
fn scores_are_honest_and_duplicates_appear_once() {
    let home = filled();
    let found = search(&home, &["what do dogs do?"]);
    let first = &found["hits"][0];
    assert!(
        (first["score"].as_f64().unwrap() - 1.0).abs() < 1e-4,
        "{first}"
    );
    assert!((first["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-4);
    assert_eq!((&first["rank"], &first["same"]), (&json!(1), &json!(2)));
    let hits = found["hits"].as_array().unwrap();
    let dogs = hits.iter().filter(|hit| hit["query"] == "what do dogs do?");
    assert_eq!(dogs.count(), 1);
    assert_eq!(
        search(&home, &["Kubernetes ingress annotations"])["count"],
        0
    );
    let all = search(
        &home,
        &["Kubernetes ingress annotations", "--min-score", "-1"],
    );
    assert_eq!(all["count"], 4);
    assert_eq!(search(&home, &["dogs", "--min-score", "0.99"])["count"], 0);
    let text = search(&home, &["bark", "--mode", "text"]);
    assert_eq!(
        (
            &text["mode"],
            &text["hits"][0]["matched"]["text"],
            &text["hits"][0]["similarity"]
        ),
        (&json!("text"), &json!("Dogs bark."), &Value::Null)
    );
    let table = home.allm().args(["search", "dogs"]).run().ok();
    assert!(
        table.stdout.contains("(2 times the same)"),
        "{}",
        table.stdout
    );
}

/// Is a model whose files cannot be read.
struct Broken;

impl Embedder for Broken {
    fn name(&self) -> &'static str {
        "all-MiniLM-L6-v2"
    }

    fn dimension(&self) -> usize {
        384
    }

    fn embed(&self, _: &[&str]) -> anyhow::Result<Vec<Vec<f32>>> {
        anyhow::bail!("cannot read the weights")
    }

    fn passages<'t>(&self, text: &'t str) -> anyhow::Result<Vec<&'t str>> {
        Ok(vec![text])
    }
}

#[tokio::test]
async fn a_broken_embedder_leaves_the_words() {
    let home = filled();
    let tables = home.path().join("lancedb").display().to_string();
    let embedder = Lazy::ready(Source::Bundled, Box::new(Broken));
    let store = Store::open(Options::new(home.path(), tables, embedder));
    let store = store.await.unwrap();
    let everyone = Filter::new(Scope::Everyone);
    let query = SearchQuery::new("dogs bark", everyone, 3);
    let found = store.search(&query).await.unwrap();
    assert_eq!(found.hits[0].interaction.response, "Dogs bark.");
    let notices: Vec<String> = found.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["looked for the words alone"]);
}

/// Returns a text without what a terminal takes for colours, and without blanks at the ends of lines.
fn uncolored(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    let plain = pieces.fold(first, |text, piece| {
        text + piece.split_once('m').map_or("", |(_, rest)| rest)
    });
    let lines = plain.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[test]
fn what_matches_is_marked_and_begins_near_the_match() {
    let home = Home::new();
    let filler = "The scheduler wakes up every minute and writes its heartbeat. ".repeat(8);
    let lines = [
        json!({"timestamp": "2026-11-10T10:00:00Z", "query": "What was it?", "response": format!("{filler}Two connections each held one lock, a Deadlock of PG_LOCK_7. {filler}")}),
        json!({"timestamp": "2026-11-11T10:00:00Z", "query": "東京の接続プールは", "response": "\x1b]0;x\x07 a deadlock\u{9b}2J"}),
    ];
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    let import = home.allm().args(["import", "jsonl", "-", "--no-embed"]);
    import.stdin(&lines.join("\n")).run().ok();
    let look = |width: &str, args: &[&str]| {
        let run = home.allm().env("COLUMNS", width).env("TERM", "xterm");
        let args = ["search", "--mode", "text"].iter().chain(args).copied();
        run.args(args).run().ok().stdout
    };
    for (width, first) in [("110", "→ …"), ("80", "  → …"), ("50", "  → …")] {
        let shown = look(width, &["--color", "always", "deadlock"]);
        for marked in [
            "\x1b[1mDeadlock\x1b[0m",
            "a \x1b[1mdeadlock\x1b[0m<U+009B>2J",
        ] {
            assert!(shown.contains(marked), "{width}: {shown:?}");
        }
        let plain = uncolored(&shown);
        let mut lines = plain.lines();
        let longest = lines.clone().map(|line| line.chars().count()).max();
        assert!(longest <= width.parse().ok(), "{plain}");
        // The match is not far from the beginning of what is shown.
        assert!(lines.any(|line| line.contains(first)), "{plain}");
        assert!(plain.matches("heartbeat").count() < 8, "{plain}");
        // Without colours it is the same text.
        assert_eq!(look(width, &["deadlock"]), plain);
    }
    for (query, expected) in [
        ("deadlocks about PG_LOCK_7", vec!["Deadlock", "PG_LOCK_7"]),
        ("PG_LOCK_7", vec!["PG_LOCK_7"]),
        ("\"held ONE  lock\"", vec!["held one lock"]),
        ("\"held one\" lock", vec!["held one", "lock", "LOCK"]),
        ("接続プール", vec!["接続プール"]),
    ] {
        let found = search(&home, &["--mode", "text", query]);
        let hits = found["hits"].as_array().unwrap().iter();
        let matched = hits
            .map(|hit| &hit["matched"])
            .find(|matched| matched["marks"] != json!([]));
        let matched = matched.unwrap_or_else(|| panic!("{query}: {found}"));
        let text: Vec<char> = matched["text"].as_str().unwrap().chars().collect();
        let piece = |mark: &Value| -> String {
            let at = |side: usize| usize::try_from(mark[side].as_u64().unwrap()).unwrap();
            text[at(0)..at(1)].iter().collect()
        };
        let marks = matched["marks"].as_array().unwrap();
        assert_eq!(
            marks.iter().map(piece).collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
    let args = ["search", "--mode", "text", "deadlock"];
    let mut terminal = home.terminal_with(&args, &[("TERM", "dumb")]);
    assert_eq!(terminal.exit_status(), 0);
    assert!(
        !terminal.screen().contains("\x1b["),
        "{}",
        terminal.screen()
    );
}

#[test]
fn a_flag_within_a_query_is_a_word_and_an_option_says_what_it_does() {
    let home = Home::new();
    let lines = [
        json!({"timestamp": "2026-02-03T10:00:00Z", "id": "n1", "query": "How do I commit without the hooks?", "response": "git commit --no-verify skips them."}),
        json!({"timestamp": "2025-02-03T10:00:00Z", "id": "n2", "query": "As whom does it run?", "response": "docker run --user root, or -u 0."}),
        json!({"timestamp": "2025-03-03T10:00:00Z", "id": "n3", "query": "What is new?", "response": "git log --since yesterday"}),
    ];
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    let import = home.allm().args(["import", "jsonl", "-", "--no-embed"]);
    import.stdin(&lines.join("\n")).run().ok();
    let told = "there is no user `root`, so `--user root` is looked for";
    let queries = [
        ("commit --no-verify", "--no-verify", ""),
        ("--no-verify --limit 3", "--no-verify", ""),
        ("run -u --mode text", "--user root", ""),
        ("docker run --user root", "--user root", told),
        ("git log -- --since yesterday", "--since", ""),
        (
            "git log --since 2025-03-01",
            "--since",
            "only since 2025-03-01 00:00:00 +00:00",
        ),
        (
            "git --from 2025-01-01 --to 2025-12-31",
            "--since",
            "only from 2025-01-01 00:00:00 +00:00 to ",
        ),
        ("commit --limt 5", "", ""),
        ("commit --mode host", "", ""),
    ];
    let script = queries.map(|(query, ..)| format!("/search {query}\n"));
    let chat = home.allm().args(["chat", "-p", "offline", "--json"]);
    let inside = chat.stdin(&script.concat()).run().fails(1);
    let said = inside.json();
    for ((query, found, note), said) in queries.iter().zip(&said) {
        let response = said["hits"][0]["response"].as_str().unwrap_or_default();
        assert!(response.contains(found), "{query}: {said}");
        assert!(inside.stderr.contains(note), "{query}: {}", inside.stderr);
    }
    assert_eq!(said[7]["hint"], "did you mean `--limit`?");
    let help = home.allm().args(["search", "-h"]).run().ok();
    assert!(
        help.stdout.contains("Usage: allm search"),
        "{}",
        help.stdout
    );
    let why = said[8]["error"].as_str().unwrap();
    assert!(why.contains("invalid value 'host' for '--mode <MODE>'"));
    for (at, query) in [(0, "commit --no-verify"), (3, "docker run --user root")] {
        let args = ["--json", "search"].into_iter().chain(query.split(' '));
        assert_eq!(home.allm().args(args).ok_json(), said[at], "{query}");
    }
}
