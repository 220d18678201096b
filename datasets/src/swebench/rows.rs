//! SWE-bench rows, as the dataset is published.

use std::path::Path;

use serde::Deserialize;

use super::{EvalType, SweTask};
use crate::fields::{Names, Text};
use crate::{Result, table};

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Raw {
    repo: String,
    instance_id: String,
    base_commit: String,
    patch: String,
    test_patch: Text,
    problem_statement: Text,
    #[serde(default)]
    hints_text: Text,
    #[serde(default)]
    created_at: Text,
    #[serde(default)]
    version: Text,
    #[serde(rename = "FAIL_TO_PASS")]
    fail_to_pass: Names,
    #[serde(rename = "PASS_TO_PASS", default)]
    pass_to_pass: Names,
    #[serde(default)]
    environment_setup_commit: Text,
    #[serde(default)]
    difficulty: Text,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    eval_script: Option<String>,
    #[serde(default)]
    log_parser: Option<String>,
    #[serde(default)]
    eval_type: Option<EvalType>,
}

/// Reads SWE-bench rows: JSON Lines, JSON, both also gzipped, or Parquet. Every row is
/// given with its task's id, and a row that cannot be used with the reason.
///
/// # Errors
/// When the file itself cannot be read.
pub fn read_rows(file: &Path) -> Result<Vec<(String, Result<SweTask>)>> {
    let rows = table::read::<Raw>(file, "it should hold SWE-bench rows")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (id, raw) = row.split();
            (id, raw.and_then(|raw| raw.task(file)))
        })
        .collect())
}

impl Raw {
    fn task(self, file: &Path) -> Result<SweTask> {
        let task = SweTask {
            repo: self.repo,
            instance_id: self.instance_id,
            base_commit: self.base_commit,
            patch: self.patch,
            test_patch: self.test_patch.0,
            problem_statement: self.problem_statement.0,
            hints_text: self.hints_text.0,
            created_at: self.created_at.0,
            version: self.version.0,
            fail_to_pass: self.fail_to_pass.0,
            pass_to_pass: self.pass_to_pass.0,
            environment_setup_commit: self.environment_setup_commit.0,
            difficulty: self.difficulty.0,
            image: self.image,
            eval_script: self.eval_script,
            log_parser: self.log_parser,
            eval_type: self.eval_type.unwrap_or_default(),
        };
        task.check(file)?;
        task.check_tests(file)?;
        Ok(task)
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
        let rows = read_rows(&file).and_then(|rows| rows.into_iter().map(|row| row.1).collect());
        rows.map_err(|error| {
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
    fn nulls_are_defaults_and_lists_may_be_python_s() {
        let odd = ROW
            .replace(r#""hints_text":"""#, r#""hints_text":null"#)
            .replace(r#""version":"1.0""#, r#""version":1.0"#)
            .replace(r#""[\"x\"]""#, r#""['x', \"y\"]""#)
            .replace(r#""[]""#, "null");
        let task = read(&format!("\u{feff}{odd}")).unwrap().remove(0);
        assert_eq!((task.hints_text.as_str(), task.version.as_str()), ("", "1"));
        assert_eq!(task.fail_to_pass, ["x", "y"]);
        assert!(task.pass_to_pass.is_empty());
    }

    #[test]
    fn one_bad_row_is_one_unusable_task() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("rows.jsonl");
        let bad = ROW.replace("a__b-1", "a__b-2").replace(r#""p""#, "3");
        std::fs::write(&file, format!("{ROW}\n{{\n{bad}\n")).unwrap();
        let rows = read_rows(&file).unwrap();
        let ids: Vec<(&str, bool)> = rows
            .iter()
            .map(|(id, row)| (id.as_str(), row.is_ok()))
            .collect();
        assert_eq!(
            ids,
            [("a__b-1", true), ("line-2", false), ("a__b-2", false)]
        );
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
        insta::assert_snapshot!(read(&newer.replace("fail_only", "pass_only")).unwrap_err(), @"rows.jsonl:1: is not a row: eval_type: unknown variant `pass_only`, expected `pass_and_fail` or `fail_only`");
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
        let bad_list = format!("{ROW}\n\n{}", ROW.replace(r#""[]""#, r#""[1""#));
        insta::assert_snapshot!(read(&bad_list).unwrap_err(), @"rows.jsonl:3: is not a row: PASS_TO_PASS: has an element that is not a string");
        insta::assert_snapshot!(read(&ROW.replace("\"patch\":\"p\",", "")).unwrap_err(), @"rows.jsonl:1: is not a row: missing field `patch`");
        insta::assert_snapshot!(
            read(&ROW.replace(r#""[\"x\"]""#, r#""[]""#)).unwrap_err(),
            @"rows.jsonl: FAIL_TO_PASS is empty; a task needs at least one test that the fix turns green"
        );
    }
}
