//! Errors as servers describe them: in any shape, in their own words.

use serde_json::Value;

use super::{StreamError, room};
use crate::retry_after;

/// Fields that hold what a server says, the usual one first.
const WORDS: [&str; 11] = [
    "message",
    "msg",
    "detail",
    "details",
    "error_description",
    "error_message",
    "status_msg",
    "faultstring",
    "reason",
    "description",
    "title",
];
/// Fields that hold an HTTP status, as a number or its digits.
const STATUSES: [&str; 5] = ["status", "status_code", "code", "http_code", "statusCode"];
/// Fields under which a whole error is put.
const WRAPPERS: [&str; 5] = ["error", "errors", "fault", "base_resp", "err"];

/// Codes of MiniMax, which come in place of a status.
const BASE_RESP: [(i64, u16); 10] = [
    (1000, 500),
    (1001, 504),
    (1002, 429),
    (1004, 401),
    (1008, 402),
    (1013, 500),
    (1024, 500),
    (1033, 500),
    (1039, 429),
    (2013, 400),
];

/// An error as a server describes it: an object of the usual fields, a list of such, or a
/// text alone. Nothing is cut here, because secrets can be taken out of whole texts only.
pub(crate) fn server_error(error: &Value, status: Option<u16>) -> StreamError {
    let status = status.or_else(|| http_status(error));
    let error = unwrapped(error);
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let number = |name: &str| error[name].as_i64().map(|number| number.to_string());
    let codes = ["code", "type", "status"];
    let numbers = ["code", "status_code", "status"];
    let code = codes.into_iter().find_map(text);
    let code = code.or_else(|| numbers.into_iter().find_map(number));
    let message = words(error).unwrap_or_else(|| match error {
        Value::Null => "no message".to_owned(),
        other => other.to_string(),
    });
    StreamError::Server {
        status: status.or_else(|| http_status(error)),
        code: code
            .filter(|code| !code.is_empty())
            .unwrap_or_else(|| "error".into()),
        retry_after: retry_after::in_words(&message),
        message,
    }
}

/// What a server names an error by an event of that name: whatever its data are.
pub(crate) fn error_event(data: &[u8]) -> StreamError {
    let value = room::fits(data).then(|| serde_json::from_slice::<Value>(data).ok());
    match value.flatten() {
        Some(value) if !value.is_null() => server_error(&value, None),
        _ => {
            let said = String::from_utf8_lossy(data).trim().to_owned();
            let status = status_in_words(&said);
            server_error(&Value::String(said), status)
        }
    }
}

/// The error that an object without anything else of an answer describes.
pub(crate) fn failure_in(event: &Value) -> Option<StreamError> {
    let wrapped = WRAPPERS.into_iter().any(|name| says_error(&event[name]));
    let named = ["object", "type"]
        .into_iter()
        .any(|name| event[name] == "error");
    let status = http_status(event).is_some_and(|status| status >= 400);
    let refused = event["success"] == false || event["ok"] == false;
    // FastAPI says no more than this.
    let detail = event.as_object().is_some_and(|fields| fields.len() == 1)
        && ["detail", "message", "msg"]
            .into_iter()
            .any(|name| !event[name].is_null());
    (wrapped || named || status || refused || detail).then(|| server_error(event, None))
}

/// Whether the field of an error holds one: many servers send it empty.
pub(crate) fn says_error(field: &Value) -> bool {
    match field {
        Value::Null => false,
        Value::Bool(said) => *said,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(says_error),
        Value::Object(fields) => {
            let fine = fields.get("status_code").is_some_and(|code| code == 0);
            !fields.is_empty() && !fine && fields.values().any(|value| !value.is_null())
        }
    }
}

/// The error itself, out of the objects and lists it is wrapped in.
fn unwrapped(error: &Value) -> &Value {
    let mut inner = error;
    // No server wraps deeper than this.
    for _ in 0..4 {
        let wrapped = WRAPPERS.into_iter().map(|name| &inner[name]);
        let next = match inner {
            Value::Array(list) => list.first(),
            _ => wrapped.into_iter().find(|inner| says_error(inner)),
        };
        match next {
            // A text beside the usual fields is only a name of the error.
            Some(Value::String(_)) if words(inner).is_some() => break,
            Some(next) => inner = next,
            None => break,
        }
    }
    inner
}

/// What a server says, in whichever field.
fn words(error: &Value) -> Option<String> {
    if let Value::String(text) = error {
        return Some(text.clone()).filter(|text| !text.is_empty());
    }
    WORDS.into_iter().find_map(|name| match &error[name] {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(list) => list.iter().find_map(words),
        inner @ Value::Object(_) => words(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    })
}

fn http_status(error: &Value) -> Option<u16> {
    let found = STATUSES.into_iter().find_map(|name| {
        let number = match &error[name] {
            Value::Number(number) => number.as_f64()?,
            Value::String(digits) => digits.trim().parse().ok()?,
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        (100.0..600.0).contains(&number).then_some(number as u16)
    });
    found.or_else(|| {
        let code = error["base_resp"]["status_code"].as_i64();
        let code = code.or_else(|| error["status_code"].as_i64())?;
        let known = BASE_RESP.into_iter().find(|(known, _)| *known == code);
        known.map(|(_, status)| status)
    })
}

/// The status that a text alone names, such as `upstream connect error: 503`.
fn status_in_words(text: &str) -> Option<u16> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| {
        let status = word.parse().ok().filter(|_| word.len() == 3)?;
        (400..600).contains(&status).then_some(status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(error: &StreamError) -> (Option<u16>, String) {
        match error {
            StreamError::Server { status, .. } => (*status, error.to_string()),
            StreamError::Malformed { .. } => (None, error.to_string()),
        }
    }

    #[test]
    fn errors_in_any_shape_are_in_the_servers_own_words() {
        for (event, status, expected) in [
            (json!({"error": "boom"}), None, "error: boom"),
            (
                json!({"error": {"message": "boom", "type": "server_error", "code": 500}}),
                Some(500),
                "server_error: boom",
            ),
            (
                json!({"error": {"message": "boom", "code": "429"}}),
                Some(429),
                "429: boom",
            ),
            (
                json!({"error": {"error": {"message": "boom", "code": 1113}}}),
                None,
                "1113: boom",
            ),
            (
                json!({"errors": [{"message": "boom", "code": 7003}]}),
                None,
                "7003: boom",
            ),
            (
                json!([{"error": {"message": "boom", "status": "UNAVAILABLE", "code": 503}}]),
                Some(503),
                "UNAVAILABLE: boom",
            ),
            (
                json!({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
                Some(402),
                "1008: insufficient balance",
            ),
            (
                json!({"detail": "Not authenticated"}),
                None,
                "error: Not authenticated",
            ),
            (
                json!({"detail": [{"msg": "field required", "loc": ["a"]}]}),
                None,
                "error: field required",
            ),
            (
                json!({"object": "error", "message": "boom", "code": 400}),
                Some(400),
                "400: boom",
            ),
            (
                json!({"success": false, "msg": "boom", "code": 500}),
                Some(500),
                "500: boom",
            ),
            (
                json!({"message": "slow down", "type": "rate_limit_error", "code": 429}),
                Some(429),
                "rate_limit_error: slow down",
            ),
            (json!({"error": {"odd": 1}}), None, r#"error: {"odd":1}"#),
        ] {
            let event = event.get(0).unwrap_or(&event).clone();
            let error = failure_in(&event).unwrap();
            let expected = format!("the server reports {expected}");
            assert_eq!(said(&error), (status, expected), "{event}");
        }
        for fine in [
            json!({"choices": []}),
            json!({"error": null}),
            json!({"error": {}, "id": "a"}),
            json!({"error": {"message": null}, "id": "a"}),
            json!({"base_resp": {"status_code": 0, "status_msg": "success"}}),
        ] {
            assert!(failure_in(&fine).is_none(), "{fine}");
        }
    }

    #[test]
    fn an_event_named_error_is_one_whatever_it_says() {
        let of = |data: &str| said(&error_event(data.as_bytes()));
        let text = "the server reports error: upstream connect error: 503";
        assert_eq!(of("upstream connect error: 503"), (Some(503), text.into()));
        assert_eq!(of("5031 or 99").0, None);
        assert_eq!(of("\"boom\"").1, "the server reports error: boom");
        assert_eq!(of("[1]").1, "the server reports error: 1");
        assert_eq!(of("").1, "the server reports error: \"\"");
    }
}
