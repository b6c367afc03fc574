//! Arguments that several commands share: whose history, from when to when, how much of it.

use anyhow::Result;

use super::which::Which;
use crate::chat::Memory;
use crate::conversation::short_id;
use crate::store::{Filter, Session, Whom};
use crate::timeframe::{self, Bound};
use crate::ui::Ui;

/// Says whose history a command looks at.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Whose {
    /// Look at another user's history
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Look at the history of all users
    #[arg(long, conflicts_with = "user")]
    all_users: bool,
}

impl Whose {
    /// Says that it is another user's.
    pub fn named(user: &str) -> Whose {
        Whose {
            user: Some(user.to_owned()),
            ..Whose::default()
        }
    }

    /// Takes `--user root` among the words of a query for words, where there is no such user whose history could be meant.
    pub async fn among(&mut self, words: &mut Vec<String>, memory: &Memory, ui: &Ui) -> Result<()> {
        let Some(name) = self.user.clone().filter(|_| !words.is_empty()) else {
            return Ok(());
        };
        // Who may see no other history is refused all of them alike.
        let me = memory.store.find(memory.me()).await?;
        let is_word = !name.contains(char::is_whitespace) && me.is_some_and(|me| me.is_admin());
        if is_word && memory.store.user(&name).await?.is_none() {
            ui.note(&format!(
                "there is no user `{name}`, so `--user {name}` is looked for"
            ));
            words.extend(["--user".to_owned(), name]);
            self.user = None;
        }
        Ok(())
    }

    pub fn is_given(&self) -> bool {
        self.all_users || self.user.is_some()
    }

    pub fn whom(&self) -> Whom<'_> {
        match &self.user {
            _ if self.all_users => Whom::Everyone,
            Some(user) => Whom::Named(user),
            None => Whom::Me,
        }
    }
}

/// Returns the session that an id names, its own or that of one of its turns, of any time and kind.
pub async fn session(id: &str, whose: &Whose, memory: &Memory) -> Result<Session> {
    let all = memory.filter(whose.whom(), None, None).await?;
    memory.store.session_of(&all, id).await
}

/// Says from when and up to when a command looks.
#[derive(Debug, clap::Args)]
pub struct When {
    /// Leave out what was before this date or time
    #[arg(long, visible_alias = "since", value_name = "TIME")]
    pub from: Option<String>,
    /// Leave out what was after this date or time; a date means the end of that day
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

impl When {
    /// Returns both ends, and says what they came to.
    pub fn bounds(&self, ui: &Ui) -> Result<(Bound, Bound)> {
        let (from, until) = timeframe::bounds(self.from.as_deref(), self.to.as_deref(), ui.zone())?;
        ui.window(from, until);
        Ok((from, until))
    }
}

/// Are the arguments that narrow down what is found.
#[derive(Debug, clap::Args)]
pub struct Found {
    #[command(flatten)]
    pub whose: Whose,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    which: Box<Which>,
    /// Only one conversation
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Show at most this many results
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    limit: Option<u16>,
}

impl Found {
    /// Returns what narrows down a query, and says so: what was meant as a word may be an option.
    pub async fn filter(
        &mut self,
        words: &mut Vec<String>,
        memory: &Memory,
        ui: &Ui,
    ) -> Result<Filter> {
        self.whose.among(words, memory, ui).await?;
        let (from, until) = self.when.bounds(ui)?;
        self.which.say(ui);
        let mut filter = memory.filter(self.whose.whom(), from, until).await?;
        if let Some(id) = &self.session {
            let session = session(id, &self.whose, memory).await?.session_id;
            ui.note(&format!("only of the session {}", short_id(&session)));
            filter = filter.in_session(&session);
        }
        self.which.narrow(filter, memory).await
    }

    pub fn limit(&self, default: usize) -> usize {
        self.limit.map_or(default, usize::from)
    }
}
