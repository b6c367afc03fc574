//! The embedding model: parity with sentence-transformers, and where else a model may come from.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use allm::embedder::{Lazy, Source};
use serde_json::Value;

use crate::harness::{Home, project};
use crate::server::{self, Reply, Server};

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn bundled_model_agrees_with_sentence_transformers() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/embeddings.json")).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 30);
    let embedder = Lazy::new(Source::Bundled);
    let embedder = embedder.get().unwrap();
    assert_eq!(
        (embedder.name(), embedder.dimension()),
        ("all-MiniLM-L6-v2", 384)
    );
    let texts: Vec<&str> = cases
        .iter()
        .map(|case| case["text"].as_str().unwrap())
        .collect();
    let vectors = embedder.embed(&texts).unwrap();
    for (case, vector) in cases.iter().zip(&vectors) {
        let expected: Vec<f32> = serde_json::from_value(case["embedding"].clone()).unwrap();
        let cosine = cosine(&expected, vector);
        assert!(cosine >= 0.999, "{cosine} for {}", case["text"]);
        let length = vector.iter().map(|x| x * x).sum::<f32>();
        assert!((length - 1.0).abs() < 1e-5, "length {length}");
    }
    // A second time they come from the cache, and are the same.
    assert_eq!(embedder.embed(&texts).unwrap(), vectors);
}

#[test]
fn passages_are_short_enough_and_lose_no_word() {
    let embedder = Lazy::new(Source::Bundled);
    let embedder = embedder.get().unwrap();
    let text = "The deadlock came from two locks taken in different order. We now sort them first, naïve or not: 東京 🦀.\n".repeat(60);
    let passages = embedder.passages(&text).unwrap();
    assert!(passages.len() >= 5, "{}", passages.len());
    // Each passage begins where the one before ended, or with its last sentence.
    let mut end = 0;
    for passage in &passages {
        let start = passage.as_ptr() as usize - text.as_ptr() as usize;
        assert!(
            start <= end || text[end..start].trim().is_empty(),
            "{start} after {end}"
        );
        end = start + passage.len();
    }
    assert!(text[end..].trim().is_empty());
    assert!(
        passages.iter().all(|passage| passage.ends_with('.')),
        "cut inside a sentence"
    );
}

/// Writes a small model of random weights in the Hugging Face layout: 2 layers, 32 dimensions.
fn tiny_model(folder: &Path) {
    use candle_core::{DType, Device, Tensor};
    use std::collections::HashMap;
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let (hidden, inner, vocabulary) = (32, 64, 30522);
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    let mut put = |name: String, shape: &[usize]| {
        let tensor = match name.contains("LayerNorm.weight") {
            true => Tensor::ones(shape, DType::F32, &Device::Cpu),
            false => Tensor::randn(0f32, 0.2, shape, &Device::Cpu),
        };
        tensors.insert(name, tensor.unwrap());
    };
    for (name, rows) in [("word", vocabulary), ("position", 64), ("token_type", 2)] {
        put(
            format!("embeddings.{name}_embeddings.weight"),
            &[rows, hidden],
        );
    }
    let mut layers = vec![("embeddings.LayerNorm".to_owned(), vec![hidden])];
    for layer in 0..2 {
        let layer = format!("encoder.layer.{layer}");
        for part in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ] {
            layers.push((format!("{layer}.{part}"), vec![hidden, hidden]));
        }
        layers.push((format!("{layer}.attention.output.LayerNorm"), vec![hidden]));
        layers.push((format!("{layer}.intermediate.dense"), vec![inner, hidden]));
        layers.push((format!("{layer}.output.dense"), vec![hidden, inner]));
        layers.push((format!("{layer}.output.LayerNorm"), vec![hidden]));
    }
    for (name, shape) in layers {
        put(format!("{name}.weight"), &shape);
        put(format!("{name}.bias"), &shape[..1]);
    }
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    let assets = project().join("assets/all-MiniLM-L6-v2");
    std::fs::copy(assets.join("tokenizer.json"), folder.join("tokenizer.json")).unwrap();
    let config = std::fs::read_to_string(assets.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    for (key, value) in [
        ("hidden_size", 32),
        ("intermediate_size", 64),
        ("num_hidden_layers", 2),
        ("num_attention_heads", 4),
        ("max_position_embeddings", 64),
    ] {
        config[key] = value.into();
    }
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    std::fs::write(
        folder.join("1_Pooling/config.json"),
        r#"{"pooling_mode_cls_token": true}"#,
    )
    .unwrap();
    std::fs::write(
        folder.join("sentence_bert_config.json"),
        r#"{"max_seq_length": 48}"#,
    )
    .unwrap();
}

#[test]
fn a_folder_and_a_hub_repository_can_be_used_instead() {
    let home = Home::new();
    let folder = home.path().join("tiny");
    tiny_model(&folder);
    let stats = |run: crate::harness::Run| run.ok_json()["embedding"].clone();

    let local = Home::new();
    let embedder = folder.display().to_string();
    local
        .allm()
        .args(["chat", "--embedder", &embedder, "hello there"])
        .run()
        .ok();
    let embedding = stats(
        local
            .allm()
            .args(["stats", "--json", "--embedder", &embedder]),
    );
    let model = embedding["model"].as_str().unwrap();
    assert!(model.starts_with("tiny@"), "{model}");
    assert_eq!(embedding["dimension"], 32);
    let found = local
        .allm()
        .args(["search", "--json", "--embedder", &embedder, "hello there"])
        .ok_json();
    assert_eq!(found["hits"][0]["query"], "hello there");

    let hub = server::hub(folder);
    let remote = Home::new();
    let asked = || {
        remote.allm().env("HF_ENDPOINT", &hub.url).args([
            "stats",
            "--json",
            "--embedder",
            "acme/tiny",
        ])
    };
    assert_eq!(
        stats(asked()),
        serde_json::json!({"model": "acme/tiny", "dimension": 32})
    );
    assert!(
        remote
            .path()
            .join("embeddings/model_cache/models--acme--tiny")
            .is_dir()
    );
    // What is there is not fetched again: the second time the hub may be gone.
    let requests = hub.requests().len();
    assert_eq!(stats(asked())["model"], "acme/tiny");
    assert_eq!(hub.requests().len(), requests);

    let missing = Home::new();
    let output = missing
        .allm()
        .env("HF_ENDPOINT", &hub.url)
        .args(["stats", "--embedder", "acme/absent"])
        .run()
        .fails(1);
    assert!(
        output
            .stderr
            .contains("cannot fetch `config.json` of `acme/absent` from the hub"),
        "{}",
        output.stderr
    );
}

// Finding M26.
#[test]
fn a_model_that_was_fetched_in_part_is_fetched_whole() {
    const NEXT: &str = "89abcdef0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    tiny_model(folder.path());
    let model = folder.path().to_owned();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    // It breaks off before the pooling; when it is back the repository has another revision.
    let hub = Server::start(move |request| {
        let is_broken = is_broken.load(Ordering::SeqCst);
        if is_broken && request.path.contains("1_Pooling") {
            return Reply::text(500, "text/plain", "out of order");
        }
        let mut reply = server::hub_file(&model, request);
        for (name, value) in &mut reply.headers {
            if *name == "x-repo-commit" && !is_broken {
                NEXT.clone_into(value);
            }
        }
        reply
    });
    let home = Home::new();
    let asked = |home: &Home| {
        let args = ["stats", "--embedder", "acme/tiny"];
        home.allm().env("HF_ENDPOINT", &hub.url).args(args).run()
    };
    let failed = asked(&home).fails(1).stderr;
    assert!(
        failed.contains("cannot fetch `1_Pooling/config.json` of `acme/tiny`"),
        "{failed}"
    );
    broken.store(false, Ordering::SeqCst);
    asked(&home).ok();
    let cache = "embeddings/model_cache/models--acme--tiny/snapshots";
    let cache = home.path().join(cache).join(NEXT);
    for file in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
    ] {
        assert!(cache.join(file).exists(), "{file}");
    }

    // What the repository does not have is asked for once.
    std::fs::remove_dir_all(folder.path().join("1_Pooling")).unwrap();
    let home = Home::new();
    asked(&home).ok();
    let requests = hub.requests().len();
    asked(&home).ok();
    assert_eq!(hub.requests().len(), requests);
}

// Finding M26.
#[test]
fn a_folder_is_known_by_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let name = |folder: &Path| {
        let source = Source::parse(folder.to_str().unwrap(), Path::new("unused"));
        source.unwrap().name()
    };
    let (one, other) = (place("one/tiny"), place("other/tiny"));
    tiny_model(&one);
    tiny_model(&other);
    let known = name(&one);
    assert!(known.starts_with("tiny@"), "{known}");
    assert_ne!(known, name(&other));
    std::fs::rename(&other, place("all-MiniLM-L6-v2")).unwrap();
    assert_ne!(name(&place("all-MiniLM-L6-v2")), Source::Bundled.name());
    // It may move, but not change.
    std::fs::create_dir(place("elsewhere")).unwrap();
    let moved = place("elsewhere/tiny");
    std::fs::rename(&one, &moved).unwrap();
    assert_eq!(name(&moved), known);
    std::fs::write(moved.join("1_Pooling/config.json"), "{}").unwrap();
    assert_ne!(name(&moved), known);
}

#[test]
fn a_store_made_with_another_model_is_not_opened() {
    let home = Home::new();
    let folder = home.path().join("tiny");
    tiny_model(&folder);
    home.allm().args(["chat", "hello"]).run().ok();
    let output = home
        .allm()
        .args([
            "search",
            "hello",
            "--embedder",
            &folder.display().to_string(),
        ])
        .run()
        .fails(1);
    assert!(
        output
            .stderr
            .contains("was made with the embedding model `all-MiniLM-L6-v2`, not with `tiny@"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains(
            "\nhint: open it with `--embedder all-MiniLM-L6-v2`, or make its vectors anew"
        ),
        "{}",
        output.stderr
    );
    home.allm().args(["search", "hello"]).run().ok();
}

#[test]
fn another_model_makes_all_vectors_anew() {
    let home = Home::new();
    let folder = home.folder().join("tiny");
    tiny_model(&folder);
    let tiny = folder.display().to_string();
    home.allm()
        .args(["chat", "the tide comes in at noon"])
        .run()
        .ok();
    let meant = |embedder: &str, words: &str| {
        let args = [
            "search",
            "--mode",
            "semantic",
            "--min-score",
            "-1",
            "--json",
        ];
        let found = home.allm().args(args).args(["--embedder", embedder, words]);
        found.ok_json()["count"].as_u64().unwrap()
    };
    let mut shell = home.terminal(&["chat", "-p", "offline"]);
    shell.wait_for("› ");

    // There is nobody to say yes.
    let refused = home.allm().args(["--embedder", &tiny, "reindex"]).run();
    assert!(refused.fails(1).stderr.contains("--yes"));
    assert_eq!(meant("", "noon"), 1);
    let anew = home.allm().args(["--embedder", &tiny, "reindex", "--yes"]);
    let anew = anew.run().ok().stderr;
    assert!(anew.contains("are of `all-MiniLM-L6-v2`; they are dropped and made anew with `tiny@"));
    assert_eq!(meant(&tiny, "noon"), 1);
    let other = home.allm().args(["search", "noon"]).run().fails(1).stderr;
    assert!(
        other.contains("with `allm --embedder all-MiniLM-L6-v2 reindex`"),
        "{other}"
    );

    // A shell that was open all the while writes no vectors of the wrong kind, and loses nothing.
    shell.type_keys("the ferry leaves at dusk\r");
    shell.wait_for("› ");
    shell.type_keys("/quit\r");
    shell.exit_status();
    let told = "the vectors of this store are made with `tiny@";
    let screen = shell.screen().replace("\r\n", " ");
    assert!(screen.contains(told), "{screen}");
    assert_eq!(meant(&tiny, "ferry"), 2);

    home.allm().args(["reindex", "--yes"]).run().ok();
    assert_eq!(meant("", "ferry"), 2);
    let columns = "SELECT count(*) FROM passages";
    let all = home.allm().args(["--json", "sql", columns]).ok_json();
    assert_eq!(all["rows"][0][0], 2, "{all}");
    home.allm().args(["doctor"]).run().ok();
}

#[test]
fn plain_cargo_finds_a_protoc_without_one_on_the_path() {
    // The wrapper is what LanceDB's build scripts call. An empty PATH but for a shell's own tools hides a protoc of the system.
    let wrapper = project().join(".cargo/protoc");
    let tools = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/uname", tools.path().join("uname")).unwrap();
    let mut command = Command::new("/bin/sh");
    let output = command
        .arg(wrapper)
        .arg("--version")
        .env("PATH", tools.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.starts_with("libprotoc"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
