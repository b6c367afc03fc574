//! The archives that chat services send are brought in: the branch that was shown, with what was thought and done.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::import::{import, interactions, parts, path, show};

/// Packs a data export as their senders do.
fn archive(home: &Home, name: &str, content: &str) -> PathBuf {
    let file = home.folder().join(name);
    let mut archive = zip::ZipWriter::new(fs::File::create(&file).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    archive
        .start_file("export/conversations.json", options)
        .unwrap();
    archive.write_all(content.as_bytes()).unwrap();
    archive.finish().unwrap();
    file
}

#[test]
fn what_was_attached_thought_and_done_on_claude_ai_is_kept() {
    let home = Home::new();
    let claude = json!([{"uuid": "u1", "name": "Bread", "created_at": "2025-03-01T10:00:00.000000Z", "chat_messages": [
        {"uuid": "m1", "sender": "human", "text": "How long?", "created_at": "2025-03-01T10:00:00Z", "content": [{"type": "text", "text": "How long?"}],
         "attachments": [{"file_name": "recipe.txt", "extracted_content": "500 g of flour"}], "files": []},
        {"uuid": "m2", "sender": "assistant", "text": "", "created_at": "2025-03-01T10:00:05Z", "content": [
            {"type": "thinking", "thinking": "It depends."},
            {"type": "tool_use", "name": "web_search", "input": {"query": "bread"}},
            {"type": "tool_result", "name": "web_search", "content": [{"type": "text", "text": "40 minutes"}], "is_error": false},
            {"type": "text", "text": "Forty minutes."}]},
    ]}]);
    let file = archive(&home, "claude.zip", &claude.to_string());
    assert_eq!(
        parts(&import(&home, &["claude", path(&file)])),
        [("claude", 1, 1, 0)]
    );
    let turn = interactions(&home).pop().unwrap();
    let turn = show(&home, &turn);
    assert_eq!(
        turn["query"],
        "How long?\n\n[file: recipe.txt]\n500 g of flour"
    );
    assert_eq!(turn["response"], "Forty minutes.");
    assert_eq!(turn["steps"][0]["thought"], "It depends.");
    assert_eq!(turn["steps"][0]["observation"], "40 minutes");
}

/// Returns a node of OpenAI's tree of messages.
fn node(id: &str, parent: &str, role: &str, time: f64, content: Value) -> (String, Value) {
    let message = json!({"id": id, "author": {"role": role}, "create_time": time, "content": content, "recipient": "all", "metadata": {}});
    (
        id.to_owned(),
        json!({"id": id, "parent": parent, "children": [], "message": message}),
    )
}

#[test]
fn data_exports_are_read_out_of_their_archives() {
    let text = |text: &str| json!({"content_type": "text", "parts": [text]});
    let root = (
        "root".to_owned(),
        json!({"id": "root", "parent": null, "message": null, "children": ["a"]}),
    );
    let mut call = node(
        "call",
        "q2",
        "assistant",
        1_700_000_060.5,
        json!({"content_type": "code", "text": "print(6*7)"}),
    );
    call.1["message"]["recipient"] = json!("python");
    let mut output = node(
        "out",
        "call",
        "tool",
        1_700_000_061.0,
        json!({"content_type": "execution_output", "text": "42"}),
    );
    output.1["message"]["author"]["name"] = json!("python");
    let image = json!({"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "And 6 times 7?"]});
    let nodes = [
        root,
        node(
            "q1",
            "root",
            "user",
            1_700_000_000.25,
            text("Hello Lisbon?"),
        ),
        node(
            "a1",
            "q1",
            "assistant",
            1_700_000_001.0,
            text("An answer that was not shown"),
        ),
        node("b1", "q1", "assistant", 1_700_000_002.0, text("Hello!")),
        node("q2", "b1", "user", 1_700_000_060.0, image),
        call,
        output,
        node("a2", "out", "assistant", 1_700_000_062.0, text("It is 42.")),
    ];
    let mapping: serde_json::Map<String, Value> = nodes.into_iter().collect();
    let chatgpt = json!([
        {"id": "c1", "title": "A trip", "create_time": 1_700_000_000.0, "current_node": "a2", "default_model_slug": "gpt-5", "mapping": mapping},
        {"title": "broken"},
    ]);
    let home = Home::new();
    let file = archive(&home, "chatgpt.zip", &chatgpt.to_string());
    let run = home
        .allm()
        .args(["--json", "import", "chatgpt", path(&file)])
        .run()
        .fails(1);
    assert_eq!(parts(&run.json()[0]), [("chatgpt", 3, 2, 1)]);
    let turns = interactions(&home);
    assert_eq!(turns[0]["response"], "Hello!");
    assert_eq!(turns[0]["timestamp"], "2023-11-14T22:13:20.250Z");
    let second = show(&home, &turns[1]);
    assert_eq!(
        (&second["query"], &second["response"]),
        (&json!("[image]\nAnd 6 times 7?"), &json!("It is 42."))
    );
    assert_eq!(second["steps"][0]["action"]["name"], "python");
    assert_eq!(second["steps"][0]["observation"], "42");
    assert_eq!(second["model"], "gpt-5");

    // What breaks off within costs the rest of its file, and what cannot be an export says so.
    let cut = &chatgpt.to_string()[..700];
    let run = home
        .allm()
        .args(["import", "chatgpt", path(&archive(&home, "cut.zip", cut))])
        .run()
        .fails(1);
    assert!(
        run.stderr
            .contains("cannot read export/conversations.json, after conversation 0"),
        "{run:?}"
    );
    let none = home
        .allm()
        .args(["import", "claude", path(home.folder())])
        .run()
        .fails(1);
    assert!(none.stderr.contains("is it a data export?"), "{none:?}");
}
