//! Finds the requests of a turn as they were sent.

use anyhow::Result;

use crate::store::open::Store;
use crate::store::tables::context::Sent;
use crate::store::tables::{Filter, Record, Session, one_of};

impl Store {
    /// Returns the exact bodies of the requests of an interaction, in the order they were sent.
    pub async fn context(
        &self,
        filter: &Filter,
        session_id: &str,
        interaction_id: &str,
    ) -> Result<Vec<String>> {
        self.sent(filter, [session_id])
            .await?
            .bodies(interaction_id)
    }

    /// Returns the requests of all turns of some sessions within the filter's scope.
    pub(in crate::store) async fn sent(
        &self,
        filter: &Filter,
        sessions: impl IntoIterator<Item = &str>,
    ) -> Result<Sent> {
        let session = one_of(Session::KEY, sessions);
        let scope = filter.scope_expr();
        let columns = ["interaction_id", "context_verbatim"];
        let turns = self.interactions.select(
            Some(scope.map_or(session.clone(), |scope| scope.and(session))),
            &columns,
            None,
            None,
        );
        let turns = turns.await?.into_iter();
        Ok(turns
            .map(|turn| (turn.interaction_id, turn.context_verbatim))
            .collect())
    }
}
