//! OpenAI's words for what is wrong, in both of its protocols.

use serde_json::{Value, json};

use super::checks::{bracketed, quoted, type_of};
use crate::dialect::{Problem, Refusal};

/// What is wrong at a place of a request.
pub(super) fn word(problem: &Problem<'_>, at: &[&str]) -> Refusal {
    let place = bracketed(at);
    let (status, code, message) = match *problem {
        Problem::Missing => (
            400,
            "missing_required_parameter",
            format!("Missing required parameter: '{place}'."),
        ),
        Problem::Empty => (
            400,
            "empty_array",
            format!(
                "Invalid '{place}': empty array. Expected an array with minimum length 1, but got an empty array instead."
            ),
        ),
        Problem::WrongType { wanted, found } => (
            400,
            "invalid_type",
            format!(
                "Invalid type for '{place}': expected {wanted}, but got {} instead.",
                type_of(found)
            ),
        ),
        Problem::OutOfRange { low, found, .. } if found < low => (
            400,
            "below_min_value",
            format!(
                "Invalid '{place}': below minimum value. Expected a value >= {low}, but got {found} instead."
            ),
        ),
        Problem::OutOfRange { high, found, .. } => (
            400,
            "above_max_value",
            format!(
                "Invalid '{place}': above maximum value. Expected a value <= {high}, but got {found} instead."
            ),
        ),
        Problem::UnknownWord { found, known } => (
            400,
            "invalid_value",
            format!(
                "Invalid value: '{found}'. Supported values are: {}.",
                quoted(known)
            ),
        ),
        Problem::UnknownModel { name, known } => (
            404,
            "model_not_found",
            format!(
                "The model '{name}' does not exist or you do not have access to it. This simulated endpoint has {}.",
                quoted(known)
            ),
        ),
    };
    Refusal {
        param: Some(place),
        ..Refusal::new(status, code, message)
    }
}

/// The body of an error.
#[must_use]
pub fn error(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    json!({ "error": {
        "type": kind,
        "code": refusal.code,
        "message": refusal.message,
        "param": refusal.param,
    } })
}
