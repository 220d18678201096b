//! Credentials pass through and are stored nowhere.

use timeslip_wire::Redaction;

use crate::credential::is_credential;
use crate::seen::{Headers, Seen};

/// What stands for a credential.
const REDACTED: &str = "(redacted)";

/// The credentials of one request.
#[derive(Debug, Default)]
pub struct Credentials(Vec<String>);

impl Credentials {
    fn take(&mut self, value: &str) -> String {
        if !value.is_empty() && !self.0.iter().any(|known| known == value) {
            self.0.push(value.to_owned());
        }
        REDACTED.to_owned()
    }

    /// Takes credentials out of headers.
    pub fn headers(&mut self, headers: &Headers) -> Headers {
        let kept = |(name, value): &(String, String)| {
            let value = match is_credential(name) {
                true => self.take(value),
                false => value.clone(),
            };
            (name.clone(), value)
        };
        headers.iter().map(kept).collect()
    }

    /// Takes credentials out of the query of a path.
    pub fn target(&mut self, target: &str) -> String {
        let Some((path, query)) = target.split_once('?') else {
            return target.to_owned();
        };
        let parameters = query.split('&').map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match is_credential(name) && !value.is_empty() {
                true => format!("{name}={}", self.take(value)),
                false => parameter.to_owned(),
            }
        });
        let parameters: Vec<String> = parameters.collect();
        format!("{path}?{}", parameters.join("&"))
    }

    /// Takes credentials out of all that was said: servers quote the keys that they refuse.
    pub fn clean(&self, seen: &mut Seen) {
        let redaction = Redaction::of(self.0.iter().map(String::as_str));
        for body in [&mut seen.request.bytes, &mut seen.response.bytes] {
            redaction.body(body);
        }
        let headers = seen
            .request_headers
            .iter_mut()
            .chain(&mut seen.response_headers);
        for (_, value) in headers.filter(|(_, value)| *value != REDACTED) {
            *value = redaction.work(std::mem::take(value));
        }
        if let Some(answer) = &mut seen.answer {
            redaction.answer(answer);
        }
        if let Some(problem) = &mut seen.problem {
            *problem = redaction.words(problem);
        }
        if let Some(exchange) = &mut seen.exchange {
            if let Some(error) = &mut exchange.error {
                *error = redaction.words(error);
            }
            for remark in &mut exchange.remarks {
                *remark = redaction.words(remark);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_by_their_names() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "Cookie",
            "set-cookie",
            "chatgpt-account-id",
            "OpenAI-Organization",
            "X-Auth-Token",
            "x-amz-security-token",
            "sec-websocket-protocol",
            "access_token",
            "accessToken",
            "key",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "x-ratelimit-remaining-tokens",
            "content-type",
            "session-id",
            "x-claude-code-session-id",
            "sec-websocket-key",
            "author",
            "x-codex-turn-metadata",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn they_are_taken_out_of_all_that_was_said() {
        let mut credentials = Credentials::default();
        let key = "sk-Aa0123456789";
        let headers = vec![
            ("X-Api-Key".into(), key.to_owned()),
            ("a".into(), "b".into()),
        ];
        let headers = credentials.headers(&headers);
        assert_eq!(headers[0], ("X-Api-Key".into(), REDACTED.into()));
        assert_eq!(
            credentials.target("/v1/x?alt=sse&key=Zz9876543210&token="),
            "/v1/x?alt=sse&key=(redacted)&token="
        );
        let mut seen = Seen::default();
        seen.response.bytes = format!("wrong key {key} or Zz9876543210").into_bytes();
        seen.problem = Some(format!("HTTP 401: wrong key {key}"));
        credentials.clean(&mut seen);
        assert_eq!(seen.response.bytes, b"wrong key *** or ***");
        assert_eq!(seen.problem.as_deref(), Some("HTTP 401: wrong key ***"));
    }
}
