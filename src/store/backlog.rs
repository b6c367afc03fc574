//! Stores turns behind the prompt, in order: the journal has them until the tables do.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::open::Store;
use super::writing::journal::{Line, Orphan};
use super::writing::passages::is_long;
use super::writing::record::{How, Last, Put, SharedJournal, locked};
use super::writing::{Recovered, Turn};

/// Holds the turns that have ended and are not in the tables yet; its copies hold the same.
#[derive(Clone)]
pub struct Backlog {
    store: Store,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// Turns without rows, oldest first.
    jobs: VecDeque<Job>,
    /// Turns whose rows are there without vectors.
    bare: Vec<Entry>,
    /// Whether something is done about them, and whether that is to write rows.
    running: bool,
    writing: bool,
    /// What the next turn extends.
    last: Option<Last>,
    /// Whether the tables could not be written when that was tried last.
    failing: bool,
    troubles: Vec<anyhow::Error>,
}

/// Is a turn that waits for its rows.
struct Job {
    turn: Turn,
    entry: Entry,
    /// Why the journal lacks its end, if it does.
    unwritten: Option<anyhow::Error>,
    tried: bool,
}

/// Says where the journal has a turn.
#[derive(Clone)]
struct Entry {
    id: String,
    journal: Kept,
}

/// Is the journal that has a turn: of this process, or of one that died.
#[derive(Clone)]
enum Kept {
    Here(SharedJournal),
    Adopted(Arc<Orphan>),
}

enum Step {
    Write(Box<Job>, Option<Last>),
    Embed(Vec<Entry>),
}

impl Backlog {
    /// Begins with nothing to do.
    pub fn new(store: &Store) -> Backlog {
        Backlog {
            store: store.quiet(),
            state: watch::Sender::default(),
        }
    }

    /// Takes a turn that has ended, as [`Store::end`] returned it, and whether the journal has it; begins to store it.
    pub fn push(&self, turn: Turn, journal: SharedJournal, journaled: Result<()>) {
        let id = turn.interaction.interaction_id.clone();
        let job = Job {
            turn,
            entry: Entry {
                id,
                journal: Kept::Here(journal),
            },
            unwritten: journaled.err(),
            tried: false,
        };
        self.begin(|state| state.jobs.push_back(job));
    }

    /// Stores the turns of processes that died, through a store that says whom it waits for; what vectors take longer are made behind
    /// the prompt, and the journal is kept until that was tried.
    pub async fn catch_up(&self, store: &Store) -> Result<Recovered> {
        let mut recovered = store.adopt_all(true).await?;
        let mut bare = Vec::new();
        for (orphan, ids) in std::mem::take(&mut recovered.adopted) {
            let orphan = Arc::new(orphan);
            bare.extend(ids.into_iter().map(|id| Entry {
                id,
                journal: Kept::Adopted(Arc::clone(&orphan)),
            }));
        }
        if !bare.is_empty() {
            self.begin(|state| state.bare.extend(bare));
        }
        Ok(recovered)
    }

    /// Takes something up, and works on it unless that is being done.
    fn begin(&self, change: impl FnOnce(&mut State)) {
        let mut idle = false;
        self.state.send_modify(|state| {
            change(state);
            idle = !std::mem::replace(&mut state.running, true);
        });
        if idle {
            let backlog = self.clone();
            tokio::spawn(async move {
                let work = tokio::spawn(backlog.clone().work());
                if let Err(error) = work.await {
                    backlog.stop(|state| state.troubles.push(error.into()));
                }
            });
        }
    }

    /// Waits until the turns are in the tables, as far as that can be: by their words they are found then.
    pub async fn rows(&self) {
        let written = |state: &State| !state.running || state.jobs.is_empty() && !state.writing;
        // It cannot fail: we hold a sender.
        drop(self.state.subscribe().wait_for(written).await);
    }

    /// Waits until nothing is left to be done. Returns whether all turns are in the tables.
    pub async fn done(&self) -> bool {
        let mut state = self.state.subscribe();
        let idle = state.wait_for(|state| !state.running).await;
        idle.is_ok_and(|state| state.jobs.is_empty())
    }

    /// Returns whether turns are being stored.
    pub fn is_busy(&self) -> bool {
        self.state.borrow().running
    }

    /// Returns what went wrong since the last time; turns that could not be stored are told of once, until it works again.
    pub fn troubles(&self) -> Vec<anyhow::Error> {
        let mut troubles = Vec::new();
        self.state.send_if_modified(|state| {
            troubles.append(&mut state.troubles);
            false
        });
        troubles
    }

    async fn work(self) {
        let mut goes_on = true;
        while goes_on && let Some(step) = self.next() {
            match step {
                Step::Write(job, last) => goes_on = self.write(*job, last).await,
                Step::Embed(bare) => self.embed(bare).await,
            }
        }
    }

    /// Returns what is to be done next: rows first, so that they are found by their words.
    fn next(&self) -> Option<Step> {
        let mut step = None;
        self.state.send_modify(|state| {
            state.writing = false;
            if let Some(job) = state.jobs.pop_front() {
                state.writing = true;
                step = Some(Step::Write(Box::new(job), state.last.take()));
            } else if !state.bare.is_empty() {
                step = Some(Step::Embed(state.bare.clone()));
            } else {
                state.running = false;
            }
        });
        step
    }

    fn stop(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| {
            (state.running, state.writing) = (false, false);
            change(state);
        });
    }

    /// Writes the rows of a turn, with vectors where these are soon made. Returns whether to go on: what fails is tried again with
    /// the next turn.
    async fn write(&self, mut job: Job, mut last: Option<Last>) -> bool {
        let how = How {
            recovered: false,
            again: job.tried,
            bare: is_long(&job.turn),
        };
        let put = self.put(&mut job.turn, &mut last, how).await;
        job.tried = true;
        let Put { new, unembedded } = match put {
            Ok(put) => put,
            Err(error) => {
                self.stop(|state| {
                    if !std::mem::replace(&mut state.failing, true) {
                        state.troubles.push(told(error, job.unwritten.take()));
                    }
                    state.last = last;
                    state.jobs.push_front(job);
                });
                return false;
            }
        };
        let bare = new && how.bare && unembedded.is_none();
        let noted = match bare {
            true => Ok(()),
            false => note(job.entry.clone()),
        };
        self.state.send_modify(|state| {
            state.failing = false;
            state.last = last;
            state.troubles.extend(unembedded);
            state.troubles.extend(noted.err());
            state.bare.extend(bare.then_some(job.entry));
        });
        true
    }

    /// Writes the rows of a turn, down to the disk.
    async fn put(&self, turn: &mut Turn, last: &mut Option<Last>, how: How) -> Result<Put> {
        let put = self.store.put(turn, last, how).await?;
        self.store.sync(None).await?;
        Ok(put)
    }

    /// Makes the vectors of turns whose rows are there; lets a turn without rows go first, and goes on later.
    async fn embed(&self, bare: Vec<Entry>) {
        let ids: Vec<String> = bare.iter().map(|entry| entry.id.clone()).collect();
        let mut state = self.state.subscribe();
        let embedded = tokio::select! {
            embedded = self.store.embed_turns(&ids) => embedded,
            _ = state.wait_for(|state| !state.jobs.is_empty()) => return,
        };
        let embedded = match embedded {
            Ok(()) => self.store.sync(None).await,
            Err(error) => Err(error).context("the turn is stored but cannot be found by meaning"),
        };
        self.state
            .send_modify(|state| state.bare.retain(|entry| !ids.contains(&entry.id)));
        let noted = bare.into_iter().filter_map(|entry| note(entry).err());
        let troubles: Vec<anyhow::Error> = embedded.err().into_iter().chain(noted).collect();
        self.state
            .send_modify(|state| state.troubles.extend(troubles));
    }
}

impl Store {
    /// Stores the turns of processes that died before LanceDB had them, each once and with its vectors.
    pub async fn catch_up(&self) -> Result<Recovered> {
        let mut recovered = self.adopt_all(false).await?;
        let ids = recovered.adopted.iter().flat_map(|(_, ids)| ids.clone());
        // They may have died before the vectors were made.
        recovered.unembedded = self.embed_turns(&ids.collect::<Vec<_>>()).await.err();
        recovered.finish();
        Ok(recovered)
    }
}

/// Takes note in the journal that the tables have a turn; that of a process that died is removed with its last one.
fn note(entry: Entry) -> Result<()> {
    match entry.journal {
        Kept::Here(journal) => locked(&journal).write(&Line::Stored(entry.id)),
        Kept::Adopted(orphan) => match Arc::into_inner(orphan) {
            Some(last) => last.finish()?.map_or(Ok(()), Err),
            None => Ok(()),
        },
    }
}

/// Says where a turn is that could not be stored.
fn told(error: anyhow::Error, unwritten: Option<anyhow::Error>) -> anyhow::Error {
    match unwritten {
        None => error.context("the turn is only in the journal, and stored when that works again"),
        Some(unwritten) => {
            unwritten.context("the answer is not recorded, only its question is in the journal")
        }
    }
}
