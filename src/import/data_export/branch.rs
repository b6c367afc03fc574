//! Finds, in a tree of messages, the branch that was shown.

use chrono::{DateTime, Utc};

/// Is a message in a tree: the place of the one before it, and its time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Node {
    pub parent: Option<usize>,
    pub time: Option<DateTime<Utc>>,
}

/// Returns the places of the messages on the branch that was shown, from the first on: the one that ends where the source says, or
/// else in the newest message that nothing follows. Messages of which none follows another are no tree: they were shown one after
/// the other.
pub fn shown(nodes: &[Node], last: Option<usize>) -> Vec<usize> {
    if nodes.iter().all(|node| node.parent.is_none()) {
        let mut all: Vec<usize> = (0..nodes.len()).collect();
        let mut latest = None;
        let times: Vec<_> = all
            .iter()
            .map(|&at| {
                latest = nodes[at].time.or(latest);
                latest
            })
            .collect();
        all.sort_by_key(|&at| times[at]);
        return all;
    }
    if let Some(last) = last {
        return path(nodes, last);
    }
    let mut is_followed = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if let Some(parent) = node.parent.filter(|&parent| parent != at) {
            is_followed[parent] = true;
        }
    }
    let ends = (0..nodes.len()).filter(|&at| !is_followed[at]);
    let paths = ends.map(|at| path(nodes, at));
    let newest = paths.max_by_key(|path| {
        let time = path.iter().rev().find_map(|&at| nodes[at].time);
        (time, path.len())
    });
    // Where each follows another they go in a circle.
    newest.unwrap_or_else(|| path(nodes, nodes.len().saturating_sub(1)))
}

/// Returns the way to a message; a damaged tree may go in circles.
fn path(nodes: &[Node], last: usize) -> Vec<usize> {
    let mut is_there = vec![false; nodes.len()];
    let mut path = Vec::new();
    let mut at = Some(last);
    while let Some(place) = at.filter(|&place| place < nodes.len() && !is_there[place]) {
        is_there[place] = true;
        path.push(place);
        at = nodes[place].parent;
    }
    path.reverse();
    path
}

/// Returns the messages that are not on a branch, in their order.
pub fn aside(nodes: &[Node], branch: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let mut is_there = vec![false; nodes.len()];
    for &at in branch {
        is_there[at] = true;
    }
    let aside = is_there.into_iter().enumerate();
    aside.filter(|(_, there)| !there).map(|(at, _)| at)
}
