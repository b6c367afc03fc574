//! Settings: from the file, the environment and flags; shown with where they come from, and changed in place.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::harness::Home;

#[test]
fn settings_are_shown_with_their_origin_and_changed_in_place() {
    let home = Home::new();
    let file = home.path().join("config.toml");
    let mine = "# mine\nmodel = \"a\" # small\n[headers.openai]\napi-key = \"sk-live-1234\"\n";
    fs::write(&file, mine).unwrap();
    let allm = |args: &[&str]| {
        home.allm()
            .env("OPENAI_API_KEY", "sk-secret")
            .args(args.iter().copied())
    };
    let shown = home
        .allm()
        .env("OLLAMA_HOST", "http://u:pw@127.0.0.1:9")
        .args(["config"])
        .run()
        .ok();
    for (name, value, origin) in [
        ("model", "a", "config.toml"),
        ("ollama_url", "http://127.0.0.1:9", "$OLLAMA_HOST"),
        ("limit", "10", "default"),
        ("user", "alice", "$ALLM_USER"),
    ] {
        let is_it = |line: &str| line.split_whitespace().eq([name, value, origin]);
        assert!(shown.stdout.lines().any(is_it), "{name}: {}", shown.stdout);
    }
    let all = allm(&["config", "--json"]).run().ok().stdout + &shown.stdout;
    for secret in ["sk-live", "sk-secret", "pw@"] {
        assert!(!all.contains(secret), "{all}");
    }
    assert!(
        all.contains(
            r#"{"name":"OPENAI_API_KEY","value":"set, not shown","origin":"$OPENAI_API_KEY"}"#
        ),
        "{all}"
    );
    allm(&["config", "set", "model", "b"]).run().ok();
    allm(&["config", "set", "temperature", "0.5"]).run().ok();
    let changed = mine.replace("\"a\" # small\n", "\"b\" # small\ntemperature = 0.5\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), changed);
    assert_eq!(allm(&["config", "get", "model"]).run().ok().stdout, "b\n");
    for (name, value, why) in [
        ("temperature", "9", "is not from 0 to 2"),
        ("modle", "x", "did you mean `model`?"),
    ] {
        let refused = allm(&["config", "set", name, value]).run().fails(1);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), changed);
    // What cannot be used is said wherever it is, and mended here.
    fs::write(&file, "limit = 0\n").unwrap();
    let refused = allm(&["search", "x"]).run().fails(1);
    assert!(
        refused.stderr.contains("`limit = 0` is not at least 1"),
        "{}",
        refused.stderr
    );
    allm(&["config", "unset", "limit"]).run().ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn a_flag_after_a_value_is_a_flag_and_a_number_may_be_negative() {
    let home = Home::new();
    let config = |args: &[&str]| {
        let run = home.allm().args(["config"]);
        run.args(args.iter().copied()).run()
    };
    let set = config(&["set", "seed", "-5", "--json"]).ok();
    assert_eq!(set.json()[0]["value"], -5);
    config(&["set", "limit", "7", "--quiet"]).ok();
    assert_eq!(config(&["get", "limit"]).ok().stdout, "7\n");
    config(&["set", "system", "be", "brief", "--nosuch"]).fails(2);
    config(&["set", "system", "--", "--- be brief"]).ok();
    assert_eq!(config(&["get", "system"]).ok().stdout, "--- be brief\n");
    let refused = config(&["set", "limit", "many"]).fails(1).stderr;
    let told = "error: `limit` cannot be `many`\ncaused by: invalid type: string \"many\", expected usize in `limit`\n";
    assert_eq!(refused, told);
}

#[test]
fn what_is_taken_out_is_told_from_what_was_not_set() {
    let home = Home::new();
    let unset = |name: &str| home.allm().args(["config", "unset", name]).run();
    for (name, hint) in [("limt", "did you mean `limit`? "), ("nosuch", "")] {
        let told =
            format!("error: there is no setting `{name}`\nhint: {hint}`allm config` lists them\n");
        assert_eq!(unset(name).fails(1).stderr, told);
    }
    let told = "`limit` is not set in the file";
    let said = unset("limit").ok().stderr;
    assert!(said.contains(told), "{said}");
    // Nothing was to be written.
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    fs::write(home.path().join("config.toml"), "limit = 3\n").unwrap();
    let said = unset("limit").ok().stderr;
    assert!(!said.contains(told), "{said}");
}

#[test]
fn a_file_that_is_a_link_stays_one_and_others_can_read_what_they_could() {
    let home = Home::new();
    let kept = home.folder().join("dotfiles.toml");
    let mode = || fs::metadata(&kept).unwrap().permissions().mode() & 0o777;
    fs::write(&kept, "").unwrap();
    fs::set_permissions(&kept, Permissions::from_mode(0o640)).unwrap();
    let link = home.path().join("config.toml");
    symlink(&kept, &link).unwrap();
    let set = home.allm().args(["config", "set", "limit", "3"]);
    set.run().ok();
    assert!(link.is_symlink());
    assert_eq!(
        (fs::read_to_string(&kept).unwrap().as_str(), mode()),
        ("limit = 3\n", 0o640)
    );
    // A new one is for its owner alone.
    fs::remove_file(&link).unwrap();
    let set = home.allm().args(["config", "set", "limit", "3"]);
    set.run().ok();
    let made = fs::metadata(&link).unwrap().permissions();
    assert_eq!(made.mode() & 0o777, 0o600);
}

#[test]
fn what_the_tables_are_said_to_lie_in_is_where_they_lie() {
    let home = Home::new();
    let place = home.folder().join("tables");
    let db = format!("file://{}", place.display());
    let config = home.allm().args(["--db", &db, "config"]).run().ok().stdout;
    let line = config.lines().find(|line| line.starts_with("db "));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words, ["db", place.to_str().unwrap(), "--db"]);
    let remote = home.allm().args(["--db", "s3://bucket/x", "config"]).run();
    let told = "cannot keep the tables at `s3://bucket/x`";
    assert!(remote.fails(1).stderr.contains(told));
}
