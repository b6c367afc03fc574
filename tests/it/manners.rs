//! How the program meets a person: bare words, help, settings, the pager.

use serde_json::json;

use crate::harness::Home;
use crate::server::{self, Reply, Server};

#[test]
fn a_word_in_the_wrong_place_is_told_where_it_belongs() {
    let home = Home::new();
    for (args, status, said) in [
        (&[][..], 2, "Usage: allm [OPTIONS] [COMMAND]"),
        (&["help"], 0, "Global options:"),
        (&["help", "search"], 0, "Usage: allm search"),
        (&["tf", "--help"], 0, "Usage: allm timeframe"),
        (
            &["help", "import", "chatgpt"],
            0,
            "Usage: allm import chatgpt",
        ),
        (&["help", "resume"], 0, "Usage: /resume "),
        (&["tools", "--help"], 0, "Usage: /tools"),
        (
            &["resume", "1a2b"],
            2,
            "hint: `allm chat --session ID` goes on",
        ),
        (&["model"], 2, "hint: `allm models` lists"),
        (&["history"], 2, "`/history` works in a chat"),
        (&["tools"], 2, "`allm chat --tools` with it set"),
        (&["temperature", "1"], 2, "`allm chat --temperature`"),
        (&["quit"], 2, "there is none to leave"),
        (&["-t", "1"], 2, "hint: `allm chat -t` takes it"),
        (
            &["why is the sky blue"],
            2,
            "hint: `allm chat` and the words say them",
        ),
        (
            &["why", "is", "it"],
            2,
            "hint: `allm chat` and the words say them",
        ),
        (&["sesions"], 2, "did you mean `sessions`?"),
        (&["import"], 2, "Usage: allm import [OPTIONS] <SOURCE>"),
        (
            &["import", "foo"],
            2,
            "these can: abstractllm, llm, chatgpt",
        ),
        (&["import", "chatgtp"], 2, "did you mean `chatgpt`?"),
        (
            &["import", "help"],
            0,
            "Usage: allm import [OPTIONS] <SOURCE>",
        ),
        (
            &["config", "help"],
            0,
            "Usage: allm config [OPTIONS] [COMMAND]",
        ),
        (&["config", "gt"], 2, "did you mean `get`?"),
        (&["users", "ad"], 2, "there is no command `users ad`"),
        (&["users", "help"], 0, "Usage: allm users"),
        (&["help", "nosuch"], 2, "there is no command `nosuch`"),
        (&["man", "serch"], 1, "did you mean `search`?"),
        (&["models", "-p", "olama"], 1, "did you mean `ollama`?"),
        (&["chat", "-t", "5", "hi"], 2, "give a number from 0 to 2"),
        (
            &["search", "x", "--min-score", "7"],
            2,
            "give a number from -1 to 1",
        ),
    ] {
        let output = home.allm().args(args.iter().copied()).run().fails(status);
        let shown = format!("{}{}", output.stdout, output.stderr);
        assert!(shown.contains(said), "{args:?}: {shown}");
        assert!(
            !shown.contains("error: Usage") && !shown.contains("error: Go on"),
            "{shown}"
        );
    }
    // Of the places where nothing was to be done, none was made.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn in_a_chat_each_command_explains_itself_and_takes_no_help_for_text() {
    let home = Home::new();
    let script = "/system --help\n/system -h\n/sql --help\n/quit --help\n/new -h\n/users add --help\n/search what --help\n/system be kind\n/system default\n/title\n/title --help\n/import foo\n";
    let run = home
        .allm()
        .args(["chat", "-p", "offline", "-s", "be brief"]);
    let output = run.stdin(script).run().fails(1);
    for usage in [
        "/system [TEXT]...",
        "/sql [OPTIONS]",
        "/quit",
        "/new",
        "/users add <NAME>",
        "/search [OPTIONS] <WORDS>...",
    ] {
        assert!(
            output.stdout.contains(&format!("Usage: {usage}")),
            "{}",
            output.stdout
        );
    }
    assert!(
        output
            .stderr
            .contains("system: be kind\nsystem: be brief\n"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("`import` works outside of a chat"));
    assert!(!output.stderr.contains("did you mean"), "{}", output.stderr);
    let unknown = output.stderr.matches("there is no command `/title`");
    assert_eq!(unknown.count(), 2, "{}", output.stderr);
}

#[test]
fn a_chat_begins_by_itself_and_words_of_other_shells_are_not_said_to_the_model() {
    let server = server::ollama(|question| format!("<{question}>"));
    let home = Home::new();
    let at = [("OLLAMA_HOST", server.url.as_str())];
    let mut terminal = home.terminal_with(&[], &at);
    terminal.wait_for("› ");
    for (typed, said) in [
        ("exit", "`/quit` is the command"),
        ("?", "`/help` is the command"),
    ] {
        terminal.type_keys(&format!("{typed}\r"));
        terminal.wait_for(said);
    }
    terminal.type_keys("\"\"\"exit\"\"\"\r");
    terminal.wait_for("<exit>");
    // What is typed before the prompt is back waits there.
    terminal.wait_for("› ");
    terminal.type_keys("/quit\r");
    assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
    // Through a pipe it is a line like any other.
    let run = home.allm().args(["chat", "--base-url", &server.url]);
    assert_eq!(run.stdin("help\n").run().ok().stdout, "<help>\n");
}

#[test]
fn long_output_on_a_terminal_goes_through_the_pager() {
    let home = Home::new();
    let terminal = |args: &[&str], pager: &str| {
        let mut terminal = home.terminal_with(args, &[("PAGER", pager)]);
        assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
        terminal.screen()
    };
    let screen = terminal(&["search", "--help"], "sed 's/^/P:/'");
    assert!(screen.contains("P:Find what was said"), "{screen}");
    // What fits is shown as it is, and so is what there is no pager for.
    let screen = terminal(&["--version"], "sed 's/^/P:/'");
    assert!(!screen.contains("P:"), "{screen}");
    for none in ["cat", "", "no-such-pager-at-all"] {
        let screen = terminal(&["search", "--help"], none);
        assert!(screen.contains("--min-score"), "{none}: {screen}");
    }
    // Who has seen enough leaves early, and Ctrl-C is for the pager.
    let screen = terminal(&["search", "--help"], "head -1");
    assert!(
        screen.contains("Find what") && !screen.contains("--min-score"),
        "{screen}"
    );
    let waits = "trap 'echo heard; exit' INT; echo reading; while :; do sleep 0.1; done";
    let mut terminal = home.terminal_with(&["chat", "-p", "offline"], &[("PAGER", waits)]);
    terminal.wait_for("extractive");
    terminal.type_keys("/search --help\r");
    terminal.wait_for("reading");
    terminal.type_keys("\u{3}");
    terminal.wait_for("heard");
    terminal.wait_for("extractive");
    terminal.type_keys("/quit\r");
    assert_eq!(terminal.exit_status(), 0, "{}", terminal.screen());
}

#[test]
fn a_model_that_the_server_does_not_list_is_told_before_the_first_question() {
    let server = server::ollama(|question| format!("<{question}>"));
    let home = Home::new();
    let said = |model: &str| {
        let args = ["chat", "--base-url", &server.url, "-m", model, "hi"];
        home.allm().args(args).run().stderr
    };
    let told = "warning: the server lists no `nosuch`; it has llama3.2:latest";
    assert!(said("nosuch").starts_with(told), "{}", said("nosuch"));
    assert_eq!(said("llama3.2"), "");
    let models = home
        .allm()
        .args(["models", "--base-url", &server.url])
        .run()
        .ok();
    assert_eq!(models.stdout, "llama3.2:latest\n");
    // A server that lists nothing takes what it is given.
    let silent = Server::start(|request| match request.path.as_str() {
        "/v1/models" => Reply::text(404, "text/plain", "no"),
        _ => Reply::json(200, &json!({"choices": [{"message": {"content": "yes"}}]})),
    });
    let args = [
        "chat",
        "-p",
        "openai",
        "--base-url",
        &silent.url,
        "-m",
        "m",
        "hi",
    ];
    let output = home.allm().args(args).run();
    assert!(!output.stderr.contains("lists no"), "{}", output.stderr);
}

#[test]
fn another_server_answers_from_now_on() {
    let server = server::ollama(|question| format!("<{question}>"));
    let home = Home::new();
    let script = format!(
        "one\n/provider ollama {}\n/config\ntwo\n/provider olama\n",
        server.url
    );
    let run = home.allm().args(["chat", "-p", "offline", "--json"]);
    let lines = run.stdin(&script).run().fails(1).json();
    assert_eq!(lines[1]["value"], "ollama");
    let config = lines[2]["settings"].as_array().unwrap();
    assert!(
        config.contains(&json!({"name": "model", "value": "llama3.2:latest"})),
        "{config:?}"
    );
    assert_eq!(
        (&lines[3]["response"], &lines[3]["provider"]),
        (&json!("<two>"), &json!("ollama"))
    );
    assert!(
        lines[4]["error"]
            .as_str()
            .unwrap()
            .contains("no provider `olama`")
    );
    // The history can be searched conversation by conversation.
    let session = lines[0]["session_id"].as_str().unwrap();
    home.allm()
        .args(["chat", "-p", "offline", "one more"])
        .run()
        .ok();
    let found = |args: &[&str]| {
        let found = home
            .allm()
            .args(["search", "--json", "one"])
            .args(args.iter().copied());
        found.ok_json()["hits"].as_array().unwrap().len()
    };
    assert!(found(&["--session", &session[..8]]) < found(&[]));
}

#[test]
fn it_says_more_or_less_as_asked() {
    let server = server::ollama(|question| format!("<{question}>"));
    let home = Home::new();
    let said = |flag: &str| {
        let args = [flag, "chat", "--base-url", &server.url, "hi"];
        home.allm().args(args).run().ok().stderr
    };
    let verbose = said("-v");
    assert!(
        verbose.contains("answers, with `llama3.2:latest`"),
        "{verbose}"
    );
    let mut terminal = home.terminal(&["-q", "chat", "--no-stream", "--base-url", &server.url]);
    terminal.wait_for("llama3.2");
    terminal.type_keys("hello\r");
    terminal.wait_for("<hello>");
    terminal.wait_for("llama3.2");
    terminal.type_keys("/temperature 1\r");
    terminal.wait_for("temperature: 1");
    terminal.type_keys("/quit\r");
    assert_eq!(terminal.exit_status(), 0);
    let screen = terminal.screen();
    assert!(
        !screen.contains("lists the commands") && !screen.contains("11 in"),
        "{screen}"
    );
}

#[test]
fn shells_and_man_are_told_of_the_commands() {
    let home = Home::new();
    let script = "$ALLM completions bash > c && bash -n c && . ./c && COMP_WORDS=(allm sea) COMP_CWORD=1 && _allm allm sea allm && echo ${COMPREPLY[@]}";
    let completed = home.shell(&format!("bash -c '{script}'")).run().ok();
    assert_eq!(completed.stdout, "search\n");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = home.allm().args(["completions", shell]).run().ok().stdout;
        assert!(
            script.contains("timeframe") && !script.contains("/tf"),
            "{shell}"
        );
    }
    let page = home.allm().args(["man", "import"]).run().ok().stdout;
    assert!(
        page.contains(".TH allm-import 1") && page.contains("chatgpt"),
        "{page}"
    );
    home.allm().args(["man", "-o", "man1"]).run().ok();
    let pages = home.folder().join("man1");
    for page in ["allm.1", "allm-search.1", "allm-import.1"] {
        assert!(pages.join(page).exists(), "{page}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}
