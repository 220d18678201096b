//! Where a verifier runs.

use std::path::Path;

use super::{EnvironmentTable, Mode, VerifierTable};
use crate::harbor::{Variables, VerifierImage};
use crate::{Result, files};

/// The environment of its own that a separate verifier has, if it has one. `tables` are
/// those that apply with the directories that `tests` are in, the more special first.
pub(super) fn image(tables: &[(&VerifierTable, &Path)]) -> Result<Option<VerifierImage>> {
    for (table, directory) in tables {
        let environment = table.environment.as_ref();
        if let Some(name) = environment.and_then(|own| own.docker_image.clone()) {
            return Ok(Some(VerifierImage::Published(name)));
        }
        if files::member(directory, "tests/Dockerfile")?.is_file() {
            return Ok(Some(VerifierImage::Built(files::member(
                directory, "tests",
            )?)));
        }
    }
    Ok(None)
}

impl VerifierTable {
    pub(super) fn mode(&self) -> Option<Mode> {
        let implied = self.environment.as_ref().map(|_| Mode::Separate);
        self.environment_mode.or(implied)
    }

    pub(super) fn environment_env(&self) -> Variables {
        let environment = self.environment.as_ref();
        environment.map_or_else(Variables::new, |table| table.env.clone())
    }

    pub(super) fn needs(&self, tests: &Path, needs: &mut Vec<String>) {
        let compose = tests.join("docker-compose.yaml").exists();
        if self.mode() == Some(Mode::Separate) && compose {
            needs.push("several containers (tests/docker-compose.yaml)".to_owned());
        }
        if !self.collect.is_empty() {
            needs.push("hooks in containers ([[verifier.collect]])".to_owned());
        }
        let environment = self.environment.iter();
        needs.extend(environment.flat_map(EnvironmentTable::needs));
    }
}
