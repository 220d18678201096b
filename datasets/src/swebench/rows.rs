//! SWE-bench rows, as the dataset is published.

use std::path::Path;

use serde::Deserialize;

use super::{EvalType, SweTask};
use crate::{Result, table};

#[derive(Deserialize)]
struct Raw {
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

/// Reads SWE-bench rows: JSON Lines, JSON, both also gzipped, or Parquet.
pub fn read_rows(file: &Path) -> Result<Vec<SweTask>> {
    table::read::<Raw>(file, "it should hold SWE-bench rows")?
        .into_iter()
        .map(|row| {
            let (raw, place) = row.split();
            let task = raw.task().map_err(|message| place.error(file, message))?;
            task.check(file)?;
            task.check_tests(file)?;
            Ok(task)
        })
        .collect()
}

impl Raw {
    fn task(self) -> Result<SweTask, String> {
        let names = |tests: Tests, column: &str| {
            tests
                .names()
                .map_err(|error| format!("{column} is not a JSON list of test names: {error}"))
        };
        Ok(SweTask {
            repo: self.repo,
            instance_id: self.instance_id,
            base_commit: self.base_commit,
            patch: self.patch,
            test_patch: self.test_patch,
            problem_statement: self.problem_statement,
            hints_text: self.hints_text,
            created_at: self.created_at,
            version: self.version,
            fail_to_pass: names(self.fail_to_pass, "FAIL_TO_PASS")?,
            pass_to_pass: names(self.pass_to_pass, "PASS_TO_PASS")?,
            environment_setup_commit: self.environment_setup_commit,
            difficulty: self.difficulty,
            image: self.image,
            eval_script: self.eval_script,
            log_parser: self.log_parser,
            eval_type: self.eval_type.unwrap_or_default(),
        })
    }
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

    #[test]
    fn a_row_can_bring_how_it_is_run() {
        let newer = ROW.replace(
            r#""difficulty":"d""#,
            r#""image":"i:latest","eval_script":"go test","log_parser":"parse_log_gotest","eval_type":"fail_only""#,
        );
        let task = read(&newer).unwrap().remove(0);
        assert_eq!(task.image_name(), "i:latest");
        assert_eq!(task.eval_script.as_deref(), Some("go test"));
        assert_eq!(task.log_parser.as_deref(), Some("parse_log_gotest"));
        assert_eq!(task.eval_type, EvalType::FailOnly);
        insta::assert_snapshot!(read(&newer.replace("fail_only", "pass_only")).unwrap_err(), @"rows.jsonl:1: is not a row: unknown variant `pass_only`, expected `pass_and_fail` or `fail_only` at line 1 column 370");
    }

    #[test]
    fn the_real_dataset_is_read() {
        let Some(tasks) = crate::swebench::verified() else {
            return;
        };
        assert!(tasks.len() > 400);
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
