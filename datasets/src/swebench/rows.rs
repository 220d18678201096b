//! Classic SWE-bench row files: one JSON object per line.

use std::path::Path;

use serde::Deserialize;

use super::{EvalType, SweTask};
use crate::{Error, Result, files};

#[derive(Deserialize)]
struct Row {
    repo: String,
    instance_id: String,
    base_commit: String,
    patch: String,
    test_patch: String,
    problem_statement: String,
    #[serde(default)]
    hints_text: String,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    version: String,
    #[serde(rename = "FAIL_TO_PASS")]
    fail_to_pass: Tests,
    #[serde(rename = "PASS_TO_PASS")]
    pass_to_pass: Tests,
    #[serde(default)]
    environment_setup_commit: String,
    #[serde(default)]
    difficulty: String,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    eval_script: Option<String>,
    #[serde(default)]
    log_parser: Option<String>,
    #[serde(default)]
    eval_type: Option<EvalType>,
}

/// A list of tests: classic rows keep it as JSON inside a string, newer ones as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tests {
    List(Vec<String>),
    Text(String),
}

impl Tests {
    fn names(self) -> serde_json::Result<Vec<String>> {
        match self {
            Self::List(names) => Ok(names),
            Self::Text(text) => serde_json::from_str(&text),
        }
    }
}

/// Reads a JSONL file of SWE-bench rows; blank lines are skipped.
pub fn read_rows(file: &Path) -> Result<Vec<SweTask>> {
    files::read_text(
        file,
        "it should hold SWE-bench rows, one JSON object per line",
    )?
    .lines()
    .zip(1..)
    .filter(|(text, _)| !text.trim().is_empty())
    .map(|(text, line)| read_row(text).map_err(|message| Error::invalid_line(file, line, message)))
    .map(|task| {
        let task = task?;
        task.check(file)?;
        task.check_tests(file)?;
        Ok(task)
    })
    .collect()
}

fn read_row(text: &str) -> Result<SweTask, String> {
    let row: Row = serde_json::from_str(text).map_err(|error| format!("is not a row: {error}"))?;
    let names = |tests: Tests, column: &str| {
        tests
            .names()
            .map_err(|error| format!("{column} is not a JSON list of test names: {error}"))
    };
    Ok(SweTask {
        repo: row.repo,
        instance_id: row.instance_id,
        base_commit: row.base_commit,
        patch: row.patch,
        test_patch: row.test_patch,
        problem_statement: row.problem_statement,
        hints_text: row.hints_text,
        created_at: row.created_at,
        version: row.version,
        fail_to_pass: names(row.fail_to_pass, "FAIL_TO_PASS")?,
        pass_to_pass: names(row.pass_to_pass, "PASS_TO_PASS")?,
        environment_setup_commit: row.environment_setup_commit,
        difficulty: row.difficulty,
        image: row.image,
        eval_script: row.eval_script,
        log_parser: row.log_parser,
        eval_type: row.eval_type.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"repo":"a/b","instance_id":"a__b-1","base_commit":"0123456789012345678901234567890123456789","patch":"p","test_patch":"t","problem_statement":"s","hints_text":"","created_at":"c","version":"1.0","FAIL_TO_PASS":"[\"x\"]","PASS_TO_PASS":"[]","environment_setup_commit":"e","difficulty":"d"}"#;

    fn read(text: &str) -> Result<Vec<SweTask>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("rows.jsonl");
        std::fs::write(&file, text).unwrap();
        read_rows(&file).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", scratch.path().display()), "")
        })
    }

    #[test]
    fn lists_inside_strings_and_plain_lists_are_the_same() {
        let classic = read(ROW).unwrap();
        let plain = read(&ROW.replace(r#""[\"x\"]""#, r#"["x"]"#)).unwrap();
        assert_eq!(classic, plain);
        assert_eq!(classic[0].fail_to_pass, ["x"]);
        assert_eq!(classic[0].eval_script, None);
    }

    /// Names a gzipped JSONL file with rows of SWE-bench Verified.
    const VERIFIED: &str = "TIMESLIP_SWE_BENCH_VERIFIED";

    #[test]
    fn the_real_dataset_is_read() {
        let Some(rows) = std::env::var_os(VERIFIED) else {
            eprintln!("SKIPPED: SWE-bench Verified is not read, {VERIFIED} does not name it");
            return;
        };
        let unpacked = std::process::Command::new("gzip")
            .arg("-dc")
            .arg(rows)
            .output()
            .unwrap();
        assert!(unpacked.status.success());
        let text = String::from_utf8(unpacked.stdout).unwrap();
        let tasks = read(&text).unwrap();
        assert_eq!(tasks.len(), text.lines().count());
        for task in &tasks {
            assert!(!task.problem_statement.is_empty() && task.patch.contains("diff --git"));
        }
    }

    #[test]
    fn errors_name_line_and_column() {
        let bad_list = format!("{ROW}\n\n{}", ROW.replace(r#""[]""#, r#""['x']""#));
        insta::assert_snapshot!(read(&bad_list).unwrap_err(), @"rows.jsonl:3: PASS_TO_PASS is not a JSON list of test names: expected value at line 1 column 2");
        insta::assert_snapshot!(read(&ROW.replace("\"patch\":\"p\",", "")).unwrap_err(), @"rows.jsonl:1: is not a row: missing field `patch` at line 1 column 277");
        insta::assert_snapshot!(
            read(&ROW.replace(r#""[\"x\"]""#, r#""[]""#)).unwrap_err(),
            @"rows.jsonl: FAIL_TO_PASS is empty; a task needs at least one test that the fix turns green"
        );
    }
}
