//! The predecessor's SQLite files, one for each session. What belongs to one turn is in up to three rows whose ids do not match.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use flate2::read::GzDecoder;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::super::files::{files, name, sqlite, text, time};
use super::text::{answer, facts, key, milliseconds, plain, request, steps};
use super::{Gathered, Told};
use crate::conversation::{Status, Step};
use crate::timeframe::Zone;

pub const NAME: &str = "sqlite";
/// Rows of one turn that share no id were written within this time.
const TOGETHER: TimeDelta = TimeDelta::minutes(1);

/// Reads every session's database.
pub fn sessions(home: &Path, zone: Zone, gathered: &mut Gathered) -> Result<()> {
    let folder = home.join("sessions");
    if !folder.is_dir() {
        return Ok(());
    }
    for path in files(&folder, "db")? {
        if name(&path) != "observability.db" {
            continue;
        }
        if let Err(error) = session(&path, zone, gathered) {
            gathered.broken(NAME, &path, &error);
        }
    }
    Ok(())
}

/// Is what one row tells, before it is known to which turn it belongs.
struct Piece {
    key: String,
    told: Told,
}

fn session(path: &Path, zone: Zone, gathered: &mut Gathered) -> Result<()> {
    if std::fs::metadata(path)?.len() == 0 {
        bail!("it is empty");
    }
    let (database, _copy) = sqlite(path)?;
    let session = path.parent().map(name).unwrap_or_default();
    // What has no time was written before the file was last.
    let written = DateTime::<Utc>::from(std::fs::metadata(path)?.modified()?);
    let file = gathered.place(path);
    let place = |id: &str| format!("{session}/{}, {id}", name(path));
    let mut asked = Vec::new();
    each(&database, "interactions", &mut |row| {
        let id = column(row, "interaction_id");
        match interaction(row, &session, written) {
            Ok(Some(piece)) => asked.push(piece),
            Ok(None) => gathered.skipped(NAME, &file, "row without content"),
            Err(error) => gathered.unread(NAME, &file, place(&id), format!("{error:#}")),
        }
    })?;
    let mut answered = Vec::new();
    each(&database, "react_cycles", &mut |row| {
        let id = column(row, "react_id");
        match cycle(row, &session, written, zone) {
            Ok(piece) => answered.push(piece),
            Err(error) => gathered.unread(NAME, &file, place(&id), format!("{error:#}")),
        }
    })?;
    // The answers know their turns; what was asked belongs to the one with the same id, question or time.
    for Piece { key, told } in answered {
        let mut told = told;
        let same_id = |piece: &Piece| piece.key == key;
        while let Some(at) = asked.iter().position(same_id) {
            told.merge(asked.remove(at).told);
            gathered.skipped(NAME, &file, super::ELSEWHERE);
        }
        let apart = |piece: &Piece| (piece.told.turn.timestamp - told.turn.timestamp).abs();
        let fits = |piece: &Piece| {
            let asks = !piece.told.turn.requests.is_empty() && told.turn.requests.is_empty();
            asks && apart(piece) < TOGETHER
        };
        let fitting: Vec<usize> = (0..asked.len()).filter(|&at| fits(&asked[at])).collect();
        let is_same = |at: &usize| super::same(&asked[*at].told.turn.query, &told.turn.query);
        let same = fitting.iter().copied().filter(is_same);
        let nearest = same.min_by_key(|&at| apart(&asked[at]));
        // Without a question there is only the time, which may say nothing.
        let only = match fitting[..] {
            [only] if told.turn.query.is_empty() => Some(only),
            _ => None,
        };
        if let Some(at) = nearest.or(only) {
            told.merge(asked.remove(at).told);
            gathered.skipped(NAME, &file, super::ELSEWHERE);
        }
        gathered.told(&file, told);
    }
    for piece in asked {
        gathered.told(&file, piece.told);
    }
    Ok(())
}

/// Hands over the rows of a table. Columns are known by their names: there may be more.
fn each(database: &Connection, table: &str, take: &mut dyn FnMut(&Row<'_>)) -> Result<()> {
    let mut all = database
        .prepare(&format!("SELECT * FROM {table}"))
        .with_context(|| format!("cannot read {table}"))?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        take(row);
    }
    Ok(())
}

/// Returns a column that is text.
fn column(row: &Row<'_>, name: &str) -> String {
    row.get::<_, String>(name).unwrap_or_default()
}

/// Returns a column that may be a packed text whatever the table declares.
fn unpacked(row: &Row<'_>, name: &str) -> Result<String> {
    Ok(match row.get_ref(name)? {
        ValueRef::Blob(bytes) if bytes.starts_with(b"\x1f\x8b") => {
            let mut text = String::new();
            let read = GzDecoder::new(bytes).read_to_string(&mut text);
            read.with_context(|| format!("its {name} cannot be unpacked"))?;
            text
        }
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        _ => String::new(),
    })
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn when(row: &Row<'_>, written: DateTime<Utc>) -> DateTime<Utc> {
    time(&column(row, "created_at").into()).unwrap_or(written)
}

/// Reads what was asked, or what was learnt.
fn interaction(row: &Row<'_>, session: &str, written: DateTime<Utc>) -> Result<Option<Piece>> {
    let id = column(row, "interaction_id");
    let kept = unpacked(row, "context_verbatim")?;
    let facts = facts(&parsed(&column(row, "facts_extracted")));
    if kept.trim().is_empty() && facts.is_empty() {
        return Ok(None);
    }
    let metadata = parsed(&column(row, "metadata"));
    let mut told = Told::new(NAME, session, key(&id), when(row, written), "");
    told.turn.facts = facts;
    if !kept.trim().is_empty() {
        let sent = request(&kept);
        told.turn.query = sent.question;
        told.turn.requests = vec![sent.body];
        told.turn.model = sent.model;
        told.system = sent.system;
    }
    if !text(&metadata, "model").is_empty() {
        text(&metadata, "model").clone_into(&mut told.turn.model);
    }
    text(&metadata, "provider").clone_into(&mut told.turn.provider);
    Ok(Some(Piece {
        key: key(&id).to_owned(),
        told,
    }))
}

/// Reads how a turn was reasoned, and what was answered.
fn cycle(row: &Row<'_>, session: &str, written: DateTime<Utc>, zone: Zone) -> Result<Piece> {
    let scratchpad = parsed(&unpacked(row, "scratchpad")?);
    let when = when(row, written);
    let trace = text(&scratchpad, "reasoning_trace");
    let id = key(&column(row, "react_id")).to_owned();
    let mut told = Told::new(NAME, session, &id, when, asked(trace, &id));
    let turn = &mut told.turn;
    turn.steps = steps(&scratchpad["tool_traces"], zone, when);
    if turn.steps.is_empty() {
        let stored = parsed(&column(row, "steps"));
        let observed = parsed(&column(row, "observations"));
        turn.steps = steps(&stored, zone, when);
        let observed = observed.as_array().cloned().unwrap_or_default();
        for (step, observed) in turn.steps.iter_mut().zip(&observed) {
            let step: &mut Step = step;
            if step.observation.is_empty() {
                step.observation = plain(observed);
            }
        }
    }
    turn.response = answer(&column(row, "final_response"));
    text(&scratchpad, "provider").clone_into(&mut turn.provider);
    turn.duration_ms = milliseconds(&scratchpad["total_time"]);
    let success = row.get::<_, bool>("success").unwrap_or(true);
    turn.status = match (success, turn.response.is_empty()) {
        (false, _) => Status::Failed,
        (true, true) => Status::Interrupted,
        (true, false) => Status::Completed,
    };
    Ok(Piece {
        key: key(&column(row, "interaction_id")).to_owned(),
        told,
    })
}

/// Finds the question in a trace, which was drawn with lines and holds all cycles of its session so far.
fn asked<'t>(trace: &'t str, id: &str) -> &'t str {
    const MARK: &str = "Starting ReAct cycle for query: ";
    let own = trace.find(&format!("CYCLE: cycle_{id} "));
    let Some((_, rest)) = trace[own.unwrap_or_default()..].split_once(MARK) else {
        return "";
    };
    rest.split("\n  \u{2551}").next().unwrap_or_default().trim()
}
