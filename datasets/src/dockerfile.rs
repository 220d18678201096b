//! The small part of the Dockerfile language that can be run without Docker.

mod variables;

use std::path::{Path, PathBuf};

use crate::{Error, Result, files};
pub use variables::USUAL_PATH;
use variables::Variables;

/// One instruction and the line it starts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// One-based line number.
    pub line: u64,
    /// What it asks for.
    pub kind: Kind,
}

/// The instructions that are understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `FROM image`: names what the environment expects to find.
    From(String),
    /// `WORKDIR directory`.
    Workdir(String),
    /// `COPY source… destination`, sources relative to the build context. With
    /// several sources, or a destination that ends in `/`, the destination is a
    /// directory.
    Copy {
        /// Files or directories in the build context; at least one.
        sources: Vec<String>,
        /// Where they go.
        destination: String,
    },
    /// `ENV name=value…`.
    Env(Vec<(String, String)>),
    /// `RUN command`, a line for the shell.
    Run(String),
    /// `LABEL`, `EXPOSE`, `CMD`, `ENTRYPOINT` or `USER`: without meaning here.
    Ignored(String),
}

/// Reads and parses a Dockerfile.
pub fn read(file: &Path) -> Result<Vec<Instruction>> {
    let text = files::read_text(file, "the environment is built from it")?;
    parse(&text, file)
}

/// Parses a Dockerfile; `file` only names it in errors.
pub fn parse(text: &str, file: &Path) -> Result<Vec<Instruction>> {
    let mut variables = Variables::default();
    let instructions = logical_lines(text)
        .into_iter()
        .map(|(line, text)| {
            let kind = instruction(&text, &variables)
                .map_err(|message| Error::invalid_line(file, line, message))?;
            if let Kind::Env(pairs) = &kind {
                variables.set(pairs);
            }
            Ok(Instruction { line, kind })
        })
        .collect::<Result<Vec<_>>>()?;
    let stages = instructions
        .iter()
        .filter(|instruction| matches!(instruction.kind, Kind::From(_)));
    match (instructions.first(), stages.count()) {
        (Some(first), 1) if matches!(first.kind, Kind::From(_)) => Ok(instructions),
        _ => Err(Error::invalid(
            PathBuf::from(file),
            "has to start with its only FROM; builds of several stages need Docker",
        )),
    }
}

/// What the `ENV` lines of a Dockerfile set, whatever else is in it; `file` only names it
/// in errors.
pub fn environment(text: &str, file: &Path) -> Result<Vec<(String, String)>> {
    let mut variables = Variables::default();
    let mut environment = Vec::new();
    for (line, text) in logical_lines(text) {
        if let Some(rest) = text.trim().strip_prefix("ENV ") {
            let pairs = env(rest.trim(), &variables)
                .map_err(|message| Error::invalid_line(file, line, message))?;
            variables.set(&pairs);
            environment.extend(pairs);
        }
    }
    Ok(environment)
}

/// Joins continued lines; drops comments and blank lines, also inside a continuation.
fn logical_lines(text: &str) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(u64, String)> = None;
    for (raw, number) in text.lines().zip(1..) {
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (_, joined) = open.get_or_insert_with(|| (number, String::new()));
        // Docker removes the backslash and the line break, and keeps the rest.
        match raw.trim_end().strip_suffix('\\') {
            Some(rest) => joined.push_str(rest),
            None => {
                joined.push_str(raw);
                lines.extend(open.take());
            }
        }
    }
    lines.extend(open);
    lines
}

fn instruction(line: &str, variables: &Variables) -> Result<Kind, String> {
    let line = line.trim();
    let (keyword, rest) = line
        .split_once(char::is_whitespace)
        .map_or((line, ""), |(keyword, rest)| (keyword, rest.trim()));
    let keyword = keyword.to_ascii_uppercase();
    if rest.is_empty() {
        return Err(format!("{keyword} has no arguments"));
    }
    match keyword.as_str() {
        "FROM" => Ok(Kind::From(rest.to_owned())),
        "WORKDIR" => match words(rest, variables)?.as_slice() {
            [directory] => Ok(Kind::Workdir(directory.clone())),
            _ => Err("WORKDIR takes one directory; quote it if it holds spaces".to_owned()),
        },
        "COPY" => copy(rest, variables),
        "ENV" => env(rest, variables).map(Kind::Env),
        "RUN" => run(rest),
        "LABEL" | "EXPOSE" | "CMD" | "ENTRYPOINT" | "USER" => Ok(Kind::Ignored(keyword)),
        _ => Err(format!(
            "{keyword} needs Docker; without it FROM, WORKDIR, COPY, ENV and RUN are understood"
        )),
    }
}

fn copy(rest: &str, variables: &Variables) -> Result<Kind, String> {
    if rest.starts_with("--") {
        return Err("COPY with options needs Docker; use COPY source… destination".to_owned());
    }
    let mut paths = if rest.starts_with('[') {
        serde_json::from_str::<Vec<String>>(rest)
            .map_err(|error| format!("COPY is not a JSON list of paths: {error}"))?
    } else {
        words(rest, variables)?
    };
    if paths.iter().any(|path| path.contains(['*', '?', '['])) {
        return Err(
            "COPY with wildcards needs Docker; name the files or their directory".to_owned(),
        );
    }
    let destination = paths.pop().unwrap_or_default();
    if paths.is_empty() {
        return Err("COPY takes at least one source and a destination".to_owned());
    }
    if paths.len() > 1 && !destination.ends_with('/') && destination != "." {
        return Err(format!(
            "COPY of several sources needs a directory; write {destination:?} with a '/' at its end"
        ));
    }
    Ok(Kind::Copy {
        sources: paths,
        destination,
    })
}

fn run(rest: &str) -> Result<Kind, String> {
    if rest.starts_with("--") || rest.starts_with('[') || rest.contains("<<") {
        return Err(
            "RUN with options, as a JSON list or with a here-document needs Docker; write a plain shell line"
                .to_owned(),
        );
    }
    Ok(Kind::Run(rest.to_owned()))
}

fn env(rest: &str, variables: &Variables) -> Result<Vec<(String, String)>, String> {
    let first = rest.split_whitespace().next().unwrap_or_default();
    let pairs: Vec<(String, String)> = if first.contains('=') {
        words(rest, variables)?
            .into_iter()
            .map(|word| match word.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                None => Err(format!("ENV: {word:?} is not of the form name=value")),
            })
            .collect::<Result<_, _>>()?
    } else {
        let (name, value) = rest
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("ENV: {rest:?} is not of the form name=value"))?;
        vec![(name.to_owned(), variables.substitute(value.trim())?)]
    };
    for (name, _) in &pairs {
        let valid = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid {
            return Err(format!("ENV: {name:?} is not the name of a variable"));
        }
    }
    Ok(pairs)
}

/// Splits at blanks, honouring single quotes, double quotes, backslashes and, outside
/// single quotes, variables.
fn words(text: &str, variables: &Variables) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let escaped = characters
                    .next()
                    .ok_or_else(|| "ends with a lone backslash".to_owned())?;
                word.get_or_insert_default().push(escaped);
            }
            (None | Some('"'), '$') => {
                let value = variables.after_dollar(&mut characters)?;
                word.get_or_insert_default().push_str(&value);
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is never closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(text: &str) -> Result<Vec<Kind>, String> {
        parse(text, Path::new("Dockerfile"))
            .map(|all| all.into_iter().map(|one| one.kind).collect())
            .map_err(|error| error.to_string())
    }

    fn only(line: &str) -> Result<Kind, String> {
        kinds(&format!("FROM x\n{line}\n")).map(|mut kinds| kinds.remove(1))
    }

    #[test]
    fn reads_a_whole_file() {
        let text = "# syntax comment\nFROM debian:bookworm\n\nWORKDIR /app\nCOPY data/ \"a b.txt\" ./in/\nENV A=1 B=\"two words\"\nENV C old style\nRUN mkdir -p out && \\\n    # why\n    touch out/x\nCMD [\"bash\"]\nuser nobody\n";
        let parsed = parse(text, Path::new("Dockerfile")).unwrap();
        assert_eq!(parsed[5].line, 8);
        insta::assert_debug_snapshot!(kinds(text).unwrap(), @r#"
        [
            From(
                "debian:bookworm",
            ),
            Workdir(
                "/app",
            ),
            Copy {
                sources: [
                    "data/",
                    "a b.txt",
                ],
                destination: "./in/",
            },
            Env(
                [
                    (
                        "A",
                        "1",
                    ),
                    (
                        "B",
                        "two words",
                    ),
                ],
            ),
            Env(
                [
                    (
                        "C",
                        "old style",
                    ),
                ],
            ),
            Run(
                "mkdir -p out &&     touch out/x",
            ),
            Ignored(
                "CMD",
            ),
            Ignored(
                "USER",
            ),
        ]
        "#);
    }

    #[test]
    fn variables_are_those_set_before() {
        let set = |line: &str| {
            let text = format!("FROM x\nENV A=/a B=\"b c\"\n{line}\n");
            kinds(&text).unwrap().pop().unwrap()
        };
        let env = |value: &str| match set(&format!("ENV X={value}")) {
            Kind::Env(pairs) => pairs[0].1.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(env("$A/x:${B}"), "/a/x:b c");
        assert_eq!(env("\"$B\"'$B'\\$B"), "b c$B$B");
        assert_eq!(
            env("<$NONE>${NONE:-else}${A:-else}${A:+there}"),
            "<>else/athere"
        );
        assert_eq!(env("$A$"), "/a$");
        // Of the image nothing is known but what nearly all have.
        assert!(env("/x:$PATH").starts_with("/x:/usr/local/sbin:"));
        assert_eq!(set("WORKDIR $A/in"), Kind::Workdir("/a/in".to_owned()));
        assert_eq!(
            set("ENV X of $A"),
            Kind::Env(vec![("X".to_owned(), "of /a".to_owned())])
        );
        assert_eq!(set("RUN echo $A"), Kind::Run("echo $A".to_owned()));
    }

    #[test]
    fn variables_that_double_with_every_line_do_not_fill_the_memory() {
        let text = format!("FROM x\nENV A=0123456789\n{}", "ENV A=$A$A\n".repeat(60));
        let error = kinds(&text).unwrap_err();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
        let error = environment(&text, Path::new("Dockerfile")).unwrap_err();
        assert!(error.to_string().contains("more than 1048576 bytes"));
    }

    #[test]
    fn a_copy_of_several_sources_needs_a_directory() {
        assert!(only("COPY a b c/").is_ok());
        assert!(only("COPY a b .").is_ok());
        insta::assert_snapshot!(only("COPY a b c").unwrap_err(), @r#"Dockerfile:2: COPY of several sources needs a directory; write "c" with a '/' at its end"#);
        assert_eq!(
            only(r#"COPY ["a b", "c"]"#),
            Ok(Kind::Copy {
                sources: vec!["a b".to_owned()],
                destination: "c".to_owned()
            })
        );
    }

    #[test]
    fn what_needs_docker_says_so() {
        insta::assert_snapshot!(only("ADD http://x /y").unwrap_err(), @"Dockerfile:2: ADD needs Docker; without it FROM, WORKDIR, COPY, ENV and RUN are understood");
        insta::assert_snapshot!(only("COPY --from=b a c").unwrap_err(), @"Dockerfile:2: COPY with options needs Docker; use COPY source… destination");
        insta::assert_snapshot!(only("COPY *.py c/").unwrap_err(), @"Dockerfile:2: COPY with wildcards needs Docker; name the files or their directory");
        insta::assert_snapshot!(only("ENV A=${B%x}").unwrap_err(), @"Dockerfile:2: ${B%x} needs Docker; without it $NAME, ${NAME}, ${NAME:-else} and ${NAME:+then} are understood");
        insta::assert_snapshot!(only("ENV A=${B").unwrap_err(), @"Dockerfile:2: has a '${' that is never closed");
        insta::assert_snapshot!(only("ENV 1A=2").unwrap_err(), @r#"Dockerfile:2: ENV: "1A" is not the name of a variable"#);
        insta::assert_snapshot!(only("COPY 'a b").unwrap_err(), @"Dockerfile:2: has a quote that is never closed");
        insta::assert_snapshot!(kinds("RUN ls\n").unwrap_err(), @"Dockerfile: has to start with its only FROM; builds of several stages need Docker");
        insta::assert_snapshot!(kinds("FROM a\nFROM b\n").unwrap_err(), @"Dockerfile: has to start with its only FROM; builds of several stages need Docker");
        insta::assert_snapshot!(kinds("").unwrap_err(), @"Dockerfile: has to start with its only FROM; builds of several stages need Docker");
    }

    proptest! {
        #[test]
        fn never_panics(text in "(FROM|COPY|ENV|RUN|WORKDIR|\\$\\{|:-|\\}|\\\\|\n|#|'|\"| |\\[|=|.){0,60}") {
            let _ = kinds(&text);
        }
    }
}
