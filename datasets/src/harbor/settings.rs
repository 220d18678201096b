//! `task.toml`, schema versions 1.0 to 1.4.

mod verifier;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::sizes::megabytes;
use super::{
    Environment, Healthcheck, LONGEST, Network, RewardStrategy, Solution, Step, Variables,
    VerdictSource, Verifier, seconds, without_canary,
};
use crate::fields::{Flag, Number, Text, Texts, Whole};
use crate::text::plural;
use crate::{Error, Result, files};

/// The newest schema that is understood.
const NEWEST: (u32, u32) = (1, 4);

// Harbor's own defaults; resources are those that its older versions wrote down.
const TIMEOUT_SECONDS: f64 = 600.0;
const CPUS: f64 = 1.0;
const MEMORY_MB: u64 = 2048;
const STORAGE_MB: u64 = 10240;

/// What is read of `task.toml`; what Harbor itself ignores is ignored.
#[derive(Deserialize)]
pub(super) struct Settings {
    schema_version: Option<toml::Value>,
    /// What the field was called at first.
    version: Option<toml::Value>,
    #[serde(default)]
    pub(super) task: Package,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    verifier: VerifierTable,
    #[serde(default)]
    agent: AgentTable,
    #[serde(default)]
    environment: EnvironmentTable,
    #[serde(default)]
    pub(super) solution: SolutionTable,
    multi_step_reward_strategy: Option<StrategyName>,
    #[serde(default)]
    steps: Vec<StepTable>,
    #[serde(default)]
    artifacts: Vec<Artifact>,
}

#[derive(Default, Deserialize)]
pub(super) struct Package {
    #[serde(default)]
    pub(super) keywords: Texts,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) difficulty: Text,
    #[serde(default)]
    pub(super) category: Text,
    #[serde(default)]
    pub(super) tags: Texts,
}

#[derive(Default, Deserialize)]
pub(super) struct SolutionTable {
    #[serde(default)]
    pub(super) env: Variables,
}

#[derive(Default, Deserialize)]
struct AgentTable {
    timeout_sec: Option<Number>,
    network_mode: Option<NetworkName>,
    user: Option<User>,
}

#[derive(Default, Deserialize)]
struct VerifierTable {
    timeout_sec: Option<Number>,
    network_mode: Option<NetworkName>,
    #[serde(default)]
    env: Variables,
    user: Option<User>,
    environment_mode: Option<Mode>,
    environment: Option<EnvironmentTable>,
    #[serde(default)]
    collect: Vec<toml::Table>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Shared,
    Separate,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StrategyName {
    Mean,
    Final,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum User {
    Name(String),
    Number(u32),
}

#[derive(Default, Deserialize)]
struct EnvironmentTable {
    build_timeout_sec: Option<Number>,
    docker_image: Option<String>,
    os: Option<String>,
    cpus: Option<Number>,
    memory_mb: Option<Whole>,
    memory: Option<Text>,
    storage_mb: Option<Whole>,
    storage: Option<Text>,
    gpus: Option<Whole>,
    tpu: Option<toml::Table>,
    network_mode: Option<NetworkName>,
    allow_internet: Option<Flag>,
    #[serde(default)]
    mcp_servers: Vec<toml::Table>,
    #[serde(default)]
    env: Variables,
    workdir: Option<String>,
    healthcheck: Option<HealthcheckTable>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NetworkName {
    NoNetwork,
    Public,
    Allowlist,
}

impl NetworkName {
    fn meaning(self) -> Network {
        match self {
            Self::NoNetwork => Network::None,
            Self::Public => Network::Public,
            Self::Allowlist => Network::Allowlist,
        }
    }
}

#[derive(Deserialize)]
struct HealthcheckTable {
    command: String,
    interval_sec: Option<Number>,
    timeout_sec: Option<Number>,
    retries: Option<Whole>,
}

#[derive(Deserialize)]
struct StepTable {
    name: String,
    #[serde(default)]
    agent: AgentTable,
    #[serde(default)]
    verifier: VerifierTable,
    min_reward: Option<MinReward>,
    healthcheck: Option<HealthcheckTable>,
    #[serde(default)]
    artifacts: Vec<Artifact>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MinReward {
    Each(BTreeMap<String, Number>),
    One(Number),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Artifact {
    Path(String),
    Table {
        source: String,
        service: Option<String>,
    },
}

impl Settings {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let settings: Self = files::read_toml(file, "it describes the task")?;
        let version = match settings
            .schema_version
            .as_ref()
            .or(settings.version.as_ref())
        {
            None => return Ok(settings),
            Some(toml::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let parsed = version
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match parsed {
            Some(parsed) if (1, 0) <= parsed && parsed <= NEWEST => Ok(settings),
            Some(parsed) if parsed > NEWEST => Err(Error::invalid(
                file,
                format!(
                    "schema_version is {version}, newer than the {}.{} that is understood; a newer timeslip may read it",
                    NEWEST.0, NEWEST.1
                ),
            )),
            _ => Err(Error::invalid(
                file,
                format!("schema_version is {version:?}; known are \"1.0\" to \"1.4\""),
            )),
        }
    }

    pub(super) fn strategy(&self) -> RewardStrategy {
        match self.multi_step_reward_strategy {
            Some(StrategyName::Final) => RewardStrategy::Final,
            Some(StrategyName::Mean) | None => RewardStrategy::Mean,
        }
    }

    pub(super) fn environment(&self, directory: &Path, file: &Path) -> Result<Environment> {
        let table = &self.environment;
        let context = files::member(directory, "environment")?;
        let mut needs = table.needs();
        for name in ["docker-compose.yaml", "docker-compose.yml"] {
            if context.join(name).exists() {
                needs.push(format!("several containers (environment/{name})"));
            }
        }
        self.verifier.needs(&directory.join("tests"), &mut needs);
        for step in &self.steps {
            let tests = directory.join("steps").join(&step.name).join("tests");
            step.verifier.needs(&tests, &mut needs);
        }
        Ok(Environment {
            dockerfile: context.join("Dockerfile"),
            context,
            docker_image: table.docker_image.clone(),
            build_timeout: seconds(
                table
                    .build_timeout_sec
                    .map_or(TIMEOUT_SECONDS, |seconds| seconds.0),
                "environment.build_timeout_sec",
                file,
            )?,
            cpus: table
                .cpus
                .map(|cpus| cpus.0)
                .filter(|cpus| *cpus > 0.0)
                .unwrap_or(CPUS),
            memory_mb: megabytes(table.memory_mb, &table.memory, MEMORY_MB, "memory", file)?,
            storage_mb: megabytes(
                table.storage_mb,
                &table.storage,
                STORAGE_MB,
                "storage",
                file,
            )?,
            network: self.network(),
            workdir: table.workdir.clone(),
            env: table.env.clone(),
            healthcheck: healthcheck(table.healthcheck.as_ref(), "environment", file)?,
            needs,
        })
    }

    /// The most that any phase asks for.
    fn network(&self) -> Network {
        let legacy = self.environment.allow_internet.map(|all| match all {
            Flag(true) => Network::Public,
            Flag(false) => Network::None,
        });
        let whole = self.environment.network_mode.map(NetworkName::meaning);
        let steps = self.steps.iter();
        let phases = steps.flat_map(|step| [step.agent.network_mode, step.verifier.network_mode]);
        [self.agent.network_mode, self.verifier.network_mode]
            .into_iter()
            .chain(phases)
            .flatten()
            .map(NetworkName::meaning)
            .chain(whole.or(legacy))
            .max()
            .unwrap_or_default()
    }

    /// The steps; a task without `[[steps]]` is one of no name.
    pub(super) fn steps(&self, directory: &Path, file: &Path) -> Result<Vec<Step>> {
        if self.steps.is_empty() {
            let single = StepTable {
                name: String::new(),
                agent: AgentTable::default(),
                verifier: VerifierTable::default(),
                min_reward: None,
                healthcheck: None,
                artifacts: Vec::new(),
            };
            return Ok(vec![self.step(&single, directory, file)?]);
        }
        let mut seen = BTreeSet::new();
        self.steps
            .iter()
            .map(|step| {
                if !crate::is_plain_name(&step.name) {
                    return Err(Error::invalid(
                        file,
                        format!("the step name {:?} is not plain; use letters, digits, '-', '_' and '.'", step.name),
                    ));
                }
                if !seen.insert(step.name.to_lowercase()) {
                    return Err(Error::invalid(
                        file,
                        format!("two steps are called {:?}", step.name),
                    ));
                }
                let own = files::member(directory, &format!("steps/{}", step.name))?;
                self.step(step, &own, file)
            })
            .collect()
    }

    /// One step whose own files are in `own`.
    fn step(&self, step: &StepTable, own: &Path, file: &Path) -> Result<Step> {
        let many = !self.steps.is_empty();
        let shared = file.parent().unwrap_or(Path::new(""));
        let at = |table: &str| match step.name.as_str() {
            "" => table.to_owned(),
            name => format!("steps.{name}.{table}"),
        };
        let agent_timeout = match step.agent.timeout_sec.or(self.agent.timeout_sec) {
            Some(value) => seconds(value.0, &at("agent.timeout_sec"), file)?,
            None => LONGEST,
        };
        let user = |user: &Option<User>| {
            user.clone().map(|user| match user {
                User::Name(name) => name,
                User::Number(number) => number.to_string(),
            })
        };
        let instruction = files::read_text(
            &files::member(own, "instruction.md")?,
            "it is what the agent is told",
        )?;
        Ok(Step {
            name: step.name.clone(),
            instruction: without_canary(&instruction).to_owned(),
            agent_timeout,
            agent_user: user(&step.agent.user).or(user(&self.agent.user)),
            workdir: many
                .then(|| directory(own, "workdir"))
                .transpose()?
                .flatten(),
            healthcheck: healthcheck(step.healthcheck.as_ref(), &at("healthcheck"), file)?,
            min_reward: match &step.min_reward {
                None => BTreeMap::new(),
                Some(MinReward::One(least)) => BTreeMap::from([("reward".to_owned(), least.0)]),
                Some(MinReward::Each(least)) => {
                    let each = least.iter();
                    each.map(|(name, least)| (name.clone(), least.0)).collect()
                }
            },
            solution: match directory(own, "solution")? {
                None if many => directory(shared, "solution")?,
                own => own,
            }
            .map(Solution::Directory),
            verifier: Verifier {
                user: user(&step.verifier.user).or(user(&self.verifier.user)),
                ..self.judge(step, own, shared, &at("verifier.timeout_sec"), file)?
            },
        })
    }

    /// How a step is judged: its own tests on top of the task's.
    fn judge(
        &self,
        step: &StepTable,
        own: &Path,
        shared: &Path,
        key: &str,
        file: &Path,
    ) -> Result<Verifier> {
        let (outer, inner) = (&self.verifier, &step.verifier);
        let separate = inner.mode().or(outer.mode()) == Some(Mode::Separate);
        let image = match separate {
            true => verifier::image(&[(inner, own), (outer, shared)])?,
            false => None,
        };
        let mut tests = Vec::new();
        if own != shared {
            tests.extend(directory(shared, "tests")?);
        }
        tests.extend(directory(own, "tests")?);
        // An image of its own brings them.
        if image.is_none() && !tests.iter().any(|tests| tests.join("test.sh").is_file()) {
            return Err(Error::Missing {
                file: own.join("tests/test.sh"),
                remedy: "without it nothing grades the task".to_owned(),
            });
        }
        let mut env = outer.environment_env();
        env.extend(inner.environment_env());
        env.extend(outer.env.clone());
        env.extend(inner.env.clone());
        let artifacts = self.artifacts.iter().chain(&step.artifacts);
        Ok(Verifier {
            tests,
            script: "test.sh".to_owned(),
            verdict: VerdictSource::RewardFile,
            timeout: seconds(
                inner
                    .timeout_sec
                    .or(outer.timeout_sec)
                    .map_or(TIMEOUT_SECONDS, |seconds| seconds.0),
                key,
                file,
            )?,
            env,
            user: None,
            separate,
            image,
            artifacts: artifacts
                .filter_map(|artifact| match artifact {
                    Artifact::Path(source) => Some(source.clone()),
                    // Those of other containers are not reached without containers.
                    Artifact::Table { source, service } => {
                        let main = service.as_deref().is_none_or(|service| service == "main");
                        main.then(|| source.clone())
                    }
                })
                .collect(),
        })
    }
}

impl EnvironmentTable {
    fn needs(&self) -> Vec<String> {
        let mut needs = Vec::new();
        if let Some(Whole(gpus)) = self.gpus.filter(|gpus| gpus.0 > 0) {
            needs.push(plural(usize::try_from(gpus).unwrap_or(usize::MAX), "GPU"));
        }
        if self.tpu.is_some() {
            needs.push("a TPU".to_owned());
        }
        if let Some(os) = &self.os
            && !os.eq_ignore_ascii_case("linux")
        {
            needs.push(format!("the operating system {os}"));
        }
        if !self.mcp_servers.is_empty() {
            needs.push("MCP servers".to_owned());
        }
        needs
    }
}

fn healthcheck(
    table: Option<&HealthcheckTable>,
    key: &str,
    file: &Path,
) -> Result<Option<Healthcheck>> {
    let Some(table) = table else { return Ok(None) };
    let time = |value: Option<Number>, default: f64, name: &str| -> Result<Duration> {
        seconds(
            value.map_or(default, |seconds| seconds.0),
            &format!("{key}.{name}"),
            file,
        )
    };
    Ok(Some(Healthcheck {
        command: table.command.clone(),
        interval: time(table.interval_sec, 5.0, "interval_sec")?,
        timeout: time(table.timeout_sec, 30.0, "timeout_sec")?,
        retries: table
            .retries
            .map_or(3, |retries| retries.0.clamp(1, 100) as u32),
    }))
}

/// A directory of that name, where there is one.
fn directory(parent: &Path, name: &str) -> Result<Option<PathBuf>> {
    Ok(Some(files::member(parent, name)?).filter(|path| path.is_dir()))
}
