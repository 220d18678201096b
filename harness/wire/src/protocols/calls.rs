//! Tool calls, put together from the pieces that streams cut them into.

use std::collections::HashSet;

use super::fields::{MAX_PARTS, too_many};
use super::{StreamError, ToolCall};

/// A call in the making.
#[derive(Debug, Default)]
struct Pending {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// The calls of one answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Pending>);

impl Calls {
    /// Takes one piece. What a server leaves out is empty.
    ///
    /// A piece belongs to the call with its id; without an id, to that with its index;
    /// without both, to the latest one, unless it names a function after arguments.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when there are too many calls.
    pub fn delta(
        &mut self,
        index: Option<u64>,
        id: &str,
        name: &str,
        arguments: &str,
    ) -> Result<(), StreamError> {
        let latest = self.0.len().checked_sub(1);
        let found = if !id.is_empty() {
            let known = self.0.iter().rposition(|call| call.id == id);
            // The id of a call may come after its beginning.
            known.or_else(|| {
                let of_index = |call: &Pending| call.id.is_empty() && call.index == index;
                index.and_then(|_| self.0.iter().rposition(of_index))
            })
        } else if index.is_some() {
            self.0.iter().rposition(|call| call.index == index)
        } else {
            latest.filter(|at| name.is_empty() || self.0[*at].arguments.is_empty())
        };
        let at = match found {
            Some(at) => at,
            None if self.0.len() == MAX_PARTS => return Err(too_many("tool calls")),
            None => {
                self.0.push(Pending::default());
                self.0.len() - 1
            }
        };
        let call = &mut self.0[at];
        call.index = call.index.or(index);
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        // A name comes once, in pieces, or whole with every piece.
        if call.name != name {
            call.name.push_str(name);
        }
        call.arguments.push_str(arguments);
        Ok(())
    }

    /// Takes a call that comes whole.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when there are too many calls.
    pub fn whole(
        &mut self,
        id: Option<&str>,
        name: &str,
        arguments: String,
    ) -> Result<(), StreamError> {
        if self.0.len() == MAX_PARTS {
            return Err(too_many("tool calls"));
        }
        self.0.push(Pending {
            index: None,
            id: id.unwrap_or_default().to_owned(),
            name: name.to_owned(),
            arguments,
        });
        Ok(())
    }

    /// The calls, each with an id that no other call of the answer has.
    pub fn finish(self, response: Option<&str>) -> Vec<ToolCall> {
        let mut known = HashSet::from([String::new()]);
        let number = |(at, call): (usize, Pending)| ToolCall {
            call_id: if known.insert(call.id.clone()) {
                call.id
            } else {
                format!("{}-call-{at}", response.unwrap_or("response"))
            },
            name: call.name,
            arguments: if call.arguments.is_empty() {
                "{}".into()
            } else {
                call.arguments
            },
        };
        self.0.into_iter().enumerate().map(number).collect()
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

    type Piece = (Option<u64>, &'static str, &'static str, &'static str);

    fn assembled(pieces: &[Piece]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        for (index, id, name, arguments) in pieces {
            calls.delta(*index, id, name, arguments).unwrap();
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
        let mut add = |index| calls.delta(Some(index), "", "", "");
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
