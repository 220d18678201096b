//! Secrets taken out of what servers and tools say, before any of it is kept.
//!
//! Some servers echo what they were sent. A secret is looked for as it is and in the
//! encodings that it usually travels in. Whole texts are searched, of finished exchanges:
//! nothing of this happens while a stream is read.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use memchr::memmem::Finder;
use serde_json::{Map, Value};
use timeslip_datasets::run::journal::{Exchange, Tool};

use crate::protocols::{Answer, ToolCall};

/// Most characters of a server's own words that are kept.
const MAX_WORDS: usize = 1_000;

/// Most characters of a name that a server gives.
const MAX_NAME: usize = 200;

/// Stands for a secret.
const MASK: &str = "***";

/// Bytes of a secret that tell nothing yet.
const HARMLESS: usize = 4;

/// A secret shorter than this is a word that stands for none (`EMPTY`, `ollama`), and so
/// is a longer one up to [`SURELY_SECRET`] of small letters and signs: taking those out of
/// an answer would change what the model does.
const PERHAPS_SECRET: usize = 8;
const SURELY_SECRET: usize = 16;

/// Which texts are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Words of a server for people: every secret, however short.
    Words,
    /// What the model says and the tools print: what is a secret beyond doubt.
    Work,
}

/// The secrets of an endpoint, ready to be looked for.
#[derive(Clone)]
pub struct Redaction {
    secrets: Vec<String>,
    /// Every encoding of every secret, the longest first; whether it is beyond doubt.
    forms: Vec<(Finder<'static>, bool)>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(redaction)")
    }
}

impl Redaction {
    /// One that takes these out.
    #[must_use]
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut whole: Vec<String> = Vec::new();
        for secret in secrets {
            // A header's value may be `Bearer` and the key.
            let parts = secret.split_whitespace().next_back();
            for part in parts.into_iter().chain([secret]) {
                if !part.is_empty() && !whole.iter().any(|known| known == part) {
                    whole.push(part.to_owned());
                }
            }
        }
        let mut forms: Vec<(Vec<u8>, bool)> = Vec::new();
        for secret in &whole {
            let sure = is_surely_secret(secret);
            let encoded = if sure { encodings(secret) } else { Vec::new() };
            for form in encoded.into_iter().chain([secret.clone()]) {
                forms.push((form.into_bytes(), sure));
            }
        }
        forms.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let finder = |(form, sure): (Vec<u8>, bool)| (Finder::new(&form).into_owned(), sure);
        Self {
            secrets: whole,
            forms: forms.into_iter().map(finder).collect(),
        }
    }

    /// A server's words for people, which may have been cut off in the middle of a secret:
    /// first without secrets, then cut to 1,000 characters.
    #[must_use]
    pub fn words(&self, text: &str) -> String {
        let mut text = self
            .without(text, Kind::Words)
            .unwrap_or_else(|| text.to_owned());
        let parts = self.secrets.iter();
        if let Some(length) = parts.filter_map(|secret| part_at_end(&text, secret)).max() {
            text.truncate(text.len() - length);
            text.push_str(MASK);
        }
        if let Some((end, _)) = text.char_indices().nth(MAX_WORDS) {
            text.truncate(end);
        }
        text
    }

    /// What a model said or a tool printed; the text itself where nothing is in it.
    #[must_use]
    pub fn work(&self, text: String) -> String {
        self.without(&text, Kind::Work).unwrap_or(text)
    }

    /// A body of whatever kind.
    pub fn body(&self, body: &mut Vec<u8>) {
        if let Some(without) = self.without_bytes(body, Kind::Work) {
            *body = without;
        }
    }

    /// All that is kept of a model's answer. Its items are not: they go back to the server
    /// as they came.
    pub fn answer(&self, answer: &mut Answer) {
        for text in [&mut answer.reasoning, &mut answer.text] {
            self.in_place(text);
        }
        let names = [
            &mut answer.id,
            &mut answer.served_model,
            &mut answer.served_tier,
            &mut answer.served_speed,
            &mut answer.incomplete,
        ];
        for name in names.into_iter().flatten() {
            self.in_place(name);
        }
        for call in &mut answer.calls {
            self.call(call);
        }
    }

    /// All that a server named in an exchange: it may put anything there. A name is cut to
    /// 200 characters.
    pub fn exchange(&self, exchange: &mut Exchange) {
        let plain = |name: &str| -> String {
            let redacted = self.words(name);
            redacted.chars().take(MAX_NAME).collect()
        };
        let names = [
            &mut exchange.response_id,
            &mut exchange.served_model,
            &mut exchange.served_tier,
            &mut exchange.served_speed,
            &mut exchange.incomplete,
        ];
        let calls = exchange.calls.iter_mut();
        let of_calls = calls.flat_map(|call| [&mut call.call_id, &mut call.name]);
        for name in names.into_iter().flatten().chain(of_calls) {
            *name = plain(name);
        }
        for remark in &mut exchange.remarks {
            *remark = self.words(remark);
        }
        let unknown = std::mem::take(&mut exchange.unknown);
        let unknown = unknown.into_iter();
        exchange.unknown = unknown.map(|(name, count)| (plain(&name), count)).collect();
    }

    /// A line about a tool, and what it printed.
    pub fn tool(&self, tool: &mut Tool, output: &mut String) {
        let texts = [&mut tool.call_id, &mut tool.name, &mut tool.status, output];
        for text in texts {
            self.in_place(text);
        }
    }

    fn call(&self, call: &mut ToolCall) {
        self.in_place(&mut call.call_id);
        self.in_place(&mut call.name);
        self.in_place(&mut call.arguments);
        // Any character of a JSON text may be escaped, or not.
        if call.arguments.contains('\\')
            && let Ok(mut value) = serde_json::from_str(&call.arguments)
            && self.value(&mut value)
        {
            call.arguments = value.to_string();
        }
    }

    /// Whether anything was taken out of a JSON value.
    fn value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.in_place(text),
            Value::Array(values) => values
                .iter_mut()
                .fold(false, |found, value| self.value(value) | found),
            Value::Object(fields) => self.fields(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn fields(&self, fields: &mut Map<String, Value>) -> bool {
        let mut found = false;
        for (mut name, mut value) in std::mem::take(fields) {
            found |= self.in_place(&mut name);
            found |= self.value(&mut value);
            fields.insert(name, value);
        }
        found
    }

    fn in_place(&self, text: &mut String) -> bool {
        let without = self.without(text, Kind::Work);
        let found = without.is_some();
        if let Some(without) = without {
            *text = without;
        }
        found
    }

    /// The text without secrets; `None` where it has none.
    fn without(&self, text: &str, kind: Kind) -> Option<String> {
        let without = self.without_bytes(text.as_bytes(), kind)?;
        // Texts were taken out of a text.
        Some(String::from_utf8_lossy(&without).into_owned())
    }

    fn without_bytes(&self, text: &[u8], kind: Kind) -> Option<Vec<u8>> {
        let mut changed: Option<Vec<u8>> = None;
        for (finder, sure) in &self.forms {
            if kind == Kind::Work && !sure {
                continue;
            }
            let current = changed.as_deref().unwrap_or(text);
            let mut places = finder.find_iter(current).peekable();
            if places.peek().is_none() {
                continue;
            }
            let (mut without, mut from) = (Vec::with_capacity(current.len()), 0);
            for place in places {
                without.extend_from_slice(&current[from..place]);
                without.extend_from_slice(MASK.as_bytes());
                from = place + finder.needle().len();
            }
            without.extend_from_slice(&current[from..]);
            changed = Some(without);
        }
        changed
    }
}

fn is_surely_secret(secret: &str) -> bool {
    let telling = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    secret.len() >= SURELY_SECRET || secret.len() >= PERHAPS_SECRET && secret.bytes().any(telling)
}

/// What a secret looks like in the encodings that servers and programs use.
fn encodings(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let percent = |kept: fn(u8) -> bool, hex: &data_encoding::Encoding| -> String {
        let each = bytes.iter().map(|byte| match kept(*byte) {
            true => char::from(*byte).to_string(),
            false => format!("%{}", hex.encode(&[*byte])),
        });
        each.collect()
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = json_escaped(secret);
    let units = |hex: &data_encoding::Encoding| -> String {
        let units = secret.encode_utf16();
        units
            .map(|unit| format!("\\u{}", hex.encode(&unit.to_be_bytes())))
            .collect()
    };
    let mut forms = vec![
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
        percent(unreserved, &HEXUPPER),
        percent(unreserved, &HEXLOWER),
        percent(|_| false, &HEXUPPER),
        percent(|_| false, &HEXLOWER),
        escaped.replace('/', "\\/"),
        json_escaped(&escaped),
        escaped,
        units(&HEXLOWER),
        units(&HEXUPPER),
    ];
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        forms.extend((0..3).map(|before| base64_within(bytes, before, encoding)));
    }
    forms
}

/// As it stands in a JSON text.
fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// What base64 of a longer text with the secret in it looks like for certain, with
/// `before` more bytes than a multiple of three in front of it.
fn base64_within(secret: &[u8], before: usize, encoding: &data_encoding::Encoding) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret);
    let encoded = encoding.encode(&bytes);
    // A character stands for six bits; those of one beside the secret are another's, too.
    let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    encoded.get(from..to).unwrap_or_default().to_owned()
}

/// Length of the longest beginning of the secret that the text ends with.
fn part_at_end(text: &str, secret: &str) -> Option<usize> {
    let parts = (HARMLESS..secret.len()).rev();
    let mut parts = parts.filter_map(|length| secret.get(..length));
    parts.find(|part| text.ends_with(part)).map(str::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, BASE64URL};
    use timeslip_datasets::run::journal::CallArrival;

    const KEY: &str = "sk-Te/st+\"K3y\"~4711?";

    fn redaction() -> Redaction {
        Redaction::of([KEY])
    }

    #[test]
    fn a_key_is_found_however_it_is_written() {
        let quoted = Value::from(KEY).to_string();
        let mut written = vec![
            KEY.to_owned(),
            format!("Bearer {KEY}"),
            quoted.clone(),
            Value::from(quoted).to_string(),
            "sk-Te%2Fst%2B%22K3y%22~4711%3F".to_owned(),
            "sk-Te%2fst%2b%22K3y%22~4711%3f".to_owned(),
            HEXLOWER.encode(KEY.as_bytes()),
            HEXUPPER.encode(KEY.as_bytes()),
        ];
        for around in ["", "x", "xy", "user:", "Bearer "] {
            let text = format!("{around}{KEY}{around}");
            written.push(BASE64.encode(text.as_bytes()));
            written.push(BASE64URL.encode(text.as_bytes()));
        }
        for text in written {
            let without = redaction().work(format!("a {text} b"));
            assert!(without.contains(MASK), "{text}: {without}");
            for part in ["4711", "K3y", "sk-Te"] {
                assert!(!without.contains(part), "{text}: {without}");
            }
        }
    }

    #[test]
    fn names_in_an_exchange_are_without_secrets_and_short() {
        let call = CallArrival {
            call_id: format!("call {KEY}"),
            name: format!("{KEY}{}", "x".repeat(2 * MAX_NAME)),
            at: 7,
        };
        let mut exchange = Exchange {
            response_id: Some(KEY.to_owned()),
            calls: vec![call],
            ..Exchange::default()
        };
        redaction().exchange(&mut exchange);
        assert_eq!(exchange.response_id.as_deref(), Some(MASK));
        let CallArrival { call_id, name, at } = &exchange.calls[0];
        assert_eq!((call_id.as_str(), *at), ("call ***", 7));
        assert!(name.starts_with(MASK) && name.len() == MAX_NAME, "{name}");
    }

    #[test]
    fn arguments_are_searched_as_they_will_be_read() {
        let escaped: String = KEY
            .chars()
            .enumerate()
            .fold(String::new(), |text, (at, c)| match at % 2 == 0 {
                true => format!("{text}\\u{:04x}", c as u32),
                false => text + &json_escaped(&c.to_string()),
            });
        let mut answer = Answer {
            calls: vec![ToolCall {
                call_id: KEY.to_owned(),
                name: KEY.to_owned(),
                arguments: format!(r#"{{"command":"echo {escaped}","{escaped}":[1]}}"#),
            }],
            text: format!("the key is {KEY}"),
            ..Answer::default()
        };
        redaction().answer(&mut answer);
        let call = ToolCall {
            call_id: MASK.to_owned(),
            name: MASK.to_owned(),
            arguments: r#"{"command":"echo ***","***":[1]}"#.to_owned(),
        };
        assert_eq!(
            (answer.calls, answer.text),
            (vec![call], "the key is ***".to_owned())
        );
    }

    #[test]
    fn what_stands_for_no_key_stays_in_the_work() {
        for word in ["EMPTY", "ollama", "anything", "not-needed"] {
            let redaction = Redaction::of([word]);
            let text = format!("grep {word} file");
            assert_eq!(redaction.work(text.clone()), text);
            assert_eq!(redaction.words(&text), "grep *** file");
        }
        assert_eq!(redaction().work("untouched".to_owned()), "untouched");
        assert_eq!(Redaction::of([""]).words("untouched"), "untouched");
    }

    #[test]
    fn words_cut_off_in_a_key_show_none_of_it() {
        assert_eq!(redaction().words("wrong key sk-Te/s"), "wrong key ***");
        let header = Redaction::of(["Bearer abc-123-def-456"]);
        assert_eq!(header.words("abc-123-def-456 is wrong"), "*** is wrong");
    }
}
