//! A registry: a JSON file that names the tasks of datasets by their paths.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result, files};

#[derive(Deserialize)]
struct Dataset {
    name: String,
    #[serde(default)]
    version: String,
    tasks: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    git_url: Option<String>,
    path: PathBuf,
}

/// A registry file and the dataset asked for, if `source` is `FILE.json` or
/// `FILE.json#DATASET`.
pub(super) fn split(source: &Path) -> Option<(PathBuf, Option<String>)> {
    let text = source.to_str()?;
    let (file, dataset) = match text.split_once(".json#") {
        Some((file, dataset)) => (format!("{file}.json"), Some(dataset.to_owned())),
        None => (text.to_owned(), None),
    };
    (file.ends_with(".json") && !Path::new(&file).is_dir()).then(|| (PathBuf::from(file), dataset))
}

/// The task directories of a dataset, by name.
pub(super) fn tasks(file: &Path, wanted: Option<&str>) -> Result<Vec<PathBuf>> {
    let datasets: Vec<Dataset> = files::read_json(file, "it is the registry of the tasks")?;
    let full_name = |dataset: &Dataset| match dataset.version.as_str() {
        "" => dataset.name.clone(),
        version => format!("{}@{version}", dataset.name),
    };
    let chosen: Vec<&Dataset> = datasets
        .iter()
        .filter(|dataset| {
            wanted.is_none_or(|wanted| wanted == dataset.name || wanted == full_name(dataset))
        })
        .collect();
    let [dataset] = chosen[..] else {
        let names: Vec<String> = datasets.iter().map(full_name).collect();
        return Err(Error::invalid(
            file,
            format!(
                "has {} datasets that fit; name one of {} as FILE#NAME@VERSION",
                chosen.len(),
                names.join(", ")
            ),
        ));
    };
    let root = file.parent().unwrap_or(Path::new(""));
    let mut found = Vec::with_capacity(dataset.tasks.len());
    for task in &dataset.tasks {
        if let Some(url) = &task.git_url {
            return Err(Error::invalid(
                file,
                format!(
                    "task {:?} is in the repository {url}; clone it and make a registry with local paths",
                    task.name
                ),
            ));
        }
        found.push(root.join(&task.path));
    }
    files::unique_names(file, &mut found)?;
    Ok(found)
}
