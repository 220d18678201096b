//! The suite file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::field_lines::FieldLines;
use super::read::read_bounded;
use crate::formats::FormatName;
use crate::{Error, GraderOptions, Result, TaskEnvironment};

/// A suite file: which tasks belong together, and how they are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFile {
    /// The suite's name.
    #[serde(default)]
    pub name: String,
    /// The format of its tasks.
    pub format: FormatName,
    /// `bundled:<name>`, or a directory or file relative to the suite file; of a registry
    /// of Harbor tasks also `FILE#NAME` and `FILE#NAME@VERSION`.
    pub source: String,
    /// One sentence about it.
    #[serde(default)]
    pub description: String,
    /// Only these tasks, if given: ids, or patterns with `*` and `?`.
    #[serde(default)]
    pub include: Option<Vec<String>>,
    /// Not these tasks.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Only tasks with at least one of these tags, if any are given.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Only so many of what is left, drawn by a seed.
    #[serde(default)]
    pub sample: Option<TaskSample>,
    /// What the agent is told, with `{instruction}` where the task's own words go.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Attempts of every task on every endpoint.
    #[serde(default)]
    pub attempts: Option<u32>,
    /// Limits of a trial.
    #[serde(default)]
    pub limits: SuiteLimits,
    /// How results are graded.
    #[serde(default)]
    pub grader: Option<GraderOptions>,
    /// A list of tasks that cannot be relied on, relative to the suite file.
    #[serde(default)]
    pub quarantine: Option<PathBuf>,
    /// A directory of programs that stand in for those that need a network, relative to
    /// the suite file: `/shims` inside, in front of the `PATH`.
    #[serde(default)]
    pub shims: Option<PathBuf>,
    /// Variables of this machine that tasks may ask for.
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// A directory with clones of the repositories that the tasks of SWE-bench or
    /// SWE-bench Pro are about, where their published images are not to be used: bare or
    /// not, called `<owner>__<name>` or `<owner>/<name>`, with or without `.git`;
    /// relative to the suite file.
    #[serde(default)]
    pub repositories: Option<String>,
    /// A root file system for its tasks: a directory or an archive, relative to the
    /// suite file. With `{task}` in it, each task's own, with the task's files in it.
    #[serde(default)]
    pub rootfs: Option<String>,
    /// The same as an image of a container engine.
    #[serde(default)]
    pub image: Option<String>,
    /// The directory that paths are relative to.
    #[serde(skip)]
    pub directory: PathBuf,
    /// Where the fields are written.
    #[serde(skip)]
    pub(super) lines: FieldLines,
}

/// So many tasks, drawn by a seed: the same ones everywhere, and all but one of them
/// again when one is taken out of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSample {
    /// How many.
    pub count: usize,
    /// Which ones.
    #[serde(default)]
    pub seed: u64,
}

/// Limits of a trial that a suite sets; what is absent is left to the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteLimits {
    /// Model calls.
    pub turns: Option<u32>,
    /// Wall-clock seconds.
    pub trial_seconds: Option<u64>,
    /// Seconds of one command.
    pub command_seconds: Option<u64>,
    /// Kibibytes of output the model sees.
    pub output_kib: Option<usize>,
    /// Mebibytes of memory of one command.
    pub memory_mb: Option<u64>,
    /// Mebibytes that the commands of one trial write in all.
    pub disk_mb: Option<u64>,
}

const SWE_MINI: &str = include_str!("../../bundled/swe-mini.toml");
const TERMINAL_MINI: &str = include_str!("../../bundled/terminal-mini.toml");
const EDIT_MINI: &str = include_str!("../../bundled/edit-mini.toml");

/// What stands for the task's own words in a prompt.
const INSTRUCTION: &str = "{instruction}";

const MOST_ATTEMPTS: u32 = 10_000;

impl SuiteFile {
    /// The names of the suites that ship with timeslip.
    pub const SHIPPED: [&str; 3] = ["swe-mini", "terminal-mini", "edit-mini"];

    /// A suite that ships with timeslip.
    pub fn shipped(name: &str) -> Result<Self> {
        match name {
            "swe-mini" => Self::parse(SWE_MINI, name),
            "terminal-mini" => Self::parse(TERMINAL_MINI, name),
            "edit-mini" => Self::parse(EDIT_MINI, name),
            _ => Err(Error::SuiteFile {
                file: name.to_owned(),
                message: format!(
                    "no such suite ships with timeslip; there are {}, and any suite file by its path",
                    Self::SHIPPED.join(", ")
                ),
            }),
        }
    }

    /// Reads a suite file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = read_bounded(file)?;
        Ok(Self {
            directory: file.parent().unwrap_or(Path::new("")).to_path_buf(),
            ..Self::parse(&text, &file.display().to_string())?
        })
    }

    fn parse(text: &str, file: &str) -> Result<Self> {
        let parsed: Self = toml::from_str(text).map_err(|error| Error::SuiteFile {
            file: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let parsed = Self {
            lines: FieldLines::new(file, text, &[]),
            ..parsed
        };
        parsed.check()?;
        Ok(parsed)
    }

    /// The same fields as a table `[suite.NAME]` of a larger file, of which `text` is
    /// the content.
    pub fn in_table(self, name: &str, file: &Path, text: &str) -> Result<Self> {
        let lines = FieldLines::new(&file.display().to_string(), text, &["suite", name]);
        if !self.name.is_empty() && self.name != name {
            return Err(lines.error("name", &format!("is not {name:?}, as the table is called")));
        }
        let suite = Self {
            name: name.to_owned(),
            directory: file.parent().unwrap_or(Path::new("")).to_path_buf(),
            lines,
            ..self
        };
        suite.check()?;
        Ok(suite)
    }

    /// Whether the tasks are embedded in the binary.
    #[must_use]
    pub fn bundled(&self) -> Option<&str> {
        self.source.strip_prefix("bundled:")
    }

    /// The same suite with paths that hold from everywhere.
    #[must_use]
    pub fn absolute(mut self) -> Self {
        let from = |path: &Path| {
            let path = self.directory.join(path);
            std::path::absolute(&path).unwrap_or(path)
        };
        if self.bundled().is_none() {
            self.source = from(Path::new(&self.source)).display().to_string();
        }
        let named = |path: &String| from(Path::new(path)).display().to_string();
        self.repositories = self.repositories.as_ref().map(named);
        self.rootfs = self.rootfs.as_ref().map(named);
        self.shims = self.shims.as_deref().map(from);
        self.quarantine = self.quarantine.as_deref().map(from);
        self.directory = PathBuf::new();
        self
    }

    /// Where the repository `owner/name` was cloned to, if the suite has clones.
    pub(super) fn clone_of(&self, repo: &str) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.repositories else {
            return Ok(None);
        };
        let folder = self.directory.join(folder);
        let flat = repo.replace('/', "__");
        let names = [&flat, repo].map(|name| [name.to_owned(), format!("{name}.git")]);
        let mut places = names.iter().flatten().map(|name| folder.join(name));
        places
            .find(|place| place.is_dir())
            .map(Some)
            .ok_or_else(|| {
                let message = format!(
                    "names {}, which holds no clone of {repo}; make one with `git clone --mirror URL {}`",
                    folder.display(),
                    folder.join(format!("{flat}.git")).display()
                );
                self.lines.error("repositories", &message)
            })
    }

    /// Whether it names root file systems or images that hold the tasks' own files.
    pub(super) fn names_whole_environments(&self) -> bool {
        let named = self.rootfs.as_deref().or(self.image.as_deref());
        named.is_some_and(TaskEnvironment::names_whole)
    }

    /// What the agent is told.
    pub(super) fn prompted(&self, instruction: &str) -> String {
        match &self.prompt {
            Some(prompt) => prompt.replace(INSTRUCTION, instruction.trim_end()),
            None => instruction.to_owned(),
        }
    }

    /// What TOML itself does not know.
    pub(super) fn check(&self) -> Result<()> {
        if !timeslip_datasets::is_plain_name(&self.name) {
            let given = &self.name;
            return self.wrong(
                "name",
                &format!("{given:?} is not plain; use letters, digits, '-', '_' and '.'"),
            );
        }
        let limits = &self.limits;
        for (field, value, most) in [
            (
                "attempts",
                self.attempts.map(u64::from),
                u64::from(MOST_ATTEMPTS),
            ),
            ("limits.turns", limits.turns.map(u64::from), 10_000),
            ("limits.trial_seconds", limits.trial_seconds, 604_800),
            ("limits.command_seconds", limits.command_seconds, 604_800),
            (
                "limits.output_kib",
                limits.output_kib.map(|kib| kib as u64),
                1 << 20,
            ),
            ("limits.memory_mb", limits.memory_mb, 1 << 24),
            (
                "grader.timeout_seconds",
                self.grader
                    .as_ref()
                    .and_then(|grader| grader.timeout_seconds),
                604_800,
            ),
            (
                "sample.count",
                self.sample.map(|sample| sample.count as u64),
                u64::MAX,
            ),
        ] {
            match value {
                Some(0) => return self.wrong(field, "must be at least 1"),
                Some(value) if value > most => {
                    return self.wrong(field, &format!("{value} is more than {most}"));
                }
                _ => {}
            }
        }
        if let Some(solved_at) = self.grader.as_ref().and_then(|grader| grader.solved_at)
            && !solved_at.is_finite()
        {
            return self.wrong("grader.solved_at", "is not a number");
        }
        if let Some(prompt) = &self.prompt
            && prompt.matches(INSTRUCTION).count() != 1
        {
            return self.wrong(
                "prompt",
                &format!("has to hold {INSTRUCTION} once, where the task's own words go"),
            );
        }
        Ok(())
    }

    fn wrong(&self, field: &str, message: &str) -> Result<()> {
        Err(self.lines.error(field, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_suites_are_well_formed() {
        for name in SuiteFile::SHIPPED {
            let file = SuiteFile::shipped(name).unwrap();
            assert_eq!(file.name, name);
            assert!(!file.description.is_empty());
        }
        insta::assert_snapshot!(SuiteFile::shipped("swe-maxi").unwrap_err(), @"swe-maxi: no such suite ships with timeslip; there are swe-mini, terminal-mini, edit-mini, and any suite file by its path");
    }

    const VALID: &str = "name = 'a'\nformat = 'harbor'\nsource = 'x'\n";

    fn wrong(text: &str) -> String {
        SuiteFile::parse(text, "s.toml").unwrap_err().to_string()
    }

    #[test]
    fn every_field_is_read() {
        let text = format!(
            "{VALID}description = 'd'\ninclude = ['a-*']\nexclude = ['b']\ntags = ['easy']\n\
             sample = {{ count = 5, seed = 7 }}\nprompt = 'Be brief. {{instruction}}'\nattempts = 3\n\
             quarantine = 'q.toml'\nshims = 'shims'\npass_env = ['KEY']\n\
             [limits]\nturns = 9\ntrial_seconds = 60\n[grader]\ntimeout_seconds = 5\nsolved_at = 0.5\n"
        );
        let file = SuiteFile::parse(&text, "s.toml").unwrap();
        assert_eq!(file.sample, Some(TaskSample { count: 5, seed: 7 }));
        assert_eq!(file.prompted("Do it.\n"), "Be brief. Do it.");
        assert_eq!((file.attempts, file.limits.turns), (Some(3), Some(9)));
        assert!((file.grader.as_ref().unwrap().solved_at() - 0.5).abs() < 1e-9);
        // It is stored with a run.
        let stored = serde_json::to_string(&file).unwrap();
        let back: SuiteFile = serde_json::from_str(&stored).unwrap();
        assert_eq!(back.prompt, file.prompt);
    }

    #[test]
    fn errors_name_the_line_and_the_field() {
        insta::assert_snapshot!(wrong(&format!("{VALID}inculde = []")), @r"
        s.toml: TOML parse error at line 4, column 1
          |
        4 | inculde = []
          | ^^^^^^^
        unknown field `inculde`, expected one of `name`, `format`, `source`, `description`, `include`, `exclude`, `tags`, `sample`, `prompt`, `attempts`, `limits`, `grader`, `quarantine`, `shims`, `pass_env`, `repositories`, `rootfs`, `image`
        ");
        assert!(wrong("name='a'\nformat='docker'\nsource='x'").contains("terminal-bench-1"));
        assert!(wrong("name='a'").contains("format"));
        insta::assert_snapshot!(wrong("name='../a'\nformat='harbor'\nsource='x'"), @r#"s.toml:1: name "../a" is not plain; use letters, digits, '-', '_' and '.'"#);
        insta::assert_snapshot!(wrong(&format!("{VALID}\n[limits]\noutput_kib = 1\nturns = 0")), @"s.toml:7: limits.turns must be at least 1");
        insta::assert_snapshot!(wrong(&format!("{VALID}attempts = 20000")), @"s.toml:4: attempts 20000 is more than 10000");
        insta::assert_snapshot!(wrong(&format!("{VALID}prompt = 'Do it.'")), @"s.toml:4: prompt has to hold {instruction} once, where the task's own words go");
        insta::assert_snapshot!(wrong(&format!("{VALID}sample = {{ seed = 1, count = 0 }}")), @"s.toml:4: sample.count must be at least 1");
    }

    #[test]
    fn a_table_of_a_larger_file_has_the_same_fields() {
        let text = "[run]\n[suite.mine]\nformat = 'harbor'\nsource = 'x'\nattempts = 0\n";
        let table: toml::Table = toml::from_str(text).unwrap();
        let suite: SuiteFile = table["suite"]["mine"].clone().try_into().unwrap();
        let named = |suite: SuiteFile| suite.in_table("mine", Path::new("d/t.toml"), text);
        insta::assert_snapshot!(named(suite.clone()).unwrap_err(), @"d/t.toml:5: suite.mine.attempts must be at least 1");
        let good = named(SuiteFile {
            attempts: None,
            ..suite.clone()
        });
        let good = good.unwrap();
        assert_eq!(
            (good.name.as_str(), &good.directory),
            ("mine", &PathBuf::from("d"))
        );
        let other = SuiteFile {
            name: "other".to_owned(),
            ..suite
        };
        insta::assert_snapshot!(named(other).unwrap_err(), @r#"d/t.toml:2: suite.mine.name is not "mine", as the table is called"#);
    }

    #[test]
    fn a_source_is_relative_to_its_file() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("s.toml");
        std::fs::write(&file, VALID).unwrap();
        let suite = SuiteFile::read(&file).unwrap();
        assert_eq!(suite.directory, scratch.path());
        let source = scratch.path().join("x").display().to_string();
        assert_eq!(suite.absolute().source, source);
        assert!(SuiteFile::read(&scratch.path().join("none")).is_err());
    }
}
