//! The archives that chat services send are brought in: the branch that was shown, with what was thought and done.

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::counting::holds;
use crate::harness::Home;
use crate::import::{fixtures, import, interactions, parts, path, show};

/// Packs files as the senders of data exports do.
fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(*name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Packs a data export in a file.
fn archive(home: &Home, name: &str, content: &str) -> PathBuf {
    let file = home.folder().join(name);
    let packed = pack(&[("export/conversations.json", content.as_bytes())]);
    fs::write(&file, packed).unwrap();
    file
}

/// Returns what is stored of each conversation: its title, and of its turns question, answer and status.
fn told(home: &Home) -> Vec<[String; 4]> {
    let query = "SELECT s.title, i.query, i.response, i.status FROM interactions i \
        JOIN sessions s ON s.session_id = i.session_id ORDER BY i.timestamp";
    let rows = home.allm().args(["sql", "--json", query]).ok_json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = rows["rows"].as_array().unwrap().iter();
    rows.map(|row| [0, 1, 2, 3].map(|at| text(&row[at])))
        .collect()
}

#[test]
fn conversations_of_chatgpt_are_kept_as_they_were_shown() {
    let home = Home::new();
    let export = fixtures().join("chatgpt/conversations.json");
    let report = import(&home, &["chatgpt", path(&export)]);
    let all = fs::read_to_string(&export).unwrap();
    holds(&report, |_| all.matches(r#""role":"user""#).count() as u64);
    assert_eq!(
        report["parts"][0]["left_out"],
        json!({"custom instructions": 1, "hidden in the conversation": 1, "on a branch that was not shown": 1})
    );
    let cited = "([example.org](https://example.org/iron))";
    let smiths = r"([Smiths \[new\] of iron](https://news.example/smiths?a=%281%29))";
    let marks = format!(
        "The review by Ada Example says iron came late. {cited}  \nIt spread slowly. {smiths} Smiths kept it secret. Unknown. {smiths} \
         Icon \u{e2e2} stays, [the museum](https://museum.example/iron) too. From (notes.pdf), again {cited} and cut"
    );
    let expected = [
        ["Marks", "When was iron smelted?", &marks, "completed"],
        [
            "Older marks",
            "And the tides?",
            "Tides run high ([Tides](https://tides.example/)), see (notes.pdf) and. 【重要】stays.",
            "completed",
        ],
        [
            "Research",
            "Research the tides of the estuary.",
            "# Tides\n\nThe spring tide reaches the old sluice. ([Sluice](https://sluice.example/))",
            "completed",
        ],
        [
            "Older research",
            "Research the moor.",
            "# The moor\n\nIt is wet.",
            "completed",
        ],
        [
            "Picture",
            "[image]\nDraw a fox like this.\n[file: fox.png]",
            "[image]",
            "completed",
        ],
        [
            "Canvas",
            "Write a poem beside the chat.",
            "Roses are red.",
            "completed",
        ],
        [
            "Custom instructions",
            "Who am I?",
            "A smith.\n\nAnd brief.",
            "completed",
        ],
        [
            "Voice",
            "How tall is the tower?",
            "Ninety metres.",
            "completed",
        ],
        ["Voice", "[audio]", "I did not hear that.", "completed"],
        [
            "Tools",
            "Plot it and look it up.\n[file: data.csv]",
            "Here is the plot ([Plots](https://plots.example/)).",
            "completed",
        ],
        [
            "Branches",
            "Plan a weekend in Porto.",
            "Two days.",
            "completed",
        ],
        ["Branches", "And by train?", "Two hours.", "completed"],
        [
            "Bare nodes",
            "Is it found without ids?",
            "It is.",
            "completed",
        ],
        ["Nameless", "One?", "One.", "completed"],
        ["Nameless", "Two?", "Two.", "completed"],
        ["cg-zebra", "Same id, cg-zebra?", "Yes.", "completed"],
        ["cg-alpha", "Same id, cg-alpha?", "Yes.", "completed"],
    ];
    assert_eq!(told(&home), expected);
    works_as_shown(&home);
}

/// Checks what stands beside the questions and answers of the conversations of ChatGPT.
#[track_caller]
fn works_as_shown(home: &Home) {
    let turns = interactions(home);
    let steps = |at: usize| show(home, &turns[at])["steps"].clone();
    assert_eq!(
        show(home, &turns[0])["metadata"]["sources"],
        json!([{"title": "Slag", "url": "https://slag.example/"}])
    );
    assert_eq!(
        steps(5)[1]["action"]["arguments"]["updates"][0]["replacement"],
        "blue"
    );
    let tools = steps(9);
    let observed = |at: usize| (&tools[at]["observation"], &tools[at]["success"]);
    assert_eq!(
        tools[0]["thought"],
        "Plan: First the plot.\n\nThought for 4s"
    );
    assert_eq!(observed(0), (&json!("done\n[image]"), &json!(true)));
    assert_eq!(
        observed(2),
        (
            &json!("Plots https://plots.example/\nA plot is drawn."),
            &json!(true)
        )
    );
    assert_eq!(observed(3), (&json!("Error: robots.txt"), &json!(false)));
    let custom = "SELECT metadata FROM sessions WHERE title = 'Custom instructions'";
    let custom = home.allm().args(["sql", "--json", custom]).ok_json();
    let custom = custom["rows"][0][0].as_str().unwrap();
    assert!(custom.contains("I am a smith."), "{custom}");
}

#[test]
fn conversations_of_claude_ai_are_kept_as_they_were_shown() {
    let home = Home::new();
    let export = fixtures().join("claude/conversations.json");
    let report = import(&home, &["claude", path(&export)]);
    let all = fs::read_to_string(&export).unwrap();
    holds(&report, |_| {
        all.matches(r#""sender":"human""#).count() as u64
    });
    assert_eq!(
        report["parts"][0]["left_out"],
        json!({"on a branch that was not shown": 1})
    );
    let expected = [
        ["Edited question", "Plan a weekend in Porto.", "Two days."],
        ["Edited question", "And by train?", "Two hours."],
        ["Shown leaf", "Name a bird.", "The wren."],
        ["Without parents", "One?", "One."],
        ["Without parents", "Two?", "Two."],
        ["Null parents", "Null one?", "Null one."],
        ["Null parents", "Null two?", "Null two."],
        ["Parents from some point on", "Early one?", "Early one."],
        ["Parents from some point on", "Early two?", "Early two."],
        ["A message is missing", "Before the gap?", "Before."],
        ["A message is missing", "After the gap?", "After."],
        ["Damaged", "Round?", "And round."],
        [
            "Content",
            "Write it down.\n\n[file: recipe.txt]\n500 g of flour\n\n[file: bread.png]",
            "Bake it long ([Baking (all)](https://bread.example/a%28b%29)). Then rest.",
        ],
        ["Content", "As a page.", "# Bread\n\nBake."],
    ];
    let expected = expected.map(|[title, query, response]| [title, query, response, "completed"]);
    assert_eq!(told(&home), expected);

    let turns = interactions(&home);
    assert_eq!(show(&home, &turns[2])["model"], "claude-opus-4");
    let steps = &show(&home, &turns[12])["steps"];
    assert_eq!(steps[0]["thought"], "Thinking of bread.");
    let observed = |at: usize| (&steps[at]["observation"], &steps[at]["success"]);
    assert_eq!(observed(0), (&json!("40 minutes"), &json!(true)));
    assert_eq!(observed(1), (&json!("boom"), &json!(false)));
}

/// Returns a conversation of claude.ai with one turn.
fn conversation(id: &str, message: &str, question: &str, updated: &str) -> Value {
    json!({"uuid": id, "name": id, "created_at": "2025-03-01T10:00:00Z", "updated_at": updated, "chat_messages": [
        {"uuid": message, "sender": "human", "text": question, "created_at": "2025-03-01T10:00:00Z"},
        {"uuid": format!("{message}-answer"), "sender": "assistant", "text": format!("Answer to {question}"), "created_at": "2025-03-01T10:00:05Z"},
    ]})
}

#[test]
fn exports_are_found_however_they_are_split_packed_and_wrapped() {
    let home = Home::new();
    let folder = home.folder().join("exports");
    fs::create_dir_all(folder.join("deep/conversations")).unwrap();
    let one = |name: &str| conversation(name, name, name, "2025-03-02T00:00:00Z");
    let list = |names: [&str; 2]| json!(names.map(one)).to_string();
    let lines = |names: [&str; 2]| names.map(|name| one(name).to_string()).join("\n");
    let inner = pack(&[("a/conversations-001.json", list(["i1", "i2"]).as_bytes())]);
    let outer = pack(&[
        ("data/conversations-000.json", list(["o1", "o2"]).as_bytes()),
        ("data/user.json", b"{\"id\": 1}"),
        ("data/inner.zip", &inner),
        ("data/broken.zip", b"PK\x03\x04 no archive"),
    ]);
    let wrapped = json!({"version": 2, "conversations": [one("w1")], "count": 1});
    let nested =
        json!({"data": {"chats": [{"conversation": one("n1")}], "by_id": {"x": one("n2")}}});
    let files = [
        ("outer.ZIP", outer),
        ("conversations.json", wrapped.to_string().into()),
        ("conversations (1).json", nested.to_string().into()),
        ("conversations.jsonl", lines(["l1", "l2"]).into()),
        ("deep/conversations/one.json", one("d1").to_string().into()),
        ("other.json", b"{\"not\": [\"ours\"]}".to_vec()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    let run = home
        .allm()
        .args(["--json", "import", "--no-embed", "claude", path(&folder)]);
    let report = run.run().fails(1).json().remove(0);
    assert_eq!(parts(&report), [("claude", 11, 10, 1)]);
    let broken = report["parts"][0]["named"].to_string();
    assert!(broken.contains("outer.ZIP/data/broken.zip"), "{broken}");
    let mut titles: Vec<String> = told(&home).into_iter().map(|[title, ..]| title).collect();
    titles.sort();
    assert_eq!(
        titles,
        ["d1", "i1", "i2", "l1", "l2", "n1", "n2", "o1", "o2", "w1"]
    );

    // A file with another name is one where none is named so, and no other program's export is.
    let home = Home::new();
    let named = home.folder().join("talk.json");
    fs::write(&named, one("t1").to_string()).unwrap();
    let report = import(&home, &["claude", path(home.folder())]);
    assert_eq!(parts(&report), [("claude", 1, 1, 0)]);
    let run = home.allm().args(["import", "chatgpt", path(&named)]);
    let run = run.run().fails(1);
    assert!(run.stderr.contains("is it a data export?"), "{run:?}");
}

#[test]
fn messages_with_one_id_in_several_conversations_are_several_turns_however_often_they_come() {
    let home = Home::new();
    let write = |name: &str, conversations: Value| {
        let file = home.folder().join(name);
        fs::write(&file, conversations.to_string()).unwrap();
        path(&file).to_owned()
    };
    let (early, late) = ("2025-03-02T00:00:00Z", "2025-04-01T00:00:00Z");
    let b = || conversation("b", "m", "of b", early);
    let a = || conversation("a", "m", "of a", early);
    let mut grown = conversation("b", "m", "of b", late);
    grown["chat_messages"][1]["text"] = json!("Answer to of b, and more");
    let exports = [
        // It was alone at first, so the message is known by its id alone.
        (json!([b()]), (1, 0, 0)),
        (json!([a(), b()]), (1, 0, 1)),
        (json!([b(), a()]), (0, 0, 2)),
        // Of a conversation that comes twice the newer copy counts.
        (json!([b(), a(), grown]), (0, 1, 1)),
        (json!([a()]), (0, 0, 1)),
    ];
    for (number, (export, expected)) in exports.into_iter().enumerate() {
        let file = write(&format!("{number}.json"), export);
        let report = import(&home, &["claude", &file]);
        let count = |name: &str| report["parts"][0][name].as_u64().unwrap();
        let counts = (count("imported"), count("updated"), count("known"));
        assert_eq!(counts, expected, "{number}: {report:#}");
    }
    let mut answers: Vec<_> = told(&home)
        .into_iter()
        .map(|[.., answer, _]| answer)
        .collect();
    answers.sort();
    assert_eq!(answers, ["Answer to of a", "Answer to of b, and more"]);

    // What was forgotten stays so, also where a copy of it is elsewhere.
    let turns = interactions(&home);
    let of_b = turns.iter().find(|turn| turn["query"] == "of b").unwrap();
    let id = of_b["interaction_id"].as_str().unwrap();
    home.allm().args(["forget", id, "--yes"]).run().ok();
    let report = import(&home, &["claude", &write("again.json", json!([b(), a()]))]);
    assert_eq!(report["parts"][0]["imported"], 0, "{report:#}");
    assert_eq!(interactions(&home).len(), 1);
}

#[test]
fn what_is_broken_in_an_export_is_named() {
    let home = Home::new();
    let whole = fs::read_to_string(fixtures().join("chatgpt/conversations.json")).unwrap();
    let first = whole.lines().nth(1).unwrap().trim_end_matches(',');
    let broken = format!(r#"[{first}, {{"title": "broken"}}]"#);
    let how = ["--json", "import", "--no-embed", "chatgpt"];
    let run = |name: &str, content: &str| {
        let file = archive(&home, name, content);
        let run = home.allm().args(how).args([path(&file)]).run().fails(1);
        run.json().remove(0)
    };
    assert_eq!(parts(&run("broken.zip", &broken)), [("chatgpt", 2, 1, 1)]);
    // What breaks off within costs the rest of its file, and what cannot be an export says so.
    let cut = run("cut.zip", &broken[..700]);
    let place = &cut["parts"][0]["named"][0][0];
    assert_eq!(place, "export/conversations.json, after conversation 0");
    let args = ["import", "claude", path(home.folder())];
    let none = home.allm().args(args).run().fails(1);
    assert!(none.stderr.contains("is it a data export?"), "{none:?}");
}
