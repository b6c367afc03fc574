//! Acts on the machine: what a model may call. The tool itself says whether it needs approval.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::conversation::ToolSpec;

/// Does one thing that a model may ask for.
pub trait Tool: Send + Sync {
    /// Returns what the model is told of the tool.
    fn spec(&self) -> ToolSpec;
    /// Returns whether a call may change anything; when in doubt, `true`: it needs approval.
    fn mutates(&self) -> bool;
    /// Runs the tool. An error is told to the model and does not end the turn.
    fn call(&self, arguments: Value) -> BoxFuture<'_, anyhow::Result<String>>;
}

/// Holds the tools that a model is offered.
#[derive(Clone, Default)]
pub struct Toolbox(pub Vec<Arc<dyn Tool>>);

impl Toolbox {
    /// Returns what the model is told of each tool.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.0.iter().map(|tool| tool.spec()).collect()
    }

    /// Returns the tool of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.0.iter().find(|tool| tool.spec().name == name)
    }
}
