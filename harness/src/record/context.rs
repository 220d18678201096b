//! Contexts that grow: a request repeats what was said before and adds to it.

use timeslip_wire::protocols::{Digest, ItemKind, ItemSeen, RequestSeen};

/// The context of a request, by what of it stays the same from turn to turn.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// Of each item that counts: its place, and the digest of all up to it.
    grown: Vec<(usize, Digest)>,
}

impl Context {
    pub fn of(seen: &RequestSeen) -> Self {
        let mut grown: Vec<(usize, Digest)> = Vec::new();
        for (place, item) in seen.items.iter().enumerate() {
            let Some(key) = key(item) else { continue };
            let all = grown.last().map_or(key, |(_, before)| before.then(key));
            grown.push((place, all));
        }
        Context { grown }
    }

    /// What all of it is; `None` where nothing counts.
    pub fn whole(&self) -> Option<Digest> {
        self.grown.last().map(|(_, all)| *all)
    }

    /// What it may have grown from, the longest first: the digest of a part from the beginning,
    /// and the place of the first item after it.
    pub fn parts(&self) -> impl Iterator<Item = (Digest, usize)> {
        let shorter = self
            .grown
            .split_last()
            .map_or(&[][..], |(_, shorter)| shorter);
        shorter.iter().rev().map(|(place, all)| (*all, place + 1))
    }
}

/// What of an item stays the same: clients take reasoning out, move instructions, and shorten
/// what tools said long ago.
fn key(item: &ItemSeen) -> Option<Digest> {
    match &item.kind {
        ItemKind::System(_) | ItemKind::Reasoning => None,
        ItemKind::Result {
            call_id: Some(id), ..
        } => Some(Digest::of(&["result", id])),
        ItemKind::User(_)
        | ItemKind::Assistant(_)
        | ItemKind::Call(_)
        | ItemKind::Result { .. }
        | ItemKind::Other(_) => Some(item.hash),
    }
}
