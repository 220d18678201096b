//! Terminal-Bench 1 task directories, read into the shape of a Harbor task.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fields::{Text, Texts};
use crate::harbor::{
    Environment, HarborTask, Network, RewardStrategy, Solution, Step, Variables, VerdictSource,
    Verifier, plain_task_name, seconds, without_canary,
};
use crate::{Error, Result, files};

/// `task.yaml`; what does not matter for a trial is ignored.
#[derive(Deserialize)]
struct TaskYaml {
    instruction: String,
    #[serde(default)]
    difficulty: Text,
    #[serde(default)]
    category: Text,
    #[serde(default)]
    tags: Texts,
    #[serde(default = "pytest")]
    parser_name: String,
    #[serde(default = "agent_seconds")]
    max_agent_timeout_sec: f64,
    #[serde(default = "test_seconds")]
    max_test_timeout_sec: f64,
    #[serde(default)]
    run_tests_in_same_shell: bool,
}

// The format's own defaults.
fn pytest() -> String {
    "pytest".to_owned()
}
fn agent_seconds() -> f64 {
    360.0
}
fn test_seconds() -> f64 {
    60.0
}

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Default, Deserialize)]
struct Service {
    build: Option<Build>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Build {
    Context(PathBuf),
    Table {
        #[serde(default)]
        context: PathBuf,
        #[serde(default = "dockerfile")]
        dockerfile: PathBuf,
    },
}

fn dockerfile() -> PathBuf {
    "Dockerfile".into()
}

/// One entry of `solution.yaml`: keys for a terminal.
#[derive(Deserialize)]
struct Keys {
    command: String,
    #[serde(default = "yes")]
    append_enter: bool,
}

fn yes() -> bool {
    true
}

// What a task of this format is given; it does not say.
const BUILD_SECONDS: f64 = 600.0;
const MEMORY_MB: u64 = 2048;
const STORAGE_MB: u64 = 10240;

/// The container that the agent works in.
const CLIENT: &str = "client";

/// The task directories of a folder of tasks or of such folders, by name.
pub fn list(source: &Path) -> Result<Vec<PathBuf>> {
    files::task_directories(source, "task.yaml")
}

/// Reads one task directory.
pub fn read_task(directory: &Path) -> Result<HarborTask> {
    let name = plain_task_name(directory)?;
    let file = files::member(directory, "task.yaml")?;
    let yaml: TaskYaml = files::read_yaml(&file, "it describes the task")?;
    if yaml.parser_name != "pytest" {
        return Err(Error::invalid(
            &file,
            format!(
                "parser_name {:?} is not supported; tasks that are graded by pytest are",
                yaml.parser_name
            ),
        ));
    }
    let script = "run-tests.sh";
    let run_tests = files::member(directory, script)?;
    if !run_tests.is_file() {
        return Err(Error::Missing {
            file: run_tests,
            remedy: "without it nothing grades the task".to_owned(),
        });
    }
    let tests = files::member(directory, "tests")?;
    let mut environment = environment(directory)?;
    if yaml.run_tests_in_same_shell {
        let needs = "tests in the agent's own shell (run_tests_in_same_shell)";
        environment.needs.push(needs.to_owned());
    }
    Ok(HarborTask {
        steps: vec![Step {
            name: String::new(),
            instruction: without_canary(&yaml.instruction).to_owned(),
            agent_timeout: seconds(yaml.max_agent_timeout_sec, "max_agent_timeout_sec", &file)?,
            agent_user: None,
            workdir: None,
            healthcheck: None,
            verifier: Verifier {
                tests: [tests]
                    .into_iter()
                    .filter(|tests| tests.is_dir())
                    .chain([run_tests])
                    .collect(),
                script: script.to_owned(),
                verdict: VerdictSource::PytestSummary,
                timeout: seconds(yaml.max_test_timeout_sec, "max_test_timeout_sec", &file)?,
                env: Variables::from([("TEST_DIR".to_owned(), "/tests".to_owned())]),
                user: None,
                separate: false,
                image: None,
                artifacts: Vec::new(),
            },
            min_reward: BTreeMap::new(),
            solution: solution(directory)?,
        }],
        name,
        directory: directory.to_path_buf(),
        difficulty: yaml.difficulty.0,
        category: yaml.category.0,
        tags: yaml.tags.0,
        environment,
        strategy: RewardStrategy::Mean,
        solution_env: Variables::new(),
    })
}

/// What `docker-compose.yaml` says of the container that the agent works in.
fn environment(directory: &Path) -> Result<Environment> {
    let file = files::member(directory, "docker-compose.yaml")?;
    let compose: Compose = files::read_yaml(&file, "it says what the environment is built from")?;
    let Some(client) = compose.services.get(CLIENT) else {
        return Err(Error::invalid(
            &file,
            "has no service \"client\", which is what the agent works in",
        ));
    };
    let mut needs = Vec::new();
    let others = compose.services.keys().filter(|name| *name != CLIENT);
    for other in others {
        needs.push(format!("another container ({other})"));
    }
    let (context, dockerfile) = match &client.build {
        Some(Build::Context(context)) => (context.clone(), dockerfile()),
        Some(Build::Table {
            context,
            dockerfile,
        }) => (context.clone(), dockerfile.clone()),
        None => {
            needs.push("an image that is not built from a Dockerfile".to_owned());
            (PathBuf::new(), dockerfile())
        }
    };
    let inside = |path: &Path| {
        let text = path.to_string_lossy();
        if path.is_absolute() || text.split('/').any(|part| part == "..") {
            return Err(Error::invalid(
                &file,
                format!("{text:?} is outside the task's directory"),
            ));
        }
        files::member(directory, &text)
    };
    let dockerfile = context.join(dockerfile);
    Ok(Environment {
        context: inside(&context)?,
        dockerfile: inside(&dockerfile)?,
        docker_image: None,
        build_timeout: seconds(BUILD_SECONDS, "build", &file)?,
        cpus: 1.0,
        memory_mb: MEMORY_MB,
        storage_mb: STORAGE_MB,
        network: Network::Unsaid,
        workdir: None,
        env: Variables::new(),
        healthcheck: None,
        needs,
    })
}

/// `solution.sh`, else `solution.yaml`. Keys without an end of line are for a program
/// that is waiting for them, which is not to be had outside a terminal.
fn solution(directory: &Path) -> Result<Option<Solution>> {
    let script = files::member(directory, "solution.sh")?;
    if script.is_file() {
        return Ok(Some(Solution::Script(script)));
    }
    let file = files::member(directory, "solution.yaml")?;
    if !file.is_file() {
        return Ok(None);
    }
    let keys: Vec<Keys> = files::read_yaml(&file, "it is the solution")?;
    if keys.iter().any(|keys| !keys.append_enter) {
        return Ok(None);
    }
    let lines = keys.iter().map(|keys| keys.command.trim_end());
    Ok(Some(Solution::Commands(
        lines.collect::<Vec<_>>().join("\n"),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    fn task(yaml: &str, compose: &str) -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        let task = scratch.path().join("hello");
        fs::create_dir_all(task.join("tests")).unwrap();
        for (name, content) in [
            ("task.yaml", yaml),
            ("docker-compose.yaml", compose),
            ("run-tests.sh", "pytest -rA\n"),
            ("solution.sh", "true\n"),
        ] {
            fs::write(task.join(name), content).unwrap();
        }
        scratch
    }

    fn read(scratch: &tempfile::TempDir) -> Result<HarborTask, String> {
        read_task(&scratch.path().join("hello")).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", scratch.path().display()), "")
        })
    }

    const YAML: &str =
        "# canary\ninstruction: |-\n  Say hello.\ndifficulty: easy\nauthor_name: A\n";
    const COMPOSE: &str = "services:\n  client:\n    build:\n      dockerfile: Dockerfile\n    image: ${X}\n    command: [\"sh\", \"-c\", \"sleep infinity\"]\n    environment:\n      - TEST_DIR=${T_BENCH_TEST_DIR}\n";

    #[test]
    fn a_task_takes_the_shape_of_a_harbor_task() {
        let scratch = task(YAML, COMPOSE);
        let own = scratch.path().join("hello");
        let task = read(&scratch).unwrap();
        let step = &task.steps[0];
        assert_eq!(
            (task.name.as_str(), task.difficulty.as_str()),
            ("hello", "easy")
        );
        assert_eq!(step.instruction, "Say hello.");
        assert_eq!(step.agent_timeout, Duration::from_secs(360));
        assert_eq!(step.verifier.timeout, Duration::from_secs(60));
        assert_eq!(step.verifier.verdict, VerdictSource::PytestSummary);
        assert_eq!(
            step.verifier.tests,
            [own.join("tests"), own.join("run-tests.sh")]
        );
        assert_eq!(task.environment.dockerfile, own.join("Dockerfile"));
        assert!(task.environment.needs.is_empty());
        assert_eq!(
            step.solution,
            Some(Solution::Script(own.join("solution.sh")))
        );
        assert_eq!(list(scratch.path()).unwrap(), [own]);
    }

    #[test]
    fn a_solution_may_be_typed() {
        let scratch = task(YAML, "services:\n  client:\n    build: .\n");
        let own = scratch.path().join("hello");
        fs::remove_file(own.join("solution.sh")).unwrap();
        let typed = |yaml: &str| {
            fs::write(own.join("solution.yaml"), yaml).unwrap();
            read(&scratch).unwrap().steps.remove(0).solution
        };
        assert_eq!(
            typed("- command: echo a\n  block: true\n- command: |\n    cat <<E\n    x\n    E\n"),
            Some(Solution::Commands("echo a\ncat <<E\nx\nE".to_owned()))
        );
        assert_eq!(typed("- command: q\n  append_enter: false\n"), None);
    }

    #[test]
    fn what_cannot_be_done_says_so() {
        let error = |yaml: &str, compose: &str| read(&task(yaml, compose)).unwrap_err();
        insta::assert_snapshot!(error("instruction: x\nparser_name: swelancer\n", COMPOSE), @r#"hello/task.yaml: parser_name "swelancer" is not supported; tasks that are graded by pytest are"#);
        insta::assert_snapshot!(error(YAML, "services: {other: {}}"), @r#"hello/docker-compose.yaml: has no service "client", which is what the agent works in"#);
        insta::assert_snapshot!(error(YAML, "services: {client: {build: ../..}}"), @r#"hello/docker-compose.yaml: "../.." is outside the task's directory"#);
        insta::assert_snapshot!(error("instruction: x\nmax_test_timeout_sec: 0\n", COMPOSE), @"hello/task.yaml: max_test_timeout_sec is 0; it has to be a positive number of seconds, at most a week");
        let several = format!("{COMPOSE}  server:\n    image: x\n");
        let needs = read(&task(
            "instruction: x\nrun_tests_in_same_shell: true\n",
            &several,
        ))
        .unwrap()
        .environment
        .needs;
        insta::assert_snapshot!(needs.join("; "), @"another container (server); tests in the agent's own shell (run_tests_in_same_shell)");
    }
}
