//! Tool calls, put together from the pieces that streams cut them into.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fields::{MAX_PARTS, too_many};
use super::{StreamError, ToolCall};

/// A piece of a call. What a server leaves out is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    pub index: Option<u64>,
    pub id: &'a str,
    pub name: &'a str,
    pub arguments: &'a str,
}

/// A call in the making.
#[derive(Debug, Default)]
struct Pending {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    braces: Braces,
    /// Fields of its own that go back with it.
    extra: Map<String, Value>,
}

/// Where a JSON text is, without reading it again.
#[derive(Debug, Default)]
struct Braces {
    depth: u32,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Braces {
    fn take(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if std::mem::take(&mut self.escaped) => {}
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether an object or a list began and has ended.
    fn closed(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

impl Pending {
    fn is_at(&self, index: Option<u64>) -> bool {
        index.is_some() && self.index == index
    }

    /// Whether a piece goes on with this call, which it names by id or index, or which is
    /// the latest: ids move from piece to piece, names repeat, and calls follow each other
    /// under one id or index.
    fn goes_on_with(&self, piece: &Piece<'_>) -> bool {
        let Piece {
            index,
            id,
            name,
            arguments,
        } = *piece;
        let same_id = !id.is_empty() && self.id == id;
        let other_id = !id.is_empty() && !self.id.is_empty() && self.id != id;
        let other_index = index.is_some() && self.index.is_some() && self.index != index;
        let other_name = !name.is_empty() && !self.name.is_empty() && self.name != name;
        if name.is_empty() {
            // After the end of its arguments another id is another call's.
            return !(other_id && self.braces.closed());
        }
        if other_index || other_id && (other_name || index.is_none()) {
            return false;
        }
        if self.braces.closed() {
            // Named again with nothing to add, or sent whole once more.
            let repeated = arguments.is_empty() && (same_id || index.is_some());
            return repeated && !other_id && !other_name || same_id && self.arguments == arguments;
        }
        // A name comes in pieces before the arguments only.
        !other_name || self.arguments.is_empty() || same_id
    }

    fn take(&mut self, piece: &Piece<'_>) {
        let Piece {
            index,
            id,
            name,
            arguments,
        } = *piece;
        self.index = self.index.or(index);
        if self.id.is_empty() {
            id.clone_into(&mut self.id);
        }
        // A name comes once, in pieces, or whole with every piece.
        if self.name != name && self.arguments.is_empty() {
            self.name.push_str(name);
        }
        let again = !name.is_empty() && self.braces.closed() && self.arguments == arguments;
        if !again {
            self.braces.take(arguments);
            self.arguments.push_str(arguments);
        }
    }
}

/// The calls of one answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Pending>);

impl Calls {
    /// Takes one piece: it belongs to the call with its id and index, else with its id,
    /// else with its index, or else to the latest one, unless it begins another. Returns
    /// the place of that call in the answer.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when there are too many calls.
    pub fn delta(&mut self, piece: Piece<'_>) -> Result<usize, StreamError> {
        let of_id = |call: &Pending| !piece.id.is_empty() && call.id == piece.id;
        let of_index = |call: &Pending| call.is_at(piece.index);
        let both = self
            .0
            .iter()
            .rposition(|call| of_id(call) && of_index(call));
        let found = both
            .or_else(|| self.0.iter().rposition(of_id))
            .or_else(|| self.0.iter().rposition(of_index))
            .or_else(|| {
                self.0
                    .len()
                    .checked_sub(1)
                    .filter(|_| piece.index.is_none())
            });
        let found = found.filter(|at| self.0[*at].goes_on_with(&piece));
        let at = match found {
            Some(at) => at,
            None if self.0.len() == MAX_PARTS => return Err(too_many("tool calls")),
            None => {
                self.0.push(Pending::default());
                self.0.len() - 1
            }
        };
        self.0[at].take(&piece);
        Ok(at)
    }

    /// Keeps fields that came with the latest piece of a call, to go back with the call.
    pub fn keep(&mut self, index: Option<u64>, extra: impl Iterator<Item = (&'static str, Value)>) {
        let of_index = self.0.iter().rposition(|call| call.is_at(index));
        let at = of_index.or_else(|| self.0.len().checked_sub(1));
        let Some(call) = at.map(|at| &mut self.0[at]) else {
            return;
        };
        for (name, value) in extra {
            call.extra.insert(name.to_owned(), value);
        }
    }

    /// The fields that go back with each call.
    pub fn extras(&mut self) -> Vec<Map<String, Value>> {
        let calls = self.0.iter_mut();
        calls.map(|call| std::mem::take(&mut call.extra)).collect()
    }

    /// Takes a call that comes whole; returns its place in the answer.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when there are too many calls.
    pub fn whole(
        &mut self,
        id: Option<&str>,
        name: &str,
        arguments: String,
    ) -> Result<usize, StreamError> {
        if self.0.len() == MAX_PARTS {
            return Err(too_many("tool calls"));
        }
        self.0.push(Pending {
            id: id.unwrap_or_default().to_owned(),
            name: name.to_owned(),
            arguments,
            ..Pending::default()
        });
        Ok(self.0.len() - 1)
    }

    /// The place that the next call will have.
    pub fn next(&self) -> usize {
        self.0.len()
    }

    /// The calls, each with an id that no other call of the answer has.
    pub fn finish(self, response: Option<&str>) -> Vec<ToolCall> {
        let calls = self.0.into_iter().map(|call| ToolCall {
            call_id: call.id,
            name: call.name,
            arguments: match call.arguments.is_empty() {
                true => "{}".into(),
                false => call.arguments,
            },
        });
        let mut calls: Vec<ToolCall> = calls.collect();
        tell_apart(&mut calls, response);
        calls
    }
}

/// Gives every call an id that no other call of the answer has; where the server did not.
pub(super) fn tell_apart(calls: &mut [ToolCall], response: Option<&str>) {
    let mut known = HashSet::from([String::new()]);
    for (at, call) in calls.iter_mut().enumerate() {
        if !known.insert(call.call_id.clone()) {
            call.call_id = format!("{}-call-{at}", response.unwrap_or("response"));
        }
    }
}

/// Calls whose results have not been sent back yet. Some protocols want a result to name
/// its function again, which a call's id alone does not tell.
#[derive(Debug, Default)]
pub(super) struct Unanswered(Vec<(Option<String>, String)>);

impl Unanswered {
    /// The model called a function.
    pub fn called(&mut self, id: Option<&str>, name: &str) {
        let id = id.filter(|id| !id.is_empty()).map(str::to_owned);
        self.0.push((id, name.to_owned()));
    }

    /// The server's own id and the function of the call that a result answers: the call
    /// with that id, else the first of those to which the server gave none, or else the
    /// first of all, because results come in the order of the calls.
    pub fn answered(&mut self, call_id: &str) -> (Option<String>, String) {
        let with_id = self
            .0
            .iter()
            .position(|(id, _)| id.as_deref() == Some(call_id));
        let without = || self.0.iter().position(|(id, _)| id.is_none());
        let any = || (!self.0.is_empty()).then_some(0);
        match with_id.or_else(without).or_else(any) {
            Some(at) => self.0.remove(at),
            None => (Some(call_id.to_owned()), "unknown".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Part = (Option<u64>, &'static str, &'static str, &'static str);

    fn assembled(pieces: &[Part]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        for (index, id, name, arguments) in pieces {
            let piece = super::Piece {
                index: *index,
                id,
                name,
                arguments,
            };
            calls.delta(piece).unwrap();
        }
        let calls = calls.finish(Some("r"));
        calls
            .into_iter()
            .map(|call| (call.call_id, call.name, call.arguments))
            .collect()
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.into(), name.into(), arguments.into())
    }

    #[test]
    fn pieces_find_their_call() {
        let two = [call("a", "shell", "{1}"), call("b", "edit", "{2}")];
        // As documented, interleaved.
        assert_eq!(
            assembled(&[
                (Some(0), "a", "shell", ""),
                (Some(1), "b", "edit", "{"),
                (Some(0), "", "", "{1}"),
                (Some(1), "", "", "2}"),
            ]),
            two
        );
        // The name split or repeated, the id late or repeated.
        assert_eq!(
            assembled(&[
                (Some(0), "", "she", ""),
                (Some(0), "a", "ll", "{"),
                (Some(0), "a", "", "1}"),
                (Some(1), "b", "edit", "{2"),
                (Some(1), "b", "edit", "}"),
            ]),
            two
        );
        // No index, or the same for all of them.
        for index in [None, Some(0)] {
            assert_eq!(
                assembled(&[
                    (index, "a", "shell", "{"),
                    (index, "a", "", "1}"),
                    (index, "b", "edit", "{2}"),
                ]),
                two
            );
        }
    }

    #[test]
    fn ids_indices_and_names_may_move_and_repeat() {
        let two = [call("a", "shell", "{1}"), call("b", "edit", "{2}")];
        // The id differs after the first piece; the index continues the call.
        for name in ["", "shell"] {
            assert_eq!(
                assembled(&[
                    (Some(0), "a", "shell", ""),
                    (Some(0), "b", name, "{"),
                    (Some(0), "c", name, "1}"),
                ]),
                [call("a", "shell", "{1}")]
            );
        }
        // Whole calls, all at one index, without ids.
        assert_eq!(
            assembled(&[(Some(0), "", "shell", "{1}"), (Some(0), "", "edit", "{2}")]),
            [
                call("r-call-0", "shell", "{1}"),
                call("r-call-1", "edit", "{2}")
            ]
        );
        assert_eq!(
            assembled(&[(Some(0), "", "edit", "{1}"), (Some(0), "", "edit", "{1}")]).len(),
            2
        );
        // The same id for several calls, with and without an index.
        for indices in [[Some(0), Some(1)], [Some(0), Some(0)], [None, None]] {
            assert_eq!(
                assembled(&[
                    (indices[0], "a", "shell", "{1}"),
                    (indices[1], "a", "edit", "{2}"),
                ]),
                [call("a", "shell", "{1}"), call("r-call-1", "edit", "{2}")]
            );
        }
        // Interleaved under one id.
        assert_eq!(
            assembled(&[
                (Some(0), "a", "shell", ""),
                (Some(1), "a", "edit", ""),
                (Some(0), "a", "", "{1}"),
                (Some(1), "a", "", "{2}"),
            ])[1],
            call("r-call-1", "edit", "{2}")
        );
        // The index moves under one id.
        assert_eq!(
            assembled(&[(Some(0), "a", "shell", "{"), (Some(1), "a", "", "1}")]),
            [call("a", "shell", "{1}")]
        );
        // Named again at the end, or sent whole once more.
        assert_eq!(
            assembled(&[
                (Some(0), "a", "shell", "{1}"),
                (Some(0), "a", "shell", ""),
                (Some(1), "b", "edit", "{2}"),
                (Some(1), "b", "edit", "{2}"),
            ]),
            two
        );
        // Braces in strings end nothing.
        assert_eq!(
            assembled(&[
                (None, "a", "shell", r#"{"c":"}\""#),
                (None, "", "shell", r#"{"}"#),
            ]),
            [call("a", "shell", r#"{"c":"}\"{"}"#)]
        );
    }

    #[test]
    fn missing_ids_are_made_up_and_missing_arguments_are_none() {
        assert_eq!(
            assembled(&[(None, "", "shell", "{1}"), (None, "", "submit", "")]),
            [
                call("r-call-0", "shell", "{1}"),
                call("r-call-1", "submit", "{}")
            ]
        );
    }

    #[test]
    fn no_two_calls_have_the_same_id_and_each_result_still_finds_its_own() {
        let mut calls = Calls::default();
        let mut open = Unanswered::default();
        for name in ["shell", "edit", "submit"] {
            calls.whole(Some("a"), name, "{}".into()).unwrap();
            open.called(Some("a"), name);
        }
        let calls = calls.finish(Some("r"));
        let ids: Vec<&str> = calls.iter().map(|call| call.call_id.as_str()).collect();
        assert_eq!(ids, ["a", "r-call-1", "r-call-2"]);
        for call in &calls {
            let (id, name) = open.answered(&call.call_id);
            assert_eq!((id.as_deref(), name), (Some("a"), call.name.clone()));
        }
    }

    #[test]
    fn there_is_a_limit() {
        let mut calls = Calls::default();
        let mut add = |index| {
            calls.delta(super::Piece {
                index: Some(index),
                ..super::Piece::default()
            })
        };
        assert!((0..MAX_PARTS as u64).all(|index| add(index).is_ok()));
        assert!(add(MAX_PARTS as u64).is_err());
        assert!(add(0).is_ok());
    }

    #[test]
    fn results_find_their_function() {
        let mut open = Unanswered::default();
        open.called(None, "shell");
        open.called(Some("b"), "edit");
        open.called(None, "submit");
        assert_eq!(open.answered("b"), (Some("b".into()), "edit".into()));
        assert_eq!(open.answered("r-call-0"), (None, "shell".into()));
        assert_eq!(open.answered("r-call-2"), (None, "submit".into()));
        assert_eq!(open.answered("x"), (Some("x".into()), "unknown".into()));
    }
}
