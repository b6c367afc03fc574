//! Two people in one store: no command shows one the rows of the other, whatever their names are.

use allm::commands;
use serde_json::{Value, json};

use crate::harness::{Home, Run};
use crate::scripted::{self, Said};

/// What alice said, and bob must never see.
const SECRET: &str = "zanzibar";

fn as_user(home: &Home, user: &str, args: &[&str]) -> Run {
    home.allm()
        .env("ALLM_USER", user)
        .args(args.iter().copied())
}

/// Returns a home where alice, the admin, and bob have talked, with tools and facts.
fn shared() -> (Home, String, String) {
    let home = Home::new();
    let look = json!({"query": format!("{SECRET} plans")});
    let server = scripted::ollama(
        Some(&["tools"]),
        vec![
            Said::Calls("about zanzibar", "", vec![("search_memory", look)]),
            Said::Text("We go to zanzibar in May."),
            Said::Text(
                r#"{"facts":[{"subject":"alice","predicate":"goes to","object":"zanzibar"}]}"#,
            ),
            Said::Text("Bob's answer about bread."),
        ],
    );
    let talk = |user: &str, args: &[&str]| {
        as_user(&home, user, &["chat", "--json", "-p", "ollama"])
            .env("OLLAMA_HOST", &server.url)
            .args(args.iter().copied())
            .ok_json()
    };
    let turn = talk("alice", &["--facts", "when do we go to zanzibar?"]);
    talk("bob", &["how do I bake bread?"]);
    let id = |name: &str| turn[name].as_str().unwrap().to_owned();
    let (interaction, session) = (id("interaction_id"), id("session_id"));
    (home, interaction, session)
}

#[test]
#[expect(clippy::too_many_lines, reason = "it walks over every command")]
fn no_command_shows_anyone_the_rows_of_another() {
    let (home, interaction, session) = shared();
    let query = format!("SELECT * FROM interactions WHERE interaction_id = '{interaction}'");
    let lines = [
        "/search zanzibar --min-score -1".to_owned(),
        "/search zanzibar --mode text --in query,response,thought,observation,fact".to_owned(),
        "/search \"go to zanzibar\"".to_owned(),
        "/timeframe 2000-01-01 2100-01-01".to_owned(),
        format!("/similar {interaction}"),
        "/similar going to zanzibar".to_owned(),
        format!("/show {interaction}"),
        format!("/context {interaction} --raw"),
        format!("/scratchpad {interaction}"),
        format!("/facts {interaction}"),
        "/facts zanzibar".to_owned(),
        "/facts".to_owned(),
        "/sessions".to_owned(),
        "/sessions zanzibar".to_owned(),
        "/last".to_owned(),
        "/stats --by session".to_owned(),
        "/stats --by user".to_owned(),
        "/stats --by day".to_owned(),
        "/stats --by model".to_owned(),
        "/stats --by tool".to_owned(),
        "/stats".to_owned(),
        "/users".to_owned(),
        format!("/sql {query}"),
        "/sql SELECT * FROM react_cycles UNION ALL SELECT * FROM react_cycles".to_owned(),
        "/sql SELECT * FROM passages".to_owned(),
        "/sql SELECT * FROM sessions".to_owned(),
        "/sql SELECT username FROM users".to_owned(),
        format!("/resume {session}"),
        format!("/show {session}"),
        format!("/similar {session}"),
        format!("/recall {session}"),
        format!("/facts {session}"),
        format!("/recall {interaction}"),
        "/search bread --context 9".to_owned(),
        format!("/search bread --session {session}"),
        "/export".to_owned(),
        format!("/forget {interaction} --dry-run"),
        "/forget --match zanzibar --dry-run".to_owned(),
        "/cleanup --older-than 2100-01-01 --dry-run".to_owned(),
        "/recall zanzibar".to_owned(),
        "/recall".to_owned(),
        "/history".to_owned(),
    ];
    // Whoever adds a command that reads adds it here.
    let silent = [
        "/model",
        "/provider",
        "/config",
        "/system",
        "/temperature",
        "/max-tokens",
        "/think",
        "/stream",
        "/seed",
        "/tools",
        "/private",
        "/user",
        "/new",
        "/help",
        "/quit",
        "/reindex",
    ];
    for (name, _) in commands::table() {
        let covered = lines
            .iter()
            .any(|line| line.split(' ').next() == Some(&name));
        assert!(covered || silent.contains(&name.as_str()), "{name}");
    }
    let leaks = |text: &str| {
        // What bob himself typed comes back in errors and echoes.
        let said = text
            .replace("nothing like `zanzibar`", "")
            .replace("\"query\":\"zanzibar", "")
            .replace(&format!("an id that starts with `{session}`"), "");
        [
            &session[..8],
            "in May",
            "goes to",
            "when do we",
            "about zanzibar",
            "alice",
        ]
        .into_iter()
        .find(|secret| said.contains(*secret))
        .map(str::to_owned)
    };
    for json in [&["--json"][..], &[]] {
        let script = lines.join("\n") + "\n";
        let run = as_user(&home, "bob", &["chat"]).args(json.iter().copied());
        let output = run.stdin(&script).run();
        for line in output.stdout.lines().chain(output.stderr.lines()) {
            assert_eq!(leaks(line), None, "{line}");
        }
        let refused =
            format!("no interaction and no session has an id that starts with `{session}`");
        let said = output.stdout + &output.stderr;
        assert!(said.contains(&refused), "{said}");
    }
    for line in &lines {
        let name = line.trim_start_matches('/');
        if ["resume", "recall", "history"]
            .iter()
            .any(|live| name.starts_with(live))
        {
            continue;
        }
        let (command, rest) = name.split_once(' ').unwrap_or((name, ""));
        let mut args = vec![command, "--json"];
        if command == "sql" {
            args.push(rest);
        } else {
            args.extend(rest.split(' ').filter(|word| !word.is_empty()));
        }
        let output = as_user(&home, "bob", &args).run();
        assert_eq!(leaks(&output.stdout), None, "{line}: {}", output.stdout);
        assert_eq!(leaks(&output.stderr), None, "{line}: {}", output.stderr);
    }
    // An admin may look, when they say so.
    let all = as_user(
        &home,
        "alice",
        &["timeframe", "2000-01-01", "2100-01-01", "--json"],
    );
    assert_eq!(all.args(["--all-users"]).ok_json()["count"], 2);
    let bobs = as_user(
        &home,
        "alice",
        &["search", "bread", "--user", "bob", "--json"],
    );
    assert_eq!(bobs.ok_json()["hits"][0]["user"], "bob");
    for flag in [&["--user", "alice"][..], &["--all-users"]] {
        for command in [
            "timeframe today",
            "search x",
            "similar x",
            "sessions",
            "stats",
            "last",
            "facts",
            "sql SELECT 1",
        ] {
            let words: Vec<&str> = command.splitn(2, ' ').collect();
            let mut args = vec![words[0]];
            args.extend(flag);
            args.extend(words.get(1));
            let output = as_user(&home, "bob", &args).run().fails(1);
            assert!(
                output.stderr.contains("`bob` may not read the history of"),
                "{command}: {}",
                output.stderr
            );
        }
    }
}

#[test]
fn names_and_ids_of_any_kind_are_only_data() {
    let home = Home::new();
    let names = [
        "o'brien",
        "' OR '1'='1",
        "東京 🦀",
        "a\"b\\c",
        "Robert'); DROP TABLE users;--",
    ];
    for name in names {
        as_user(
            &home,
            name,
            &["chat", "-p", "offline", &format!("I am {name}")],
        )
        .run()
        .ok();
    }
    for name in names {
        let mine = as_user(
            &home,
            name,
            &["timeframe", "2020-01-01", "2100-01-01", "--json"],
        )
        .ok_json();
        assert_eq!(mine["count"], 1, "{name}");
        assert_eq!(mine["interactions"][0]["user"], name);
        let seen = as_user(
            &home,
            names[0],
            &[
                "timeframe",
                "2020-01-01",
                "2100-01-01",
                "--json",
                "--user",
                name,
            ],
        );
        assert_eq!(
            seen.ok_json()["interactions"][0]["query"],
            format!("I am {name}")
        );
        let rows = as_user(
            &home,
            name,
            &["sql", "--json", "SELECT username FROM users"],
        )
        .ok_json();
        assert_eq!(rows["rows"], json!([[name]]));
    }
    for name in ["a\nb", "\u{1b}[2J"] {
        let output = as_user(&home, name, &["chat", "hi"]).run().fails(1);
        assert!(
            output.stderr.contains("is no user name"),
            "{}",
            output.stderr
        );
    }
    for (command, hostile) in [
        ("show", "' OR '1'='1"),
        ("show", "abcd' OR 1=1 --"),
        ("timeframe", "2025-01-01' OR '1'='1"),
        ("scratchpad", "x'; DROP TABLE users"),
        ("similar", "' UNION SELECT * FROM users --"),
    ] {
        let output = as_user(&home, names[0], &[command, "--json", hostile]).run();
        let found: Vec<Value> = output.json();
        assert!(
            !found[0].to_string().contains("I am 東京"),
            "{command} {hostile}: {found:?}"
        );
    }
}

#[test]
fn admins_manage_users_and_members_themselves() {
    let home = Home::new();
    as_user(&home, "alice", &["chat", "-p", "offline", "hi"])
        .run()
        .ok();
    let users = |user: &str, args: &[&str]| {
        as_user(&home, user, &["users", "--json"])
            .args(args.iter().copied())
            .run()
    };
    let names = |output: &crate::harness::Output| -> Vec<String> {
        let users = output.json()[0]["users"].as_array().unwrap().clone();
        users
            .iter()
            .map(|user| {
                format!(
                    "{} {}",
                    user["username"].as_str().unwrap(),
                    user["role"].as_str().unwrap()
                )
            })
            .collect()
    };
    assert_eq!(
        names(&users("alice", &["add", "bob"]).ok()),
        ["alice admin", "bob member"]
    );
    assert_eq!(names(&users("bob", &[]).ok()), ["bob member"]);
    assert_eq!(
        names(&users("bob", &["rename", "bob", "robert"]).ok()),
        ["robert member"]
    );
    let refused = |user: &str, args: &[&str], expected: &str| {
        let output = users(user, args).fails(1);
        assert_eq!(output.json()[0]["error"], expected);
    };
    refused(
        "robert",
        &["add", "eve"],
        "`robert` is no admin and may not add users",
    );
    refused(
        "robert",
        &["grant", "robert"],
        "`robert` is no admin and may not change roles",
    );
    refused(
        "robert",
        &["rename", "alice", "x"],
        "`robert` is no admin and may not rename others",
    );
    refused(
        "alice",
        &["add", "robert"],
        "there is a user `robert` already",
    );
    refused("alice", &["grant", "eve"], "there is no user `eve`");
    refused(
        "alice",
        &["revoke", "alice"],
        "`alice` is the only admin: `/users grant` another one first",
    );
    users("alice", &["grant", "robert"]).ok();
    assert_eq!(
        names(&users("robert", &["revoke", "alice"]).ok()),
        ["alice member", "robert admin"]
    );
    // In a chat one can go on as someone else, in a new conversation.
    let script = "hello\n/user robert\nhello again\n/history\n";
    let lines = as_user(&home, "alice", &["chat", "--json", "-p", "offline"])
        .stdin(script)
        .run()
        .ok()
        .json();
    assert_eq!(
        (&lines[0]["user"], &lines[2]["user"]),
        (&json!("alice"), &json!("robert"))
    );
    assert_ne!(lines[0]["session_id"], lines[2]["session_id"]);
    assert_eq!(lines[3]["count"], 1);
    assert!(
        !lines[2]["response"].as_str().unwrap().contains("you wrote"),
        "{}",
        lines[2]
    );
}
