//! `/sessions`, `/resume`, `/history`, `/last`: conversations.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};

use super::arguments::{Found, Whose};
use super::shown::Shown;
use crate::chat::{Chat, Memory};
use crate::store::{Found as Hits, Hinted, Hit, SessionSummary, Whom};
use crate::ui::{Matches, Ui};

/// How many sessions or turns are shown when nobody says.
const SHOWN: usize = 20;
/// How many interactions are looked through for words.
const SEARCHED: usize = 200;
/// What share of the words a title has at least that alone has its session listed.
const HALF: f32 = 0.5;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /sessions\n  /sessions deadlock --from 'last month'\n  /sessions --folder . --source codex\n  /sessions --limit 50"
)]
pub struct Args {
    /// What was talked about; without words all of them
    #[arg(allow_negative_numbers = true)]
    words: Vec<String>,
    #[command(flatten)]
    found: Found,
}

pub async fn run(mut args: Args, memory: &Memory, shown: &mut Shown, ui: &Ui) -> Result<()> {
    let filter = args.found.filter(&mut args.words, memory, ui).await?;
    let limit = args.found.limit(SHOWN);
    let mut sessions = memory.store.sessions(&filter).await?;
    let text = args.words.join(" ");
    let mut matches = Matches::default();
    if !text.is_empty() {
        let query = memory.query(&text, filter.clone(), SEARCHED);
        let found = memory.store.search(&query).await?;
        ui.notices(&found.notices);
        matches = ranked(&mut sessions, found);
    }
    let more = sessions.len().saturating_sub(limit);
    sessions.truncate(limit);
    memory.store.add_usage(&filter, &mut sessions).await?;
    let ids = sessions.iter().map(|summary| &summary.session.session_id);
    shown.list(ids.collect(), &args.found.whose);
    ui.sessions(&sessions, &matches, more)
}

/// Keeps the sessions that are like what was looked for, the most like it first: by the best of their hits, or by their title where
/// that has more of the words. Sessions that are alike stay in their order.
fn ranked(sessions: &mut Vec<SessionSummary>, found: Hits) -> Matches {
    let mut hits: HashMap<String, Hit> = HashMap::new();
    for hit in &found.hits {
        // The best comes first.
        let id = hit.interaction.session_id.clone();
        hits.entry(id).or_insert_with(|| hit.clone());
    }
    let (mut scores, mut named) = (HashMap::new(), HashSet::new());
    sessions.retain(|summary| {
        let session = &summary.session;
        let id = &session.session_id;
        let title = found
            .terms
            .share(session.title.as_deref().unwrap_or_default());
        if title >= 1.0 {
            named.insert(id.clone());
        }
        // As of a passage, the share counts squared.
        let title = Some(title * title).filter(|_| title >= HALF);
        let hit = hits.get(id).map(|hit| hit.score);
        let best = hit.into_iter().chain(title).reduce(f32::max);
        scores.extend(best.map(|score| (id.clone(), score)));
        best.is_some()
    });
    sessions.sort_by(|a, b| {
        let (a, b) = (&a.session.session_id, &b.session.session_id);
        // Whose title has all of the words is what somebody remembers it by.
        let by_title = named.contains(b).cmp(&named.contains(a));
        by_title.then(scores[b].total_cmp(&scores[a]))
    });
    Matches {
        terms: found.terms,
        hits,
        scores,
    }
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  /resume\n  /resume 1a2b3c4d\n  /resume 2\n\nA number is that of a row in the last list of this chat, as in `/show`."
)]
pub struct ResumeArgs {
    /// The id of a session or of one of its turns, its first 4 characters or more, or its number in the last list; without it the last session but this
    id: Option<String>,
}

pub async fn resume(args: ResumeArgs, chat: &mut Chat, shown: &Shown, ui: &Ui) -> Result<()> {
    let filter = chat.memory.filter(Whom::Me, None, None).await?;
    let store = &chat.memory.store;
    let session = if let Some(mut id) = args.id {
        // Whosever list it is in: only one's own conversations go on.
        shown.id(&mut id, &mut Whose::default())?;
        store.session_of(&filter, &id).await?
    } else {
        let others = filter.except_session(chat.session_id());
        let last = store.last_session(&others).await?;
        last.ok_or_else(|| Hinted {
            message: "there is no other conversation to go on with".to_owned(),
            hint: "`/resume ID` takes any that `/sessions` lists".to_owned(),
        })?
    };
    let (id, title) = (session.session_id.clone(), session.title.clone());
    let resumed = chat.resume(session).await?;
    let names = chat.memory.names().await?;
    ui.resumed(&id, &title.unwrap_or_default(), &resumed, &names)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /history\n  /history 5")]
pub struct HistoryArgs {
    /// Show only this many turns, the latest
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    count: Option<u16>,
}

pub async fn history(args: HistoryArgs, chat: &mut Chat, ui: &Ui) -> Result<()> {
    let memory = &chat.memory;
    let filter = memory.filter(Whom::Me, None, None).await?;
    let mut turns = memory.store.history(&filter, chat.session_id()).await?;
    let more = turns
        .len()
        .saturating_sub(args.count.map_or(usize::MAX, usize::from));
    turns.drain(..more);
    ui.history(&turns, &memory.names().await?, more)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  /last\n  allm last > answer.txt")]
pub struct LastArgs {
    #[command(flatten)]
    whose: Whose,
}

pub async fn last(args: LastArgs, memory: &Memory, shown: &Shown, ui: &Ui) -> Result<()> {
    let whom = args.whose.whom();
    let filter = memory.filter(whom, None, None).await?;
    let store = &memory.store;
    let mut answer = None;
    if let Some(id) = shown.last.as_deref().filter(|_| whom == Whom::Me) {
        let session_id = store.interaction(&filter, id).await?.session_id;
        let here = filter.clone().in_session(&session_id);
        answer = store.last_answer(&here).await?;
    }
    if answer.is_none() {
        answer = store.last_answer(&filter).await?;
    }
    let answer = answer.context("nothing has been answered yet")?;
    ui.last(&answer, &memory.names().await?)
}
