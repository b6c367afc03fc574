//! A model server on loopback that says what a test wants it to say, and remembers what it was asked.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// The commit that the hub reports for every file.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Holds a running server; it stops when dropped, whatever it was in the middle of.
pub struct Server {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    address: SocketAddr,
    requests: Requests,
    stopped: Arc<AtomicBool>,
}

type Requests = Arc<Mutex<Vec<(String, String)>>>;

/// Holds what a client asked.
pub struct Request {
    pub method: String,
    /// The path and its query.
    pub path: String,
    /// By name in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// The body as it came; not all of them are text.
    pub bytes: Vec<u8>,
}

/// Holds what the server answers.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub chunks: Vec<Chunk>,
}

/// Holds one event of a body that streams.
pub enum Chunk {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// Breaks the connection off before the body is complete.
    Cut,
}

impl Reply {
    /// Returns a whole JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// Returns a whole body of some type.
    pub fn text(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::chunks(status, kind, vec![Chunk::Bytes(body.into())])
    }

    /// Returns a body that comes piece by piece.
    pub fn chunks(status: u16, kind: &str, chunks: Vec<Chunk>) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            chunks,
        }
    }
}

impl Server {
    /// Starts a server on a free port that answers every request with `reply`.
    pub fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (requests, stopped) = (Requests::default(), Arc::new(AtomicBool::new(false)));
        let (log, stop, reply) = (Arc::clone(&requests), Arc::clone(&stopped), Arc::new(reply));
        thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                // A client that goes away ends its own connection and nothing else.
                thread::spawn(move || -> io::Result<()> {
                    let connection = connection?;
                    let request = read(&connection)?;
                    let line = format!("{} {}", request.method, request.path);
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((line, request.body.clone()));
                    write(connection, reply(&request))
                });
            }
        });
        Self {
            url: format!("http://{address}"),
            address,
            requests,
            stopped,
        }
    }

    /// Starts a server that answers messages with `reply`, and tells nothing else.
    pub fn answering(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |request| match request.path.contains("/chat") {
            true => reply(request),
            false => Reply::json(404, &json!({"error": "not found"})),
        })
    }

    /// Returns method and path, and body, of every request so far.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to stop.
        TcpStream::connect(self.address).ok();
    }
}

/// Reads one request; a connection carries no more than one.
fn read(connection: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body,
    })
}

fn write(mut connection: TcpStream, reply: Reply) -> io::Result<()> {
    let whole = reply
        .headers
        .iter()
        .any(|(name, _)| *name == "content-length");
    let mut head = format!("HTTP/1.1 {} Test\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += if whole {
        "\r\n"
    } else {
        "transfer-encoding: chunked\r\n\r\n"
    };
    connection.write_all(head.as_bytes())?;
    for chunk in reply.chunks {
        match chunk {
            Chunk::Bytes(bytes) if whole => connection.write_all(&bytes)?,
            Chunk::Bytes(bytes) if bytes.is_empty() => {}
            Chunk::Bytes(bytes) => {
                connection.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
                connection.write_all(&bytes)?;
                connection.write_all(b"\r\n")?;
            }
            Chunk::Wait(time) => thread::sleep(time),
            Chunk::Cut => return Ok(()),
        }
    }
    if !whole {
        connection.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

/// Starts an Ollama server with the model `llama3.2:latest`; `answer` maps the last user message to the answer.
pub fn ollama(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    Server::start(
        move |request| match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/tags") => {
                Reply::json(200, &json!({"models": [{"name": "llama3.2:latest"}]}))
            }
            ("POST", "/api/chat") => {
                let body = parse(&request.body);
                let model = body["model"].as_str().unwrap_or_default();
                if !model.starts_with("llama3.2") {
                    return Reply::json(
                        404,
                        &json!({"error": format!("model '{model}' not found")}),
                    );
                }
                let answer = answer(last_user_message(&body));
                let line = |text: &str| {
                    let message = json!({"role": "assistant", "content": text});
                    json!({"model": model, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": false})
                };
                let mut last = line(if body["stream"] == false { &answer } else { "" });
                last["done"] = json!(true);
                last["done_reason"] = json!("stop");
                last["prompt_eval_count"] = json!(11);
                last["eval_count"] = json!(answer.split_whitespace().count());
                if body["stream"] == false {
                    return Reply::json(200, &last);
                }
                let lines = answer.split_inclusive(' ').map(line).chain([last]);
                let chunks = lines
                    .map(|line| Chunk::Bytes(format!("{line}\n").into()))
                    .collect();
                Reply::chunks(200, "application/x-ndjson", chunks)
            }
            _ => Reply::text(404, "text/plain", "404 page not found"),
        },
    )
}

/// Starts an OpenAI-compatible server at `{url}/v1` with the model `gpt-test` and the key `sk-test`.
///
/// As the original does, it streams the usage only where the request's `stream_options` include it.
pub fn openai(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Server {
    let error =
        |status, message: &str| Reply::json(status, &json!({"error": {"message": message}}));
    Server::start(move |request| {
        if request
            .headers
            .get("authorization")
            .is_some_and(|key| key != "Bearer sk-test")
        {
            return error(401, "Incorrect API key provided");
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/models") => Reply::json(
                200,
                &json!({"object": "list", "data": [{"id": "gpt-test", "object": "model"}]}),
            ),
            ("POST", "/v1/chat/completions") => {
                let body = parse(&request.body);
                let model = body["model"].as_str().unwrap_or_default();
                if !model.starts_with("gpt-test") {
                    return error(404, &format!("The model `{model}` does not exist"));
                }
                completion(&body, &answer(last_user_message(&body)))
            }
            _ => error(404, "Invalid URL"),
        }
    })
}

fn completion(request: &Value, answer: &str) -> Reply {
    let words = answer.split_whitespace().count();
    let usage =
        json!({"prompt_tokens": 11, "completion_tokens": words, "total_tokens": 11 + words});
    let object = |kind: &str, choices: Value| json!({"id": "chatcmpl-1", "object": kind, "created": 0, "model": request["model"], "choices": choices});
    if request["stream"] != true {
        let message = json!({"role": "assistant", "content": answer});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        let mut whole = object("chat.completion", choices);
        whole["usage"] = usage;
        return Reply::json(200, &whole);
    }
    let chunk = |choices| object("chat.completion.chunk", choices);
    let delta = |text: &str| {
        chunk(
            json!([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": null}]),
        )
    };
    let mut events: Vec<_> = answer.split_inclusive(' ').map(delta).collect();
    events.push(chunk(
        json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    ));
    if request["stream_options"]["include_usage"] == true {
        let mut last = chunk(json!([]));
        last["usage"] = usage;
        events.push(last);
    }
    let lines = events
        .iter()
        .map(ToString::to_string)
        .chain(["[DONE]".to_owned()]);
    let chunks = lines
        .map(|line| Chunk::Bytes(format!("data: {line}\n\n").into()))
        .collect();
    Reply::chunks(200, "text/event-stream", chunks)
}

fn parse(body: &str) -> Value {
    serde_json::from_str(body).expect("a request's body is JSON")
}

fn last_user_message(body: &Value) -> &str {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let last = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user");
    last.and_then(|message| message["content"].as_str())
        .unwrap_or_default()
}

/// Starts a Hugging Face hub whose one repository, `acme/tiny` at `main`, is a local folder.
pub fn hub(folder: PathBuf) -> Server {
    Server::start(move |request| hub_file(&folder, request))
}

/// Answers as such a hub.
pub fn hub_file(folder: &Path, request: &Request) -> Reply {
    let name = request.path.strip_prefix("/acme/tiny/resolve/main/");
    let Some(bytes) = name.and_then(|name| std::fs::read(folder.join(name)).ok()) else {
        return Reply::text(404, "text/plain", "Entry not found");
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let (status, range, part) = match request.headers.get("range") {
        None => (200, None, &bytes[..]),
        Some(range) => match slice(range, bytes.len()) {
            None => (416, Some(format!("bytes */{}", bytes.len())), &[][..]),
            Some((first, last)) => {
                let range = format!("bytes {first}-{last}/{}", bytes.len());
                (206, Some(range), &bytes[first..=last])
            }
        },
    };
    let mut headers = vec![
        ("etag", format!("\"{:016x}\"", hasher.finish())),
        ("x-repo-commit", COMMIT.to_owned()),
        ("accept-ranges", "bytes".to_owned()),
        ("content-length", part.len().to_string()),
    ];
    headers.extend(range.map(|range| ("content-range", range)));
    Reply {
        status,
        headers,
        chunks: vec![Chunk::Bytes(part.to_vec())],
    }
}

/// Returns the first and the last byte that `bytes=a-b` or `bytes=a-` asks for; `b` may lie beyond the end.
fn slice(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    let first = first.parse().ok()?;
    let last = if last.is_empty() {
        end
    } else {
        last.parse::<usize>().ok()?.min(end)
    };
    (first <= last).then_some((first, last))
}
