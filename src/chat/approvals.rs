//! What needs no question any more until the conversation ends.

use super::Chat;
use crate::conversation::ToolCall;
use crate::tools::{Cover, Preview};

/// Holds what a person has approved for the rest of a conversation: of a tool, all or some of its calls.
#[derive(Debug, Default)]
pub struct Approvals(Vec<(String, Cover)>);

impl Approvals {
    /// Returns whether a call has been approved with another one.
    pub fn cover(&self, call: &ToolCall, preview: &Preview) -> bool {
        let mut approved = self.0.iter();
        !matches!(preview.cover, Cover::Call(_))
            && approved.any(|(tool, cover)| *tool == call.name && *cover == preview.cover)
    }

    /// Takes down that a call was approved, and with it what it covers.
    pub fn add(&mut self, call: &ToolCall, preview: &Preview) {
        self.0.push((call.name.clone(), preview.cover.clone()));
    }
}

impl Chat {
    /// Returns what needs no question any more of what a tool may do.
    pub fn approved(&self, tool: &str) -> Vec<Cover> {
        if self.settings.approves_all {
            return vec![Cover::Tool];
        }
        let approved = self.live.approvals.0.iter();
        let approved = approved.filter(|(name, _)| name == tool);
        approved.map(|(_, cover)| cover.clone()).collect()
    }

    /// Has a tool ask again.
    pub fn revoke(&mut self, tool: &str) {
        self.live.approvals.0.retain(|(name, _)| name != tool);
    }
}
