//! Sends the spans of turns to a receiver. All of them lie in a file before the first leaves, so that nobody who wants to tidy up the
//! history waits for the receiver.

use std::fs::File;
use std::io::{BufReader, BufWriter, IntoInnerError, Read, Seek, Write};

use anyhow::{Context, Result};
use prost::Message;

use super::super::walk;
use super::receiver::Receiver;
use super::{Spans, wire};
use crate::store::{Filter, Store, Visit};

/// Counts what was sent.
#[derive(Debug, Default)]
pub struct Sent {
    pub interactions: usize,
    pub spans: usize,
    /// How many of the spans the receiver did not take.
    pub rejected: usize,
    /// What the receiver said of it.
    pub said: String,
}

/// Sends the spans of every turn that the filter lets through.
///
/// # Errors
///
/// Fails with the first request that the receiver does not take; what was sent before stays there.
pub async fn send(
    store: &Store,
    filter: &Filter,
    receiver: &Receiver,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Sent> {
    let mut outbox = Outbox::new(store)?;
    let mut sent = Sent::default();
    let mut spans = Spans::default();
    let mut visit = |visit: Visit, user: &str| {
        let request = match visit {
            Visit::Session(session) => {
                spans.session(&session, user);
                None
            }
            Visit::Turn(turn, steps, requests) => {
                sent.interactions += 1;
                spans.turn(&turn, &steps, &requests)
            }
        };
        request.map_or(Ok(()), |request| outbox.put(&request))
    };
    walk(store, filter, true, &mut visit).await?;
    if let Some(request) = spans.end() {
        outbox.put(&request)?;
    }
    let all = outbox.spans;
    for request in outbox.requests()? {
        let (request, count) = request?;
        let (rejected, said) = receiver.post(request, say).await.map_err(|error| {
            let before = format!("{} of {all} spans were sent", sent.spans);
            if sent.spans > 0 {
                error.context(before)
            } else {
                error
            }
        })?;
        sent.spans += count;
        sent.rejected += rejected;
        if !said.is_empty() {
            sent.said = said;
        }
    }
    Ok(sent)
}

/// Holds requests that are to be sent, in a file without a name.
struct Outbox {
    file: BufWriter<File>,
    /// How long each request is, and how many spans it has.
    requests: Vec<(usize, usize)>,
    spans: usize,
}

impl Outbox {
    fn new(store: &Store) -> Result<Self> {
        let folder = store.home();
        let file = tempfile::tempfile_in(folder);
        let file = file.with_context(|| format!("cannot keep spans in `{}`", folder.display()))?;
        Ok(Self {
            file: BufWriter::new(file),
            requests: Vec::new(),
            spans: 0,
        })
    }

    fn put(&mut self, request: &wire::Request) -> Result<()> {
        let bytes = request.encode_to_vec();
        let kept = self.file.write_all(&bytes);
        kept.context("cannot keep spans for their receiver")?;
        let scopes = request.resource_spans.iter().flat_map(|of| &of.scope_spans);
        let spans = scopes.map(|scope| scope.spans.len()).sum();
        self.requests.push((bytes.len(), spans));
        self.spans += spans;
        Ok(())
    }

    /// Returns the requests, and how many spans each has.
    fn requests(self) -> Result<impl Iterator<Item = Result<(Vec<u8>, usize)>>> {
        let mut file = self.file.into_inner().map_err(IntoInnerError::into_error)?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        Ok(self.requests.into_iter().map(move |(length, spans)| {
            let mut request = vec![0; length];
            file.read_exact(&mut request)?;
            Ok((request, spans))
        }))
    }
}
