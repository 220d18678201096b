//! The fields of a session file, and what they have to be.

use std::collections::HashSet;
use std::path::{Component, Path};
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::{AnswerStep, Check, Does, ScriptedAct, Session, Typed, Typing, Until};
use crate::run::journal::ActKind;
use crate::{Error, Result, files, is_plain_name};

/// What is read as a session at most.
const MOST_ACTS: usize = 200;
const MOST_KEYS: usize = 2_000;
const MOST_SECONDS: u64 = 24 * 60 * 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    #[expect(dead_code, reason = "for people")]
    description: String,
    #[serde(default)]
    tags: Vec<String>,
    repository: Spanned<String>,
    #[serde(default = "two_minutes")]
    seconds: Spanned<u64>,
    #[serde(default = "first")]
    seed: u64,
    #[serde(default)]
    typing: Typing,
    act: Vec<Spanned<ActTable>>,
}

fn two_minutes() -> Spanned<u64> {
    Spanned::new(0..0, 120)
}

fn first() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActTable {
    name: String,
    kind: ActKind,
    text: Option<String>,
    until: Option<Until>,
    file: Option<String>,
    after: Option<String>,
    typing: Option<Typing>,
    suggestion: Option<String>,
    check: Option<Check>,
    #[serde(default)]
    answer: Vec<AnswerStep>,
    #[serde(default)]
    wrong: Vec<AnswerStep>,
}

/// A file, and where in it.
struct Place<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, at: usize, message: String) -> Error {
        let before = self.text.get(..at).unwrap_or_default();
        let line = 1 + before.matches('\n').count() as u64;
        Error::invalid_line(self.file, line, message)
    }
}

pub(super) fn read(file: &Path) -> Result<Session> {
    let text = files::read_text(file, "it is a session of the real-time mode")?;
    let place = Place { file, text: &text };
    let table: Table = files::parse_toml(file, &text)?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    if !is_plain_name(&name) {
        let message = "has to be named by letters, digits, '-', '_' and '.'";
        return Err(Error::invalid(file, message));
    }
    let repository = table.repository.get_ref();
    if !is_plain_name(repository) {
        let message =
            format!("repository {repository:?} has to be the name of a directory in repositories/");
        return Err(place.error(table.repository.span().start, message));
    }
    let source = file.parent().unwrap_or(Path::new(""));
    let directory = files::member(&source.join("repositories"), repository)?;
    if !directory.join("Dockerfile").is_file() {
        let message = format!(
            "repository {repository:?}: {} has no Dockerfile",
            directory.display()
        );
        return Err(place.error(table.repository.span().start, message));
    }
    let seconds = *table.seconds.get_ref();
    if !(1..=MOST_SECONDS).contains(&seconds) {
        let message = format!("seconds = {seconds} is not between 1 and {MOST_SECONDS}");
        return Err(place.error(table.seconds.span().start, message));
    }
    if table.act.is_empty() || table.act.len() > MOST_ACTS {
        let message = format!(
            "has {} acts; there are 1 to {MOST_ACTS} in a session",
            table.act.len()
        );
        return Err(Error::invalid(file, message));
    }
    let (mut acts, mut names) = (Vec::new(), HashSet::new());
    for act in table.act {
        let at = act.span().start;
        let act = act.into_inner();
        let number = acts.len() + 1;
        let wrong =
            |problem: String| place.error(at, format!("act {number} ({:?}): {problem}", act.name));
        if !names.insert(act.name.clone()) || act.name.trim().is_empty() {
            return Err(wrong("its name has to be given, and once only".to_owned()));
        }
        let made = scripted(&act, table.typing).and_then(|made| follows(&acts, made));
        acts.push(made.map_err(wrong)?);
    }
    Ok(Session {
        name: name.into_owned(),
        tags: table.tags,
        repository: directory,
        time: Duration::from_secs(seconds),
        seed: table.seed,
        acts,
    })
}

/// An act by itself: it has the fields of its kind and no others.
fn scripted(act: &ActTable, typing: Typing) -> Result<ScriptedAct, String> {
    let kind = act.kind;
    let speaks = matches!(kind, ActKind::Ask | ActKind::Steer);
    let fields = [
        ("text", act.text.is_some(), speaks || kind == ActKind::Type),
        ("until", act.until.is_some(), kind == ActKind::Wait),
        ("file", act.file.is_some(), kind == ActKind::Type),
        ("after", act.after.is_some(), kind == ActKind::Type),
    ];
    for (field, is, has_to) in fields {
        match (is, has_to) {
            (true, false) => return Err(format!("{field} means nothing to {}", kind.name())),
            (false, true) => return Err(format!("{} needs {field}", kind.name())),
            _ => {}
        }
    }
    let optional = [
        ("typing", act.typing.is_some(), kind == ActKind::Type),
        (
            "suggestion",
            act.suggestion.is_some(),
            kind == ActKind::Type,
        ),
        ("answer", !act.answer.is_empty(), speaks),
        ("wrong", !act.wrong.is_empty(), speaks),
    ];
    if let Some((field, ..)) = optional.iter().find(|(_, is, may)| *is && !may) {
        return Err(format!("{field} means nothing to {}", kind.name()));
    }
    let check = act.check.clone();
    if let Some(check) = &check {
        checked(check)?;
    }
    let text = || text_of(act.text.as_deref());
    let does = match kind {
        ActKind::Ask => Does::Ask { text: text()? },
        ActKind::Steer => Does::Steer { text: text()? },
        ActKind::Wait => Does::Wait {
            until: condition(act.until.clone())?,
        },
        ActKind::Interrupt => Does::Interrupt,
        ActKind::Accept => Does::Accept,
        ActKind::Reject => Does::Reject,
        ActKind::Undo => Does::Undo,
        ActKind::Type => Does::Type(Typed {
            text: text()?,
            file: below(act.file.as_deref())?,
            after: act.after.clone().unwrap_or_default(),
            typing: human(act.typing.unwrap_or(typing))?,
            suggestion: act.suggestion.clone().unwrap_or_default(),
        }),
    };
    Ok(ScriptedAct {
        name: act.name.clone(),
        does,
        check,
        answer: act.answer.clone(),
        wrong: act.wrong.clone(),
    })
}

/// Whether an act can come after those before it.
fn follows(before: &[ScriptedAct], act: ScriptedAct) -> Result<ScriptedAct, String> {
    let did = |what: fn(&Does) -> bool| before.iter().rev().any(|act| what(&act.does));
    let asked = did(|does| matches!(does, Does::Ask { .. }));
    let typed = did(|does| matches!(does, Does::Type(_)));
    let kind = act.does.kind().name();
    match &act.does {
        Does::Wait { .. } | Does::Interrupt | Does::Steer { .. } if !asked => {
            Err(format!("{kind} needs an ask before it"))
        }
        Does::Interrupt | Does::Steer { .. } if is_checked(before) => Err(format!(
            "{kind} leaves the act before it without an answer to check; give the check to this act"
        )),
        Does::Wait { .. }
            if act
                .check
                .as_ref()
                .is_some_and(|check| check.command.is_some()) =>
        {
            Err("a wait can only check what is said: check.command would take time".to_owned())
        }
        Does::Accept if !typed => Err("accept needs a type before it".to_owned()),
        Does::Reject | Does::Undo if !(asked || typed) => {
            Err(format!("{kind} needs an ask or a type before it"))
        }
        _ => Ok(act),
    }
}

/// Whether the answer under way after these acts is checked.
fn is_checked(acts: &[ScriptedAct]) -> bool {
    let speaks = |act: &&ScriptedAct| matches!(act.does, Does::Ask { .. } | Does::Steer { .. });
    let last = acts.iter().rev().find(speaks);
    last.is_some_and(|act| act.check.is_some())
}

fn text_of(text: Option<&str>) -> Result<String, String> {
    match text {
        Some(text) if text.trim().is_empty() => Err("text is empty".to_owned()),
        Some(text) if text.chars().count() > MOST_KEYS => {
            Err(format!("text has more than {MOST_KEYS} characters"))
        }
        text => Ok(text.unwrap_or_default().to_owned()),
    }
}

fn below(file: Option<&str>) -> Result<String, String> {
    let file = file.unwrap_or_default();
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    match !file.is_empty() && Path::new(file).components().all(plain) {
        true => Ok(file.to_owned()),
        false => Err(format!(
            "file {file:?} is no path below the working directory"
        )),
    }
}

fn human(typing: Typing) -> Result<Typing, String> {
    for (field, value, most) in [
        ("median_ms", typing.median_ms, 60_000.0),
        ("sigma", typing.sigma, 3.0),
        ("debounce_ms", typing.debounce_ms, 60_000.0),
    ] {
        if !(0.0..=most).contains(&value) {
            return Err(format!(
                "typing.{field} = {value} is not between 0 and {most}"
            ));
        }
    }
    Ok(typing)
}

fn condition(until: Option<Until>) -> Result<Until, String> {
    match until {
        Some(Until::Matches(pattern)) => {
            expression("until.matches", &pattern)?;
            Ok(Until::Matches(pattern))
        }
        Some(Until::End(false)) => Err("until.end can only be true".to_owned()),
        Some(Until::Ms(ms)) if ms > MOST_SECONDS * 1000 => {
            Err(format!("until.ms = {ms} is longer than a day"))
        }
        Some(until) => Ok(until),
        None => Ok(Until::End(true)),
    }
}

fn checked(check: &Check) -> Result<(), String> {
    if *check == Check::default() {
        return Err("check is empty; give command, says or says_not".to_owned());
    }
    for (field, pattern) in [
        ("check.says", &check.says),
        ("check.says_not", &check.says_not),
    ] {
        if let Some(pattern) = pattern {
            expression(field, pattern)?;
        }
    }
    Ok(())
}

fn expression(field: &str, pattern: &str) -> Result<(), String> {
    let problem = |error| format!("{field} is no regular expression: {error}");
    Regex::new(pattern).map(drop).map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a session whose acts are these, after five lines of its own.
    fn parse(acts: &str) -> Result<Session> {
        let source = tempfile::tempdir().unwrap();
        let repository = source.path().join("repositories/shop");
        std::fs::create_dir_all(&repository).unwrap();
        std::fs::write(repository.join("Dockerfile"), "FROM x").unwrap();
        let file = source.path().join("s.toml");
        let text = format!("repository = 'shop'\nseed = 3\n[typing]\nmedian_ms = 100\n\n{acts}");
        std::fs::write(&file, text).unwrap();
        read(&file)
    }

    fn wrong(acts: &str) -> String {
        let error = parse(acts).unwrap_err().to_string();
        let (_, rest) = error.split_once("s.toml").unwrap();
        rest.to_owned()
    }

    const ASK: &str = "[[act]]\nname = 'a'\nkind = 'ask'\ntext = 'x'\n";

    #[test]
    fn a_session_is_read_with_what_it_does_not_say() {
        let typed = "[[act]]\nname = 'b'\nkind = 'type'\ntext = 'y'\nfile = 'f.py'\nafter = 'z'\n";
        let session = parse(&format!("{ASK}{typed}")).unwrap();
        assert_eq!((session.name.as_str(), session.seed), ("s", 3));
        assert_eq!(session.time, Duration::from_secs(120));
        let Does::Type(typed) = &session.acts[1].does else {
            panic!("{:?}", session.acts[1]);
        };
        let typing = Typing {
            median_ms: 100.0,
            ..Typing::default()
        };
        assert_eq!((typed.typing, typed.after.as_str()), (typing, "z"));
    }

    #[test]
    fn errors_name_the_line_the_act_and_the_field() {
        for (acts, expected) in [
            (
                "[[act]]\nname = 'a'\nkind = 'ask'\n",
                ":6: act 1 (\"a\"): ask needs text",
            ),
            (
                "[[act]]\nname = 'a'\nkind = 'sak'\n",
                ":8: unknown variant `sak`, expected one of",
            ),
            (
                "[[act]]\nname = 'a'\nkind = 'interrupt'\n",
                ":6: act 1 (\"a\"): interrupt needs an ask before it",
            ),
            (
                "[[act]]\nname = 'a'\nkind = 'ask'\ntext = 'x'\nuntil = { tokens = 3 }\n",
                ":6: act 1 (\"a\"): until means nothing to ask",
            ),
            (
                "[[act]]\nname = 'a'\nkind = 'ask'\ntext = 'x'\ncheck = { says = '(' }\n",
                ":6: act 1 (\"a\"): check.says is no regular expression",
            ),
            (
                "[[act]]\nname = 'a'\nkind = 'type'\ntext = 'x'\nfile = '../f'\nafter = ''\n",
                ":6: act 1 (\"a\"): file \"../f\" is no path below the working directory",
            ),
            (
                "[[act]]\nname = 'a'\nkind = 'ask'\ntxt = 'x'\n",
                ":9: unknown field `txt`",
            ),
        ] {
            let found = wrong(acts);
            assert!(found.starts_with(expected), "{found}");
        }
        let again = wrong(&format!("{ASK}{ASK}"));
        assert!(
            again.starts_with(":10: act 2 (\"a\"): its name has to be given"),
            "{again}"
        );
        let checked = ASK.replace("'x'\n", "'x'\ncheck = { command = 'true' }\n");
        let stopped = wrong(&format!(
            "{checked}[[act]]\nname = 'b'\nkind = 'interrupt'\n"
        ));
        assert!(stopped.contains("give the check to this act"), "{stopped}");
    }

    #[test]
    fn what_is_hostile_is_refused_or_bounded() {
        let many = format!("{ASK}[[act]]\nname = 'w'\nkind = 'wait'\nuntil = {{ ms = 1 }}\n");
        let many = many.repeat(MOST_ACTS);
        assert!(
            wrong(&many).contains("acts; there are 1 to 200"),
            "{}",
            wrong(&many)
        );
        let long = ASK.replace("'x'", &format!("'{}'", "x".repeat(MOST_KEYS + 1)));
        assert!(wrong(&long).contains("text has more than 2000 characters"));
        let slow = format!(
            "{ASK}[[act]]\nname = 't'\nkind = 'type'\ntext = 'x'\nfile = 'f'\nafter = 'a'\ntyping = {{ sigma = 99.0 }}\n"
        );
        assert!(wrong(&slow).contains("typing.sigma = 99 is not between 0 and 3"));
    }
}
