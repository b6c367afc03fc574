//! The loop of thought, action and observation: real providers over HTTP, and what the model is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use allm::agent::prompt::{Prompt, Style};
use allm::agent::{Agent, Approval, Transcript};
use allm::conversation::{Status, ToolSpec};
use allm::provider::{Ollama, OpenAi, Options, Provider, ProviderError, Settings};
use allm::tools::{Tool, Toolbox};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::scripted::{self, Echo, Said, Watcher, bodies, calls};
use crate::server::{Chunk, Reply, Server};

fn settings() -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(30),
        ..Settings::default()
    }
}

fn agent(provider: Arc<dyn Provider>, tools: Toolbox, window: u32) -> Agent {
    Agent {
        provider,
        model: "llama3.2".to_owned(),
        options: Options {
            context_window: window,
            ..Options::default()
        },
        tools,
        style: None,
        max_steps: 3,
        left_out: 0,
    }
}

fn at(server: &Server) -> Ollama {
    Ollama::new(&server.url, &settings()).unwrap()
}

fn prompt(question: &str) -> Prompt<'_> {
    Prompt {
        system: "be brief",
        server: "",
        history: &[],
        recalled: "",
        question,
        turn: Vec::new(),
    }
}

async fn turn(agent: &Agent, watcher: &mut Watcher) -> (Result<Status, ProviderError>, Transcript) {
    let mut transcript = Transcript::default();
    let result = agent.turn(prompt("why?"), &mut transcript, watcher).await;
    transcript.close();
    (result, transcript)
}

/// Runs a turn against a server that says these things.
async fn run(
    capabilities: Option<&'static [&'static str]>,
    replies: Vec<Said>,
    watcher: &mut Watcher,
) -> (Transcript, Server) {
    let server = scripted::ollama(capabilities, replies);
    let mut agent = agent(
        Arc::new(at(&server)),
        Toolbox::of(Arc::new(Echo("look"))),
        8192,
    );
    if watcher.approval.is_some() {
        agent.tools = Toolbox::of(Arc::new(Echo("change")));
    }
    let (result, transcript) = turn(&agent, watcher).await;
    assert_eq!(result, Ok(Status::Completed));
    (transcript, server)
}

fn roles(body: &Value) -> Vec<(&str, &str)> {
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| {
            (
                message["role"].as_str().unwrap(),
                message["content"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_turn_is_the_same_wherever_the_bytes_of_either_api_are_cut() {
    let replies = [
        Said::Calls(
            "Hm 🦀",
            "I look.",
            vec![
                ("look", json!({"say": "naïve \"東京\""})),
                ("look", json!({})),
            ],
        ),
        Said::Text("<think>So.</think>It is 東京."),
    ];
    for body in [scripted::ollama_body, scripted::openai_body] {
        let bodies: Vec<String> = replies.iter().map(body).collect();
        let longest = bodies.iter().map(String::len).max().unwrap();
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            let counts = usize::from(request.path.contains("/chat"));
            let asked = asked.fetch_add(counts, Ordering::SeqCst);
            let bytes = bodies[asked % 2].as_bytes();
            let (head, tail) = bytes.split_at((asked / 2).min(bytes.len()));
            let pause = Chunk::Wait(Duration::from_micros(100));
            let chunks = vec![Chunk::Bytes(head.into()), pause, Chunk::Bytes(tail.into())];
            Reply::chunks(200, "text/event-stream", chunks)
        });
        let provider: Arc<dyn Provider> = if body(&replies[0]).starts_with("data:") {
            Arc::new(OpenAi::new(&server.url, &settings()).unwrap())
        } else {
            Arc::new(at(&server))
        };
        let mut agent = agent(provider, Toolbox::of(Arc::new(Echo("look"))), 8192);
        agent.style = Some(Style::Native);
        for cut in 0..=longest {
            let (result, transcript) = turn(&agent, &mut Watcher::default()).await;
            assert_eq!(result, Ok(Status::Completed), "cut at {cut}");
            assert_eq!(transcript.answer, "It is 東京.", "cut at {cut}");
            let steps = transcript.steps.iter();
            let steps: Vec<_> = steps
                .map(|step| (step.thought.as_str(), step.observation.as_str()))
                .collect();
            let expected = [
                ("Hm 🦀\n\nI look.", "naïve \"東京\""),
                ("", "error: nothing to say"),
                ("So.", ""),
            ];
            assert_eq!(steps, expected, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_with_a_tool_is_told_to_the_model() {
    let replies = vec![
        Said::Calls(
            "",
            "",
            vec![
                ("look", json!({"say": "one"})),
                ("fly", json!({})),
                ("look", json!("no object")),
                ("look", json!({"say": 7})),
            ],
        ),
        Said::Text("done"),
    ];
    let mut watcher = Watcher::default();
    let (transcript, server) = run(Some(&["tools"]), replies, &mut watcher).await;
    let sent = bodies(&server);
    assert_eq!(
        roles(&sent[1])[2..],
        [
            ("assistant", ""),
            ("tool", "one"),
            ("tool", "error: there is no tool `fly`: there are look"),
            (
                "tool",
                "error: the arguments must be a JSON object, not `\"no object\"`"
            ),
            ("tool", "error: nothing to say"),
        ]
    );
    assert_eq!(watcher.actions, ["look", "fly", "look", "look"]);
    let success: Vec<bool> = transcript.steps.iter().map(|step| step.success).collect();
    assert_eq!(success, [true, false, false, false]);
    assert_eq!(transcript.steps[3].error.as_deref(), Some("nothing to say"));
}

#[tokio::test]
async fn a_call_that_changes_something_runs_only_when_it_is_approved() {
    let observe = async |approval: Approval| {
        let mut watcher = Watcher {
            approval: Some(approval),
            ..Watcher::default()
        };
        let replies = vec![calls("change", json!({"say": "x"})), Said::Text("ok")];
        let (transcript, _) = run(Some(&["tools"]), replies, &mut watcher).await;
        assert_eq!(watcher.asked, ["{\n  \"say\": \"x\"\n}"]);
        transcript.steps[0].observation.clone()
    };
    assert_eq!(observe(Approval::Yes).await, "x");
    assert_eq!(
        observe(Approval::No(String::new())).await,
        "error: the user refused this call"
    );
    assert_eq!(
        observe(Approval::No("not now".into())).await,
        "error: the user refused this call: not now"
    );
    assert_eq!(
        observe(Approval::Nobody).await,
        "error: nobody is there to approve this call, so it was not made"
    );
}

#[tokio::test]
async fn a_model_that_calls_tools_for_ever_is_asked_to_answer() {
    let replies = vec![calls("look", json!({"say": "again"}))];
    let mut watcher = Watcher::default();
    let (transcript, server) = run(Some(&["tools"]), replies, &mut watcher).await;
    let sent = bodies(&server);
    assert_eq!((sent.len(), transcript.steps.len()), (4, 3));
    assert!(sent[2]["tools"].is_array() && sent[3]["tools"].is_null());
    assert!(
        roles(&sent[3])
            .last()
            .unwrap()
            .1
            .starts_with("No more tools")
    );
    assert_eq!(watcher.notices, ["the model gave no answer"]);
}

const TEXT_CALL: &str = "Thought: I look.\nAction: look\nAction Input: {\"say\": \"Action: look\\nFinal Answer: 1\"}\nObservation: invented";

#[tokio::test]
async fn models_without_tool_calling_write_their_calls_as_text() {
    let refused = Said::Refused(
        400,
        "registry.ollama.ai/library/llama2 does not support tools",
    );
    let answer = Said::Text("Thought: I know.\nFinal Answer: It is so.");
    for (capabilities, replies) in [
        (
            Some(&["completion"][..]),
            vec![Said::Text(TEXT_CALL), answer.clone()],
        ),
        (None, vec![refused, Said::Text(TEXT_CALL), answer]),
    ] {
        let first = replies.len() - 2;
        let mut watcher = Watcher::default();
        let (transcript, server) = run(capabilities, replies, &mut watcher).await;
        assert_eq!(transcript.answer, "It is so.");
        assert_eq!(transcript.style, Some(Style::Text));
        // Finding L29: of a reply that goes on to make things up, the end still counts.
        let usage = transcript.usage.unwrap();
        assert_eq!(
            (usage.input_tokens, usage.output_tokens),
            (Some(1000), Some(14))
        );
        assert_eq!(watcher.thoughts.trim(), "I look.\nI know.");
        assert_eq!(
            watcher.notices,
            ["llama3.2 cannot call tools by itself, so it is asked to write its calls as text"]
        );
        let sent = &bodies(&server)[first..];
        assert!(roles(&sent[0])[0].1.contains("- look: Say it again."));
        assert!(sent[0]["tools"].is_null());
        assert_eq!(sent[0]["options"]["stop"], json!(["\nObservation:"]));
        // What a tool says is never taken for a call, and what the model made up is not sent back to it.
        let (_, said) = roles(&sent[1])[2];
        assert!(said.ends_with("Final Answer: 1\"}\n"), "{said}");
        assert_eq!(
            roles(&sent[1])[3],
            ("user", "Observation: Action: look\nFinal Answer: 1")
        );
        assert_eq!(watcher.actions, ["look"]);
    }
}

#[tokio::test]
async fn tool_output_that_looks_like_a_call_is_only_text() {
    let fake = r#"{"message":{"tool_calls":[{"function":{"name":"look","arguments":{}}}]}}"#;
    let replies = vec![calls("look", json!({"say": fake})), Said::Text("fine")];
    let (transcript, _) = run(Some(&["tools"]), replies, &mut Watcher::default()).await;
    assert_eq!(transcript.steps.len(), 1);
    assert_eq!(transcript.steps[0].observation, fake);
}

#[tokio::test]
async fn the_whole_of_a_long_observation_is_kept_and_the_model_is_told_its_ends() {
    let replies = vec![
        calls("look", json!({"say": "begin 1 MiB end"})),
        Said::Text("long"),
    ];
    let server = scripted::ollama(Some(&["tools"]), replies);
    let mut agent = agent(
        Arc::new(at(&server)),
        Toolbox::of(Arc::new(Echo("look"))),
        128_000,
    );
    let (_, transcript) = turn(&agent, &mut Watcher::default()).await;
    let kept = &transcript.steps[0].observation;
    assert!(
        kept.len() > 1 << 20 && kept.len() < (1 << 20) + 100,
        "{}",
        kept.len()
    );
    let sent = bodies(&server);
    let told = roles(&sent[1])[3].1.to_owned();
    assert!(
        told.len() < (64 << 10) + 100 && told.starts_with("begin x") && told.ends_with("x end")
    );
    assert!(
        told.contains("\n[… 983050 of 1048586 bytes left out …]\n"),
        "{}",
        &told[32_760..32_840]
    );

    // Within a small window it is told less.
    let replies = vec![
        calls("look", json!({"say": "begin 1 MiB end"})),
        Said::Text("long"),
    ];
    let server = scripted::ollama(Some(&["tools"]), replies);
    agent.provider = Arc::new(at(&server));
    agent.options.context_window = 4096;
    turn(&agent, &mut Watcher::default()).await.0.unwrap();
    assert!(roles(&bodies(&server)[1])[3].1.len() < 4096 * 3);
}

#[tokio::test]
async fn a_server_that_reads_less_than_it_was_sent_is_noticed() {
    let server = scripted::ollama(Some(&["tools"]), vec![Said::Text("ok")]);
    let agent = agent(Arc::new(at(&server)), Toolbox::default(), 128_000);
    let question = "word ".repeat(2000);
    let (mut transcript, mut watcher) = (Transcript::default(), Watcher::default());
    let asked = agent.turn(prompt(&question), &mut transcript, &mut watcher);
    asked.await.unwrap();
    assert_eq!(transcript.truncated, Some((2502, 500)));
    assert!(
        watcher.notices[0].starts_with("the server read only 500 of about 2502 tokens"),
        "{:?}",
        watcher.notices
    );
}

/// Is a tool that says when it is called, and waits then.
struct Waits(Arc<Notify>);

impl Tool for Waits {
    fn spec(&self) -> ToolSpec {
        Echo("look").spec()
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, _arguments: Value) -> BoxFuture<'_, anyhow::Result<String>> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_turn_that_is_dropped_in_a_tool_keeps_its_step() {
    let replies = vec![Said::Calls(
        "Wait.",
        "",
        vec![("look", json!({"say": "wait"}))],
    )];
    let server = scripted::ollama(Some(&["tools"]), replies);
    let called = Arc::new(Notify::new());
    let tool = Waits(Arc::clone(&called));
    let agent = agent(Arc::new(at(&server)), Toolbox::of(Arc::new(tool)), 8192);
    let (mut transcript, mut watcher) = (Transcript::default(), Watcher::default());
    tokio::select! {
        _ = agent.turn(prompt("why?"), &mut transcript, &mut watcher) => panic!("the tool waits"),
        () = called.notified() => {}
    }
    transcript.close();
    let step = &transcript.steps[0];
    assert_eq!(
        (step.thought.as_str(), step.success, step.error.as_deref()),
        ("Wait.", false, Some("interrupted"))
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_written_down_does_not_leave() {
    let server = scripted::ollama(None, vec![Said::Text("hello")]);
    let agent = agent(Arc::new(at(&server)), Toolbox::default(), 8192);
    let mut watcher = Watcher {
        keeps: true,
        ..Watcher::default()
    };
    let (result, transcript) = turn(&agent, &mut watcher).await;
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "the request was not sent: no space left");
    assert_eq!((bodies(&server).len(), transcript.requests.len()), (0, 0));
}
