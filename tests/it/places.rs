//! Where a store lies and what it is called: it may move, have several names, and be changed by many at once.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use allm::embedder::{Lazy, Source};
use allm::store::{Options, Store, change_embedder};

use crate::crashes::stalling;
use crate::harness::{Home, PATIENCE, wait_until};

/// Leaves a turn in the journal of a home, as a killed shell does.
fn killed(home: &Home) {
    let server = stalling();
    let mut shell = Command::new(env!("CARGO_BIN_EXE_allm"));
    shell.args([
        "chat",
        "--no-tools",
        "-p",
        "ollama",
        "-m",
        "m",
        "--base-url",
        &server.url,
        "do not lose me",
    ]);
    shell
        .env("ALLM_HOME", home.path())
        .env("ALLM_USER", "alice");
    let mut shell = shell
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let files = || {
        fs::read_dir(home.path().join("journal"))
            .into_iter()
            .flatten()
    };
    wait_until("what has come is in the journal", || {
        files().flatten().any(|file| {
            let text = fs::read_to_string(file.path());
            text.is_ok_and(|text| text.contains("the beginning"))
        })
    });
    shell.kill().unwrap();
    shell.wait().unwrap();
}

// Finding M2.
#[test]
fn a_home_that_has_moved_recovers_its_journals() {
    let home = Home::new();
    killed(&home);
    // Journals of the first round say where the tables were, by the name that was given.
    let older = Home::new();
    killed(&older);
    let journal = fs::read_dir(older.path().join("journal"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&journal).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(turn) = line.get_mut("began") {
            turn.as_object_mut().unwrap().remove("store");
            turn["uri"] = "/nowhere/any/more/lancedb".into();
        }
        format!("{line}\n")
    });
    fs::write(&journal, lines.collect::<String>()).unwrap();
    for home in [home, older] {
        let moved = Home::new();
        fs::remove_dir(moved.path()).unwrap();
        fs::rename(home.path(), moved.path()).unwrap();
        fs::create_dir(home.path()).unwrap();
        // By another name, too.
        let link = moved.folder().join("link");
        symlink(moved.path(), &link).unwrap();
        let list = [
            "--home",
            link.to_str().unwrap(),
            "timeframe",
            "2020-01-01",
            "2100-01-01",
            "--json",
        ];
        let found = moved.allm().args(list).ok_json();
        assert_eq!(
            found["interactions"][0]["query"], "do not lose me",
            "{found}"
        );
        assert_eq!(
            fs::read_dir(moved.path().join("journal")).unwrap().count(),
            0
        );
    }
}

// Finding M3.
#[test]
fn a_store_with_two_names_has_one_set_of_locks() {
    let home = Home::new();
    let real = home.folder().join("real");
    let link = home.folder().join("link");
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    for name in ["real", "link", "real/../link"] {
        let place = home.folder().join(name);
        let chat = [
            "--db",
            place.to_str().unwrap(),
            "chat",
            "-p",
            "offline",
            "hello",
        ];
        home.allm().args(chat).run().ok();
    }
    let names = fs::read_dir(home.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert!(names.contains(&"real.erase.lock".to_owned()), "{names:?}");
    assert!(
        !names.iter().any(|name| name.starts_with("link.")),
        "{names:?}"
    );
}

// Finding M5.
#[tokio::test(flavor = "multi_thread")]
async fn changing_the_embedder_and_making_users_do_not_wait_for_each_other() {
    let home = Home::new();
    let options = || {
        let uri = home.path().join("lancedb").display().to_string();
        Options::new(home.path(), uri, Lazy::new(Source::Bundled))
    };
    let store = Store::open(options()).await.unwrap();
    let making = async {
        for number in 0..40 {
            store.ensure_user(&format!("user {number}")).await.unwrap();
        }
    };
    let changing = async {
        for _ in 0..6 {
            change_embedder(&options()).await.unwrap();
        }
    };
    let both = async { tokio::join!(making, changing) };
    let ended = tokio::time::timeout(PATIENCE, both).await;
    assert!(ended.is_ok(), "they wait for each other for ever");
    assert_eq!(store.list_users().await.unwrap().len(), 40);
}

// Finding D15.
#[test]
fn only_folders_hold_the_tables_and_anything_else_is_refused_before_a_byte_is_written() {
    for place in [
        "s3://bucket/history",
        "gs://bucket/history",
        "az://container/history",
        "db://history",
        "memory://",
    ] {
        for command in [&["sessions"][..], &["chat", "hello"], &["doctor"]] {
            let home = Home::new();
            let run = home
                .allm()
                .args(["--db", place])
                .args(command.iter().copied());
            let refused = run.run().fails(1);
            assert_eq!(
                refused.stderr,
                format!(
                    "error: cannot keep the tables at `{place}`: only a folder can hold them\nhint: name a folder, such as `--db /data/allm`\n"
                )
            );
            assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        }
    }
}

// Finding D15.
#[test]
fn tables_elsewhere_count_as_on_disk() {
    let home = Home::new();
    let elsewhere = home.folder().join("tables");
    let url = format!("file://{}", elsewhere.display());
    let allm = |args: &[&str]| {
        let run = home.allm().env("ALLM_DB", &url);
        run.args(args.iter().copied())
    };
    allm(&["chat", "hello"]).run().ok();
    assert!(elsewhere.is_dir() && !home.path().join("lancedb").exists());
    let stats = allm(&["stats", "--json"]).ok_json();
    let tables: u64 = stats["tables"]
        .as_object()
        .unwrap()
        .values()
        .map(|table| table["bytes"].as_u64().unwrap())
        .sum();
    let all = stats["disk_bytes"].as_u64().unwrap();
    assert!(tables > 0 && all >= tables, "{stats}");
}

#[test]
fn a_tilde_that_no_shell_has_seen_is_the_home_and_an_empty_variable_is_none() {
    let home = Home::new();
    let own = home.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("notes.txt"), "heron").unwrap();
    fs::write(own.join("system.txt"), "Be brief.").unwrap();
    let allm = |env: &[(&str, &str)], args: &[&str]| {
        let mut run = home.allm().env("HOME", own.to_str().unwrap());
        for (name, value) in env {
            run = run.env(name, value);
        }
        run.args(args.iter().copied()).run()
    };
    let hello = ["chat", "-p", "offline", "hello"];
    let there = |folder: &str| own.join(folder).join("lancedb").is_dir();
    allm(&[("ALLM_HOME", "~/.here")], &hello).ok();
    assert!(there(".here"));
    allm(&[("ALLM_HOME", "")], &hello).ok();
    assert!(there(".abstractllm"));
    let written = "allow_paths = [\"~/notes.txt\", \"~\"]";
    fs::write(own.join(".here/config.toml"), written).unwrap();
    let args = [
        "--home=~/.here",
        "--db=~/tables",
        "chat",
        "--allow-path=~",
        "-p",
        "offline",
    ];
    allm(
        &[],
        &[&args[..], &["--system", "@~/system.txt", "hello"]].concat(),
    )
    .ok();
    assert!(own.join("tables").is_dir());
    let copy = ["--home=~/.here", "export", "--output=~/copy.jsonl"];
    allm(&[("ALLM_DB", "~/tables")], &copy).ok();
    assert!(
        fs::read_to_string(own.join("copy.jsonl"))
            .unwrap()
            .contains("Be brief.")
    );
    // Empty variables are none: the one of a server does not hide the settings.
    let settings = "provider = \"openai\"\nmodel = \"m\"\nopenai_url = \"http://127.0.0.1:9\"\nretries = 0\nallow_paths = [\"~bob/x\"]\n";
    fs::write(own.join(".here/config.toml"), settings).unwrap();
    let refused = allm(&[("ALLM_HOME", "~/.here")], &hello).fails(1);
    let why = "only a shell knows the home directory that `~bob` means: write it out, or put `./` before it";
    assert!(refused.stderr.contains(why), "{refused:?}");
    fs::write(
        own.join(".here/config.toml"),
        settings.split("allow").next().unwrap(),
    )
    .unwrap();
    let names = [
        "ALLM_DB",
        "ALLM_USER",
        "ALLM_PROVIDER",
        "ALLM_MODEL",
        "OPENAI_BASE_URL",
        "OLLAMA_HOST",
        "OPENAI_API_KEY",
    ];
    let mut empty: Vec<_> = names.into_iter().map(|name| (name, "")).collect();
    empty.push(("ALLM_HOME", "~/.here"));
    let unreachable = allm(&empty, &["chat", "--no-tools", "hello"]).fails(1);
    assert!(
        unreachable.stderr.contains("`http://127.0.0.1:9/v1`"),
        "{unreachable:?}"
    );
    for args in [
        &["--home=~bob", "stats"][..],
        &["import", "jsonl", "~bob/x"],
    ] {
        let refused = allm(&[], args).fails(2);
        assert!(refused.stderr.contains("only a shell knows"), "{refused:?}");
    }
    let refused = allm(&[("ALLM_HOME", "~bob")], &["stats"]).fails(1);
    assert!(refused.stderr.contains("only a shell knows"), "{refused:?}");
    assert_eq!(fs::read_dir(home.folder()).unwrap().count(), 0);
}
