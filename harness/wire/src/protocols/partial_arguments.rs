//! Arguments of a Gemini call that come in pieces (`partialArgs`): each a value, or more of
//! a text, at a path such as `$.files[0].name`.

use serde_json::{Map, Value, json};

use super::StreamError;
use super::fields::{MAX_PARTS, length, too_many};

/// Deepest path; no honest argument is deeper.
const MAX_DEPTH: usize = 32;
/// Elements of a list that may be left out until they come.
const MAX_GAP: usize = 8;

/// A call in the making.
#[derive(Debug, Default)]
pub(super) struct Growing {
    call: Map<String, Value>,
    arguments: Value,
    signature: Option<String>,
}

impl Growing {
    /// Takes one piece: fields of the call, and what its arguments grow by.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] when a list among the arguments has no honest length.
    pub fn take(
        &mut self,
        call: &Value,
        signature: Option<&str>,
        pieces: &Value,
    ) -> Result<(), StreamError> {
        self.signature = signature.map(str::to_owned).or(self.signature.take());
        for (name, value) in call.as_object().into_iter().flatten() {
            match name.as_str() {
                "willContinue" | "partialArgs" => {}
                "args" => merge(&mut self.arguments, value),
                _ => {
                    self.call
                        .entry(name.as_str())
                        .or_insert_with(|| value.clone());
                }
            }
        }
        for piece in pieces.as_array().into_iter().flatten() {
            let path = piece["jsonPath"].as_str().unwrap_or_default();
            let Some(place) = place(&mut self.arguments, path)? else {
                continue;
            };
            match (place, value(piece)) {
                (Value::String(text), Some(Value::String(more))) => text.push_str(more),
                (place, Some(value)) => *place = value.clone(),
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// The whole call as it would have come at once, and its signature.
    pub fn finish(self) -> (Value, Option<String>) {
        let mut call = self.call;
        let arguments = match self.arguments {
            Value::Null => json!({}),
            arguments => arguments,
        };
        call.insert("args".into(), arguments);
        (Value::Object(call), self.signature)
    }
}

/// Bytes of arguments in some pieces.
pub(super) fn bytes(pieces: &Value) -> u32 {
    let pieces = pieces.as_array().into_iter().flatten();
    let lengths = pieces.filter_map(value).map(|value| match value {
        Value::String(text) => length(text),
        other => length(&other.to_string()),
    });
    lengths.fold(0, u32::saturating_add)
}

/// The value of a piece, by whichever type names it.
fn value(piece: &Value) -> Option<&Value> {
    const NULL: &Value = &Value::Null;
    if piece.get("nullValue").is_some() {
        return Some(NULL);
    }
    [
        "stringValue",
        "numberValue",
        "boolValue",
        "structValue",
        "listValue",
    ]
    .into_iter()
    .find_map(|name| piece.get(name))
}

fn merge(arguments: &mut Value, more: &Value) {
    match (arguments, more) {
        (Value::Object(known), Value::Object(more)) => known.extend(more.clone()),
        (arguments, more) if arguments.is_null() => *arguments = more.clone(),
        _ => {}
    }
}

/// The place at a path, made where it is not there yet; `None` for a path that is none.
fn place<'a>(root: &'a mut Value, path: &str) -> Result<Option<&'a mut Value>, StreamError> {
    let path = path.strip_prefix('$').unwrap_or(path);
    let names = path.split(['.', '[', ']']).filter(|name| !name.is_empty());
    let names: Vec<&str> = names.map(|name| name.trim_matches(['\'', '"'])).collect();
    if names.is_empty() || names.len() > MAX_DEPTH {
        return Ok(None);
    }
    let mut at = root;
    for name in names {
        let index = name.parse::<usize>().ok().filter(|_| !at.is_object());
        at = match index {
            Some(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let Value::Array(list) = at else {
                    return Ok(None);
                };
                if index >= MAX_PARTS || index > list.len() + MAX_GAP {
                    return Err(too_many("elements of a list"));
                }
                if list.len() <= index {
                    list.resize(index + 1, Value::Null);
                }
                &mut list[index]
            }
            None => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[name]
            }
        };
    }
    Ok(Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_go_to_their_paths() {
        let mut growing = Growing::default();
        let pieces = json!([
            { "jsonPath": "$.command", "stringValue": "l" },
            { "jsonPath": "$.command", "stringValue": "s" },
            { "jsonPath": "$.files[1].name", "stringValue": "a" },
            { "jsonPath": "$['files'][0]", "nullValue": "NULL_VALUE" },
            { "jsonPath": "$.limit", "numberValue": 3 },
            { "jsonPath": "$", "numberValue": 3 },
            7,
        ]);
        let call = json!({ "name": "shell", "willContinue": true });
        growing.take(&call, Some("SIG"), &pieces).unwrap();
        growing
            .take(&json!({ "id": "a" }), None, &Value::Null)
            .unwrap();
        let args = json!({ "command": "ls", "files": [null, { "name": "a" }], "limit": 3 });
        let whole = json!({ "name": "shell", "id": "a", "args": args });
        assert_eq!(growing.finish(), (whole, Some("SIG".into())));
        let mut growing = Growing::default();
        let far = json!([{ "jsonPath": "$.a[99999999]", "boolValue": true }]);
        assert!(growing.take(&call, None, &far).is_err());
    }
}
