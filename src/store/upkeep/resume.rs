//! Opens a store, and ends what was cut short in it.

use anyhow::{Context, Result};

use crate::store::open::{Options, Store};

impl Store {
    /// Opens the store, and makes it when the place is empty.
    pub async fn open(options: Options) -> Result<Store> {
        let store = Store::connect(options).await?;
        let gone = store.resume_removal().await;
        let gone =
            gone.context("cannot go on with what was being removed when it was cut short")?;
        if gone > 0 {
            (store.options.notice)(&format!(
                "went on removing {gone} interaction(s), which was cut short before"
            ));
        }
        Ok(store)
    }
}
