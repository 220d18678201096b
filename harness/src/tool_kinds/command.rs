//! What a shell command is for.
//!
//! A command is cut where a shell would cut it, into the words of each program that it runs.
//! Of what all of them do, running tests counts before changing files, that before running
//! anything else, and that before looking at something.

use timeslip_datasets::run::journal::ToolKind;

/// What programs are for, by the words that their command lines begin with. The first row that
/// fits counts; what fits none is run.
const PROGRAMS: &[(ToolKind, &[&str])] = &[
    (
        ToolKind::Test,
        &[
            "pytest",
            "py.test",
            "tox",
            "nox",
            "python -m pytest",
            "python -m unittest",
            "python -m nose",
            "python -m nose2",
            "python -m tox",
            "python -m doctest",
            "python manage.py test",
            "python setup.py test",
            "cargo test",
            "cargo nextest",
            "go test",
            "npm test",
            "npm t",
            "npm run test",
            "pnpm test",
            "pnpm run test",
            "yarn test",
            "yarn run test",
            "bun test",
            "deno test",
            "node --test",
            "jest",
            "vitest",
            "mocha",
            "ava",
            "karma",
            "ctest",
            "make test",
            "make check",
            "ninja test",
            "meson test",
            "bazel test",
            "mvn test",
            "mvn verify",
            "gradle test",
            "gradlew test",
            "rspec",
            "rake test",
            "rake spec",
            "rails test",
            "phpunit",
            "dotnet test",
            "swift test",
            "mix test",
            "sbt test",
            "stack test",
            "cabal test",
            "bats",
            "prove",
        ],
    ),
    (
        ToolKind::Edit,
        &[
            "apply_patch",
            "patch",
            "git apply",
            "git checkout",
            "git restore",
            "git reset",
            "git revert",
            "git stash",
            "git mv",
            "git rm",
            "tee",
            "cp",
            "mv",
            "rm",
            "rmdir",
            "mkdir",
            "touch",
            "ln",
            "chmod",
            "truncate",
            "install",
            "ed",
            "ex",
        ],
    ),
    (
        ToolKind::Search,
        &[
            "grep",
            "egrep",
            "fgrep",
            "rg",
            "ag",
            "ack",
            "find",
            "fd",
            "locate",
            "ls",
            "tree",
            "du",
            "which",
            "git grep",
            "git ls-files",
        ],
    ),
    (
        ToolKind::Read,
        &[
            "cat",
            "head",
            "tail",
            "less",
            "more",
            "nl",
            "bat",
            "wc",
            "file",
            "stat",
            "od",
            "xxd",
            "hexdump",
            "sed",
            "awk",
            "cut",
            "sort",
            "uniq",
            "tr",
            "diff",
            "cmp",
            "jq",
            "git show",
            "git diff",
            "git log",
            "git status",
            "git blame",
        ],
    ),
];

/// Options by which a program that reads changes its files instead.
const IN_PLACE: &[(&str, &str)] = &[
    ("sed", "-i"),
    ("sed", "--in-place"),
    ("perl", "-i"),
    ("perl", "-pi"),
];

/// What does nothing by itself.
const NEUTRAL: &[&str] = &[
    "cd", "pushd", "popd", "export", "set", "unset", "shopt", "source", ".", "echo", "printf",
    "true", "false", ":", "pwd", "test", "[", "[[", "exit", "return", "wait", "sleep", "read",
    "local", "declare", "for", "case", "esac", "fi", "done", "trap", "umask", "ulimit",
];

/// Words of a shell, and programs that run another one; each with how many words of its own
/// follow it, options apart.
const WRAPPERS: &[(&str, usize)] = &[
    ("if", 0),
    ("then", 0),
    ("elif", 0),
    ("else", 0),
    ("do", 0),
    ("while", 0),
    ("until", 0),
    ("!", 0),
    ("{", 0),
    ("}", 0),
    ("sudo", 0),
    ("env", 0),
    ("time", 0),
    ("nice", 0),
    ("nohup", 0),
    ("exec", 0),
    ("command", 0),
    ("eval", 0),
    ("xargs", 0),
    ("stdbuf", 0),
    ("npx", 0),
    ("bunx", 0),
    ("timeout", 1),
];

/// Programs that run another one as their subcommand.
const RUNNERS: &[[&str; 2]] = &[
    ["uv", "run"],
    ["poetry", "run"],
    ["pipenv", "run"],
    ["hatch", "run"],
    ["bundle", "exec"],
    ["pnpm", "exec"],
];

/// Programs that run the command in an argument of theirs.
const SHELLS: &[&str] = &["bash", "sh", "dash", "zsh", "ksh"];

/// Programs that run a file.
const INTERPRETERS: &[&str] = &["python", "node", "ruby", "perl", "php", "bun", "deno"];

/// Shells in shells that are followed.
const DEEPEST: usize = 4;

/// Characters of a command that are looked at.
const LONGEST: usize = 64 << 10;

/// What a command is for.
pub(super) fn kind(command: &str) -> ToolKind {
    let kinds = kinds(command, 0);
    let first = |wanted: &[ToolKind]| kinds.iter().copied().find(|kind| wanted.contains(kind));
    let looks = [ToolKind::Search, ToolKind::Read];
    first(&[ToolKind::Test])
        .or_else(|| first(&[ToolKind::Edit]))
        .or_else(|| first(&[ToolKind::Run]))
        .or_else(|| first(&looks))
        .unwrap_or(ToolKind::Run)
}

/// What each program of a command is for.
fn kinds(command: &str, depth: usize) -> Vec<ToolKind> {
    let mut kinds = Vec::new();
    for program in programs(command) {
        let words: Vec<&str> = program.words.iter().map(String::as_str).collect();
        let words = unwrapped(&words);
        let Some((first, rest)) = words.split_first() else {
            continue;
        };
        let name = name(first);
        if let Some(inner) = inner_command(name, rest).filter(|_| depth < DEEPEST) {
            kinds.extend(self::kinds(inner, depth + 1));
            continue;
        }
        let own = match NEUTRAL.contains(&name) {
            true => None,
            false => Some(of_program(name, rest)),
        };
        let looks = matches!(own, None | Some(ToolKind::Read | ToolKind::Search));
        match program.writes && looks {
            true => kinds.push(ToolKind::Edit),
            false => kinds.extend(own),
        }
    }
    kinds
}

/// The words without what only runs them.
fn unwrapped<'w>(mut words: &'w [&'w str]) -> &'w [&'w str] {
    loop {
        let skipped = match words {
            [first, ..] if is_assignment(first) => 1,
            [first, second, rest @ ..] if RUNNERS.contains(&[name(first), second]) => {
                2 + options(rest)
            }
            [first, rest @ ..] => {
                let known = WRAPPERS.iter().find(|(known, _)| *known == name(first));
                let Some((_, own)) = known else { return words };
                1 + options(rest) + own
            }
            [] => return words,
        };
        words = words.get(skipped..).unwrap_or_default();
    }
}

fn options(words: &[&str]) -> usize {
    let options = words.iter().take_while(|word| word.starts_with('-'));
    options.count()
}

fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// What a program is called, without where it is and which version it is.
fn name(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    match name.strip_prefix("python") {
        Some(version) if version.chars().all(|c| c.is_ascii_digit() || c == '.') => "python",
        _ => name,
    }
}

/// The command that a shell is given as an argument.
fn inner_command<'w>(name: &str, rest: &[&'w str]) -> Option<&'w str> {
    let is_command = |word: &&str| word.starts_with('-') && word.ends_with('c');
    let place = rest.iter().position(is_command)?;
    let inner = rest.get(place + 1).copied();
    inner.filter(|_| SHELLS.contains(&name))
}

fn of_program(name: &str, rest: &[&str]) -> ToolKind {
    let begins = |phrase: &str| {
        let mut phrase = phrase.split(' ');
        let fits = |word: &str, wanted: &str| {
            let more = word.strip_prefix(wanted);
            more.is_some_and(|more| more.is_empty() || more.starts_with(':'))
        };
        phrase.next() == Some(name)
            && phrase
                .zip(rest.iter().map(Some).chain(std::iter::repeat(None)))
                .all(|(wanted, word)| word.is_some_and(|word| fits(word, wanted)))
    };
    let mut in_place = IN_PLACE.iter().filter(|(program, _)| *program == name);
    if in_place.any(|(_, option)| rest.iter().any(|word| word.starts_with(option))) {
        return ToolKind::Edit;
    }
    let runs_a_file = SHELLS.contains(&name) || INTERPRETERS.contains(&name);
    let file = rest.iter().find(|word| !word.starts_with('-'));
    let file = file
        .filter(|_| runs_a_file)
        .map_or(name, |file| self::name(file));
    if is_test(file) {
        return ToolKind::Test;
    }
    let mut rows = PROGRAMS.iter();
    let row = rows.find(|(_, phrases)| phrases.iter().any(|phrase| begins(phrase)));
    row.map_or(ToolKind::Run, |(kind, _)| *kind)
}

/// Whether a file is called as tests are: `test_x.py`, `x_test.go`, `x.test.js`, `run-tests.sh`.
fn is_test(file: &str) -> bool {
    let Some((stem, _)) = file.rsplit_once('.') else {
        return false;
    };
    let stem = stem.to_ascii_lowercase();
    let mut parts = stem.split(['_', '-', '.']);
    let is_word = |part: &str| matches!(part, "test" | "tests" | "spec" | "runtests");
    parts.next().is_some_and(is_word) || parts.next_back().is_some_and(is_word)
}

/// What a command line runs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Program {
    words: Vec<String>,
    /// Its output goes into a file.
    writes: bool,
}

/// Cuts a command as a shell does, as far as it matters here: into programs and their words,
/// without quotation marks, comments and the text of here-documents.
fn programs(command: &str) -> Vec<Program> {
    let mut cutting = Cutting::default();
    let mut rest = command.chars().take(LONGEST).peekable();
    while let Some(letter) = rest.next() {
        let next = rest.peek().copied();
        match (cutting.quote, letter, next) {
            (Some(quote), letter, _) if letter == quote => cutting.quote = None,
            (Some('"') | None, '\\', Some(next)) => {
                rest.next();
                if next != '\n' {
                    cutting.letter(next);
                }
            }
            (Some(_), letter, _) => cutting.letter(letter),
            (None, '\'' | '"', _) => {
                cutting.quote = Some(letter);
                cutting.is_word = true;
            }
            (None, '#', _) if !cutting.is_word => {
                while rest.peek().is_some_and(|letter| *letter != '\n') {
                    rest.next();
                }
            }
            (None, '<', Some('<')) => {
                rest.next();
                // `<<<` is a text of one line.
                if rest.peek() == Some(&'<') {
                    rest.next();
                    continue;
                }
                rest.next_if_eq(&'-');
                cutting.end_word();
                cutting.awaits = Awaited::HereDocument;
            }
            (None, '<', _) => {
                cutting.end_word();
                cutting.awaits = Awaited::Input;
            }
            (None, '>', _) | (None, '&', Some('>')) => {
                if letter == '&' {
                    rest.next();
                }
                while rest.next_if(|next| matches!(next, '>' | '|')).is_some() {}
                // Of what is said about errors nothing becomes a file of the task.
                let of_errors = cutting.word == "2";
                if of_errors || cutting.word == "1" {
                    cutting.word.clear();
                    cutting.is_word = false;
                }
                cutting.end_word();
                let onto_another = rest.next_if_eq(&'&').is_some();
                cutting.awaits = match of_errors || onto_another {
                    true => Awaited::Input,
                    false => Awaited::Output,
                };
            }
            (None, '\n', _) => {
                cutting.end_program();
                for end in std::mem::take(&mut cutting.documents) {
                    skip_document(&mut rest, &end);
                }
            }
            (None, ';' | '&' | '|' | '(' | ')', _) => cutting.end_program(),
            (None, letter, _) if letter.is_whitespace() => cutting.end_word(),
            (None, letter, _) => cutting.letter(letter),
        }
    }
    cutting.end_program();
    cutting.done
}

/// Passes over lines until one says that the text ends.
fn skip_document(rest: &mut impl Iterator<Item = char>, end: &str) {
    loop {
        let mut has_ended = false;
        let line = rest.by_ref().take_while(|letter| {
            has_ended = *letter == '\n';
            !has_ended
        });
        let line: String = line.collect();
        // Without a line break it was the end of the command.
        if line.trim_start_matches('\t') == end || !has_ended {
            return;
        }
    }
}

/// What the next word is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaited {
    /// One of the program's.
    #[default]
    Word,
    /// Nothing of interest: a file that is read.
    Input,
    /// The file that is written.
    Output,
    /// What ends a text that follows.
    HereDocument,
}

#[derive(Debug, Default)]
struct Cutting {
    done: Vec<Program>,
    program: Program,
    word: String,
    /// A word has begun, even if there is nothing in it yet.
    is_word: bool,
    quote: Option<char>,
    awaits: Awaited,
    documents: Vec<String>,
}

impl Cutting {
    fn letter(&mut self, letter: char) {
        self.word.push(letter);
        self.is_word = true;
    }

    fn end_word(&mut self) {
        if !std::mem::take(&mut self.is_word) {
            return;
        }
        let word = std::mem::take(&mut self.word);
        match std::mem::take(&mut self.awaits) {
            Awaited::Word => self.program.words.push(word),
            Awaited::Input => {}
            Awaited::Output => self.program.writes |= !word.starts_with("/dev/"),
            Awaited::HereDocument => self.documents.push(word),
        }
    }

    fn end_program(&mut self) {
        self.end_word();
        self.awaits = Awaited::Word;
        let program = std::mem::take(&mut self.program);
        if program != Program::default() {
            self.done.push(program);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_told_apart() {
        use ToolKind::{Edit, Read, Run, Search, Test};
        for (command, expected) in [
            ("pytest -q", Test),
            ("cd /app && python3 -m pytest tests", Test),
            ("timeout 60 python3.11 -m unittest", Test),
            ("RUST_LOG=debug cargo test --offline", Test),
            ("uv run --frozen pytest", Test),
            ("bash -lc 'cd x; npm run test:unit'", Test),
            ("python3 test_slots.py", Test),
            ("./run-tests.sh", Test),
            ("bash tests/test.sh 2>&1 | tail -5", Test),
            ("python3 latest.py", Run),
            ("python3 free.py", Run),
            ("make", Run),
            ("sleep 1", Run),
            ("echo pytest", Run),
            ("cat > x.py <<'EOF'\nimport pytest\npytest\nEOF", Edit),
            ("cat <<EOF >x.py\na\nEOF\npython3 x.py", Edit),
            ("cat <<EOF | python3\npytest\nEOF", Run),
            ("echo x >> notes", Edit),
            ("sed -i s/a/b/ x", Edit),
            ("sed -n 1,20p x", Read),
            ("git apply p && make", Edit),
            ("python3 x.py > out.txt", Run),
            ("python3 x.py 2>/dev/null", Run),
            ("cat x 2>errors", Read),
            ("cat x >/dev/null", Read),
            ("ls -la; cat x", Search),
            ("grep -rn 'a; rm x' . | head", Search),
            ("if true; then cat x; fi", Read),
            ("for f in *; do wc -l $f; done", Read),
            ("find . -name '*.py' | xargs grep x", Search),
            ("", Run),
        ] {
            assert_eq!(kind(command), expected, "{command}");
        }
    }

    proptest! {
        #[test]
        fn no_command_makes_it_stumble(command in "([a-z'\"<>&|;#\\\\ \n-]|ä|EOF){0,80}") {
            let _ = kind(&command);
        }
    }
}
