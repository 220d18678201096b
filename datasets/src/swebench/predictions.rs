//! Predictions: what a model answered to tasks.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, is_plain_name, table};

/// One model's change for one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The task.
    pub instance_id: String,
    /// Who made it.
    #[serde(default = "unnamed")]
    pub model_name_or_path: String,
    /// The change as a patch; none or an empty one changes nothing.
    #[serde(default)]
    pub model_patch: Option<String>,
}

fn unnamed() -> String {
    "unnamed".to_owned()
}

impl Prediction {
    /// The change, if it is one.
    #[must_use]
    pub fn patch(&self) -> Option<&str> {
        self.model_patch
            .as_deref()
            .filter(|patch| !patch.is_empty())
    }

    /// The model's name as a component of a path.
    #[must_use]
    pub fn model_folder(&self) -> String {
        let name = self.model_name_or_path.replace('/', "__");
        if is_plain_name(&name) {
            return name;
        }
        let plain = |char: char| match char {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => char,
            _ => '_',
        };
        format!("_{}", name.chars().map(plain).collect::<String>())
    }
}

/// Reads predictions: JSON Lines, or JSON with a list of them or an object of them
/// by task. Of several for one task the last counts, as upstream.
pub fn read_predictions(file: &Path) -> Result<Vec<Prediction>> {
    let rows = table::read::<Prediction>(file, "it should hold predictions")?;
    let by_task: BTreeMap<String, Prediction> = rows
        .into_iter()
        .map(|row| row.split().0)
        .map(|prediction| (prediction.instance_id.clone(), prediction))
        .collect();
    Ok(by_task.into_values().collect())
}

/// Adds a prediction to a JSON Lines file.
pub fn append_prediction(file: &Path, prediction: &Prediction) -> Result<()> {
    let write_error = |source| Error::Write {
        file: file.to_path_buf(),
        source,
    };
    let line = serde_json::to_string(prediction)
        .map_err(|error| write_error(std::io::Error::other(error)))?;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut open| open.write_all((line + "\n").as_bytes()))
        .map_err(write_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("p.jsonl");
        let predictions = ["a", "b"].map(|id| Prediction {
            instance_id: id.to_owned(),
            model_name_or_path: "m".to_owned(),
            model_patch: Some("diff\n".to_owned()),
        });
        for prediction in &predictions {
            append_prediction(&file, prediction).unwrap();
        }
        assert_eq!(read_predictions(&file).unwrap(), predictions);
        let last = Prediction {
            model_patch: None,
            ..predictions[0].clone()
        };
        append_prediction(&file, &last).unwrap();
        assert_eq!(
            read_predictions(&file).unwrap(),
            [last, predictions[1].clone()]
        );
    }

    #[test]
    fn a_dictionary_without_names_and_patches() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("p.json");
        std::fs::write(&file, r#"{"a":{"instance_id":"a","model_patch":null}}"#).unwrap();
        let read = read_predictions(&file).unwrap();
        assert_eq!(read[0].patch(), None);
        assert_eq!(read[0].model_folder(), "unnamed");
    }

    #[test]
    fn no_name_leaves_its_folder() {
        for name in ["..", "a/../b", "", "/", "a b", "-x", "ä"] {
            let prediction = Prediction {
                instance_id: "a".to_owned(),
                model_name_or_path: name.to_owned(),
                model_patch: None,
            };
            assert!(is_plain_name(&prediction.model_folder()), "{name}");
        }
    }
}
