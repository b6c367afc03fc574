//! Brings the tables of a store that an earlier program has made up to date, in place.
//!
//! Tables grow by columns alone. Each step is one commit and done once more where it was cut short: the columns, then the registry,
//! which keeps programs out that know less.

use anyhow::{Context, Result};

use super::doctor::{Finding, State};
use crate::store::open::Store;
use crate::store::tables::registry::{self, SCHEMA_VERSION};

impl Store {
    /// Gives the tables the columns that they lack.
    pub(super) async fn upgrade(&self) -> Result<()> {
        // A table that has gone back to an earlier version may lack them whatever the registry says.
        if self.layout == SCHEMA_VERSION && self.lacking().await? == 0 {
            return Ok(());
        }
        let upgrading = async {
            let _upkeep = self.locks.upkeep().await?;
            let _pass = self.locks.enter().await?;
            self.interactions.widen().await?;
            // The registry is not to be on the disk before them.
            self.sync(None).await?;
            registry::set_layout(&self.connection, &self.locks).await?;
            self.sync(None).await
        };
        let place = &self.options.uri;
        upgrading
            .await
            .with_context(|| format!("cannot bring the store at `{place}` up to date"))
    }

    /// Counts the columns that the tables lack.
    async fn lacking(&self) -> Result<usize> {
        Ok(self.interactions.lacking().await?.len())
    }

    /// Says what is still to be done to a store that an earlier program has made; with `fix` it is done.
    pub(super) async fn layout(&self, fix: bool) -> Result<Finding> {
        let (what, lacking) = ("layout", self.lacking().await?);
        let left = self.left().await?;
        if lacking == 0 && left.is_empty() {
            return Ok(Finding::new(what, State::Fine, "up to date"));
        }
        if fix {
            let mut upkeep = self.locks.upkeep().await?;
            self.set_behind(true).await?;
            self.tidy_up(&mut upkeep).await?;
            let detail = format!("brought up to date: {}", left.join(", "));
            return Ok(Finding::new(what, State::Fixed, detail));
        }
        let mut detail = "of an earlier program".to_owned();
        if lacking > 0 {
            let columns = format!(": {lacking} columns are added by whoever opens the store next");
            detail.push_str(&columns);
        }
        if !left.is_empty() {
            let left = format!("; upkeep goes on with {}", left.join(", "));
            detail.push_str(&left);
        }
        Ok(Finding::new(what, State::Odd, detail))
    }
}
