//! Opens a store, brings it up to date, and ends what was cut short in it.

use anyhow::Result;

use crate::conversation::counted;
use crate::store::open::{Options, Store};

impl Store {
    /// Opens the store, and makes it when the place is empty.
    pub async fn open(options: Options) -> Result<Store> {
        let store = Store::connect(options).await?;
        store.upgrade().await?;
        let notice = &store.options.notice;
        match store.resume_removal().await {
            Ok(0) => {}
            Ok(gone) => notice(&format!(
                "removed {} to the end, which was cut short before",
                counted(gone, "interaction")
            )),
            // What is left of it can be read meanwhile: the rows belong together at every step.
            Err(error) => notice(&format!(
                "what was being removed is not gone yet, the next start goes on with it: {error:#}"
            )),
        }
        Ok(store)
    }
}
