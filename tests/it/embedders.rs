//! Embedding models of other kinds: their formulas, their prefixes, and what of their files is not understood.

use std::fs;
use std::path::{Path, PathBuf};

use allm::embedder::{Lazy, Source};
use serde_json::{Value, json};

use crate::harness::{Home, project};
use crate::server;

/// The models that `make.py` has made, and what `allm doctor` says of each.
const MODELS: [(&str, &str); 4] = [
    (
        "dense",
        "BERT, cls of at most 16 tokens, 10 dimensions, \"find: \" before queries, \
            dense layer `2_Dense/` (tanh), normalized, dense layer `4_Dense/` (identity)",
    ),
    (
        "tiny-e5",
        "BERT, mean of at most 32 tokens, 8 dimensions, \"query: \" before queries, \"passage: \" before passages",
    ),
    (
        "xlm-roberta",
        "RoBERTa, max of at most 38 tokens, 8 dimensions, \"query: \" before queries, \"passage: \" before passages, max pooling",
    ),
    (
        "modernbert",
        "ModernBERT, cls of at most 100 tokens, 8 dimensions",
    ),
];

fn fixture(name: &str) -> PathBuf {
    let fixtures = project().join("tests/fixtures/embedders");
    fixtures.join(name)
}

/// Copies a model to where a test may change it.
fn copied(name: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copied(&format!("{name}/{}", entry.file_name().display()), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Opens the model in a folder.
fn opened(folder: &Path) -> anyhow::Result<Lazy> {
    let source = Source::parse(folder.to_str().unwrap(), Path::new("unused"))?;
    let embedder = Lazy::new(source);
    embedder.get()?;
    Ok(embedder)
}

#[test]
fn every_kind_of_model_follows_its_formulas() {
    for (name, description) in MODELS {
        let embedder = opened(&fixture(name)).unwrap();
        let embedder = embedder.get().unwrap();
        assert_eq!(embedder.description(), description);
        let expected = fs::read(fixture(name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        for side in ["passages", "queries"] {
            let cases = expected[side].as_array().unwrap();
            let texts: Vec<&str> = cases
                .iter()
                .map(|case| case["text"].as_str().unwrap())
                .collect();
            let vectors = match side {
                "passages" => embedder.embed(&texts),
                _ => embedder.embed_queries(&texts),
            };
            for (case, vector) in cases.iter().zip(vectors.unwrap()) {
                let wanted: Vec<f32> = serde_json::from_value(case["vector"].clone()).unwrap();
                assert_eq!(vector.len(), embedder.dimension());
                assert_eq!(vector.len(), wanted.len());
                let pairs = vector.iter().zip(&wanted);
                let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-5, "{name}, {side}: {worst} for {}", case["text"]);
            }
        }
    }
}

#[test]
fn a_passage_leaves_room_for_the_prefix() {
    let text = "the tide comes in at noon when a ferry leaves the harbour ".repeat(8);
    for (name, _) in MODELS {
        let embedder = opened(&fixture(name)).unwrap();
        let embedder = embedder.get().unwrap();
        let passages = embedder.passages(&text).unwrap();
        assert!(passages.len() > 2, "{name}");
        let words: usize = passages
            .iter()
            .map(|passage| passage.split(' ').count())
            .sum();
        assert!(words >= text.split_whitespace().count(), "{name}");
        // What stands at the end counts, so it is not cut off.
        for passage in passages {
            let (rest, last) = passage.rsplit_once(' ').unwrap();
            let other = format!("{rest} {}", if last == "two" { "of" } else { "two" });
            for embed in [
                embedder.embed(&[passage, &other]),
                embedder.embed_queries(&[passage, &other]),
            ] {
                let vectors = embed.unwrap();
                assert_ne!(vectors[0], vectors[1], "{name}: {passage}");
            }
        }
    }
    // Letters of several bytes, of which each is a token.
    let embedder = opened(&fixture("modernbert")).unwrap();
    let text = "東京🦀é ".repeat(60);
    let passages = embedder.get().unwrap().passages(&text).unwrap();
    assert_eq!(passages.concat().replace(' ', ""), text.replace(' ', ""));
}

#[test]
fn what_a_model_needs_and_is_not_known_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let check = |model: &str, file: &str, content: Value, expected: &str| {
        let folder = home.path().join(expected.replace(['/', '`', ' '], "_"));
        copied(model, &folder);
        fs::write(folder.join(file), content.to_string()).unwrap();
        let error = opened(&folder).err().expect(expected);
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
    };
    check(
        "dense",
        "1_Pooling/config.json",
        json!({"pooling_mode_weightedmean_tokens": true}),
        "the model pools by `weightedmean`",
    );
    check(
        "dense",
        "1_Pooling/config.json",
        json!({"pooling_mode_cls_token": true, "include_prompt": false}),
        "leaves its prompts out of the pooling",
    );
    check(
        "dense",
        "2_Dense/config.json",
        json!({"activation_function": "torch.nn.modules.activation.Mish"}),
        "a dense layer with `torch.nn.modules.activation.Mish`",
    );
    let modules = |third: &str, path: &str| {
        let module = |kind: &str, path: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
        json!([
            module("Transformer", ""),
            module("Pooling", "1_Pooling"),
            module(third, path)
        ])
    };
    check(
        "dense",
        "modules.json",
        modules("LayerNorm", "2_Dense"),
        "a `sentence_transformers.models.LayerNorm` as its part 3",
    );
    check(
        "dense",
        "modules.json",
        modules("Dense", "../2_Dense"),
        "outside its folder: `../2_Dense`",
    );
    check(
        "dense",
        "config_sentence_transformers.json",
        json!({"prompts": {"query": "a tide ".repeat(9)}}),
        "its prefixes leave no room",
    );
    let config = |model: &str, key: &str, value: Value| {
        let config = fs::read(fixture(model).join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        config[key] = value;
        config
    };
    for (model, key, value, expected) in [
        ("dense", "model_type", json!("mpnet"), "of type `mpnet`"),
        (
            "xlm-roberta",
            "position_embedding_type",
            json!("relative_key"),
            "positions of type `relative_key`",
        ),
        (
            "modernbert",
            "mlp_bias",
            json!(true),
            "the model has `mlp_bias`",
        ),
        (
            "modernbert",
            "rope_scaling",
            json!({"type": "yarn"}),
            "rotary positions of type `yarn`",
        ),
    ] {
        check(model, "config.json", config(model, key, value), expected);
    }
}

#[test]
fn newer_words_for_a_configuration_mean_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("modernbert");
    copied("modernbert", &folder);
    let config = fs::read(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    let old = config.as_object_mut().unwrap();
    let every = old.remove("global_attn_every_n_layers").unwrap().as_u64();
    let layers = (0..5).map(|index| match index % every.unwrap() {
        0 => "full_attention",
        _ => "sliding_attention",
    });
    old.insert("layer_types".to_owned(), layers.collect());
    let mut rope = |key: &str| json!({"rope_type": "default", "rope_theta": old.remove(key)});
    let parameters = json!({"full_attention": rope("global_rope_theta"), "sliding_attention": rope("local_rope_theta")});
    config["rope_parameters"] = parameters;
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let text = ["when does the ferry leave the harbour"];
    let embed = |folder: &Path| opened(folder).unwrap().get().unwrap().embed(&text).unwrap();
    assert_eq!(embed(&folder), embed(&fixture("modernbert")));
}

#[test]
fn a_folder_is_known_by_its_prefixes_and_layers_too() {
    let home = tempfile::tempdir().unwrap();
    let named = |folder: &Path| opened(folder).unwrap().name();
    let mark = |name: &str| name.rsplit_once('@').unwrap().1.to_owned();
    let (e5, plain) = (home.path().join("tiny-e5"), home.path().join("tiny"));
    copied("tiny-e5", &e5);
    copied("tiny-e5", &plain);
    assert_eq!(named(&e5), named(&fixture("tiny-e5")));
    assert_ne!(mark(&named(&e5)), mark(&named(&plain)));
    // The same prefixes from a file are the same way to make vectors.
    let prompts = json!({"prompts": {"query": "query: ", "document": "passage: "}});
    fs::write(
        plain.join("config_sentence_transformers.json"),
        prompts.to_string(),
    )
    .unwrap();
    assert_eq!(mark(&named(&e5)), mark(&named(&plain)));

    let dense = home.path().join("dense");
    copied("dense", &dense);
    let known = named(&dense);
    let weights = dense.join("4_Dense/model.safetensors");
    let mut changed = fs::read(&weights).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&weights, changed).unwrap();
    assert_ne!(named(&dense), known);
}

#[test]
fn models_of_several_files_come_from_the_hub_and_their_prefixes_reach_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let hub = server::hub(model.clone());
    let swap = |name: &str| {
        drop(fs::remove_dir_all(&model));
        copied(name, &model);
    };
    let asked = |home: &Home, args: &[&str]| {
        let run = home.allm().env("HF_ENDPOINT", &hub.url);
        run.args(["--embedder", "acme/tiny"])
            .args(args.iter().copied())
    };
    // With shards, with dense layers, with a prefix each.
    for (name, description) in MODELS {
        if name == "tiny-e5" {
            continue;
        }
        swap(name);
        let home = Home::new();
        // What only looks fetches nothing.
        let fetched = hub.requests().len();
        asked(&home, &["models", "-p", "offline"]).run().ok();
        let missing = asked(&home, &["doctor"]).run().fails(1).stdout;
        assert!(missing.contains("has not been fetched"), "{missing}");
        assert_eq!(hub.requests().len(), fetched, "{name}");
        asked(&home, &["search", "the tide"]).run().ok();
        let found = asked(&home, &["doctor", "--json"]).ok_json();
        let found = found.to_string();
        let description = json!(description).to_string();
        assert!(
            found.contains(description.trim_matches('"')),
            "{name}: {found}"
        );
        let fetched = hub.requests().len();
        asked(&home, &["stats"]).run().ok();
        assert_eq!(hub.requests().len(), fetched, "{name}");
    }

    // Without a word of prefixes, in name or file, there are none.
    swap("tiny-e5");
    let home = Home::new();
    asked(&home, &["chat", "the tide comes in at noon"])
        .run()
        .ok();
    let model_name =
        |home: &Home| asked(home, &["stats", "--json"]).ok_json()["embedding"]["model"].clone();
    assert_eq!(model_name(&home), "acme/tiny");
    let prompts = json!({"prompts": {"query": "query: ", "passage": "passage: "}});
    let file = model.join("config_sentence_transformers.json");
    fs::write(file, prompts.to_string()).unwrap();
    fs::remove_dir_all(home.path().join("embeddings")).unwrap();
    let refused = asked(&home, &["search", "tide"]).run().fails(1).stderr;
    assert!(
        refused.contains(
            "in another way now: make its vectors anew with `allm --embedder acme/tiny reindex`"
        ),
        "{refused}"
    );
    asked(&home, &["reindex", "--yes"]).run().ok();
    let name = model_name(&home);
    assert!(name.as_str().unwrap().starts_with("acme/tiny@"), "{name}");
    let words = [
        "search",
        "--mode",
        "semantic",
        "--min-score",
        "-1",
        "--json",
    ];
    let found = asked(&home, &words)
        .args(["the tide comes in at noon"])
        .ok_json();
    let embedder = opened(&fixture("tiny-e5")).unwrap();
    let embedder = embedder.get().unwrap();
    let texts = ["the tide comes in at noon"];
    let (query, passage) = (embedder.embed_queries(&texts), embedder.embed(&texts));
    let pairs = query
        .unwrap()
        .remove(0)
        .into_iter()
        .zip(passage.unwrap().remove(0));
    let expected: f32 = pairs.map(|(a, b)| a * b).sum();
    let similarity = found["hits"][0]["similarity"].as_f64().unwrap();
    assert!(
        expected < 0.99 && (similarity - f64::from(expected)).abs() < 1e-3,
        "{similarity}, not {expected}"
    );
    // The stored name can be given as it stands.
    let copied = home.allm().env("HF_ENDPOINT", &hub.url);
    copied
        .args(["--embedder", name.as_str().unwrap(), "stats"])
        .run()
        .ok();
}
