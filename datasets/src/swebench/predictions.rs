//! Predictions: what a model answered to tasks.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result, is_plain_name, table};

/// One model's change for one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// The task.
    pub instance_id: String,
    /// Who made it.
    pub model_name_or_path: String,
    /// The change as a patch; none or an empty one changes nothing.
    pub model_patch: Option<String>,
}

/// A row of predictions: SWE-bench calls the change `model_patch`, SWE-bench Pro `patch`
/// and the model `prefix`.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Raw {
    instance_id: String,
    model_name_or_path: Option<String>,
    prefix: Option<String>,
    #[serde(default, deserialize_with = "said")]
    model_patch: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    patch: Option<Option<String>>,
}

/// Tells a null from a key that is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Raw {
    fn prediction(self, file: &Path) -> Result<Prediction> {
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let Some(model_patch) = self.model_patch.or(self.patch) else {
            return Err(Error::invalid(
                file,
                format!(
                    "{}: has no change; it should be called model_patch or patch",
                    self.instance_id
                ),
            ));
        };
        let model = named(self.model_name_or_path).or(named(self.prefix));
        Ok(Prediction {
            instance_id: self.instance_id,
            model_name_or_path: model.unwrap_or_else(|| "unnamed".to_owned()),
            model_patch,
        })
    }
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

/// What a file of predictions holds.
#[derive(Debug, Default)]
pub struct Predictions {
    /// Those that can be graded, by task.
    pub usable: Vec<Prediction>,
    /// Why the other rows cannot be used.
    pub unusable: Vec<Error>,
}

/// Reads predictions: JSON Lines, or JSON with a list of them or an object of them
/// by task. Of several for one task the last counts, as upstream.
///
/// # Errors
/// When the file itself cannot be read.
pub fn read_predictions(file: &Path) -> Result<Predictions> {
    let mut by_task = BTreeMap::new();
    let mut unusable = Vec::new();
    for row in table::read::<Raw>(file, "it should hold predictions")? {
        match row.split().1.and_then(|raw| raw.prediction(file)) {
            Ok(prediction) => {
                by_task.insert(prediction.instance_id.clone(), prediction);
            }
            Err(error) => unusable.push(error),
        }
    }
    Ok(Predictions {
        usable: by_task.into_values().collect(),
        unusable,
    })
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
        assert_eq!(read_predictions(&file).unwrap().usable, predictions);
        let last = Prediction {
            model_patch: None,
            ..predictions[0].clone()
        };
        append_prediction(&file, &last).unwrap();
        assert_eq!(
            read_predictions(&file).unwrap().usable,
            [last, predictions[1].clone()]
        );
    }

    #[test]
    fn a_dictionary_without_names_and_patches() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("p.json");
        std::fs::write(&file, r#"{"a":{"instance_id":"a","model_patch":null}}"#).unwrap();
        let read = read_predictions(&file).unwrap().usable;
        assert_eq!(read[0].patch(), None);
        assert_eq!(read[0].model_folder(), "unnamed");
    }

    #[test]
    fn a_change_has_one_of_two_names_and_a_row_without_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("p.json");
        let text = r#"{"a":{"patch":"diff\n","prefix":"m"},"b":{"diff":"diff"},"c":3}"#;
        std::fs::write(&file, text).unwrap();
        let Predictions { usable, unusable } = read_predictions(&file).unwrap();
        let [only] = &usable[..] else {
            panic!("{usable:?}");
        };
        assert_eq!(
            (only.instance_id.as_str(), only.patch()),
            ("a", Some("diff\n"))
        );
        assert_eq!(only.model_name_or_path, "m");
        let told = unusable.iter().map(|error| {
            error
                .to_string()
                .replace(&format!("{}/", scratch.path().display()), "")
        });
        let told: Vec<String> = told.collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        p.json: b: has no change; it should be called model_patch or patch
        p.json: row 3: is not a row: invalid type: integer `3`, expected an object
        ");
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
