//! `current_time`: what time it is here.

use anyhow::Result;
use chrono::{Local, SecondsFormat, Utc};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Tool, spec};
use crate::conversation::ToolSpec;

/// Tells the time.
pub struct CurrentTime;

impl Tool for CurrentTime {
    fn spec(&self) -> ToolSpec {
        spec(
            "current_time",
            "Tell the current date and time, local and in UTC.",
            json!({}),
            &[],
        )
    }

    fn mutates(&self) -> bool {
        false
    }

    fn call(&self, _arguments: Value) -> BoxFuture<'_, Result<String>> {
        Box::pin(async {
            let now = Utc::now();
            Ok(format!(
                "{} ({} UTC)",
                now.with_timezone(&Local).format("%A %Y-%m-%d %H:%M:%S %:z"),
                now.to_rfc3339_opts(SecondsFormat::Secs, true)
            ))
        })
    }
}
