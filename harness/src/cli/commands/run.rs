//! `timeslip run`: the main job.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timeslip_datasets::options::LimitsTable;
use timeslip_datasets::run::journal::TrialKey;
use timeslip_datasets::run::manifest::Manifest;
use timeslip_datasets::run::plan::Plan;
use timeslip_datasets::run::{self, Keep, Keeper, RunDirectory};
use timeslip_suites::{Quarantined, Sandbox, Suite, Task, Workspace, sandbox};
use timeslip_wire::Measuring;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::{agents, report};
use crate::agents::Layers;
use crate::cli::ad_hoc::AdHoc;
use crate::cli::caveats;
use crate::cli::claims::Claims;
use crate::cli::interrupt::Interruption;
use crate::cli::isolation::{self, Chosen};
use crate::cli::keeping::Keeping;
use crate::console::say;
use crate::error::Error;
use crate::instrument::calibration;
use crate::run::agent::{Agent, External};
use crate::run::config::Config;
use crate::run::endpoints;
use crate::run::environment;
use crate::run::plan::{self, Overrides};
use crate::run::runner;
use crate::run::subscribers::{self, Bounds, Progress, Watch};

/// Run suites on endpoints and report where the time went
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Read this configuration file [default: timeslip.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run these suites: names or suite files [default: as configured]
    #[arg(value_name = "SUITE")]
    named: Vec<String>,

    /// Run this suite, too (repeatable)
    #[arg(long = "suite", value_name = "SUITE")]
    suites: Vec<String>,
    /// Measure this endpoint (repeatable: the candidates, then the baseline) [default: as
    /// configured]
    #[arg(long = "endpoint", short = 'e', value_name = "NAME")]
    endpoints: Vec<String>,
    /// Give the tasks to this agent: builtin, one that `timeslip agents` lists, or the file of
    /// one of your own (repeatable: each on every endpoint) [default: as configured]
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<String>,
    /// Hold the other endpoints against this one; of several agents it is AGENT@ENDPOINT
    /// [default: the last one]
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Run only this task, as TASK or SUITE/TASK (repeatable)
    #[arg(long = "task", value_name = "TASK")]
    tasks: Vec<String>,
    #[command(flatten)]
    ad_hoc: AdHoc,
    /// Make so many attempts of every task on every endpoint [default: as configured]
    #[arg(long, value_name = "N")]
    attempts: Option<u32>,
    /// Allow so many model calls in one trial [default: as configured]
    #[arg(long, value_name = "N")]
    turns: Option<u32>,
    /// Allow so many wall-clock seconds for one trial [default: as configured]
    #[arg(long, value_name = "SECONDS")]
    trial_seconds: Option<u64>,
    /// Run so many trials at once [default: as configured]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Seed the order and the simulated endpoints [default: as configured]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Make run directories here [default: as configured]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Keep tools away from this machine by auto, bubblewrap, docker or process [default: as
    /// configured]
    #[arg(long, value_name = "NAME")]
    sandbox: Option<String>,
    /// Stop when the run has cost so many US dollars; needs the price of every real endpoint
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<f64>,
    /// Stop when so many trials of an endpoint in a row end alike without an answer; 0 never
    /// does
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_failures: u32,
    #[command(flatten)]
    keeping: Keeping,
    /// Begin without asking every real endpoint for a word first
    #[arg(long)]
    no_check: bool,
    /// Print the resolved plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Finish an interrupted run
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "config", "named", "suites", "endpoints", "agents", "baseline", "tasks", "base_url", "attempts", "turns", "trial_seconds", "concurrency", "seed", "directory", "sandbox", "dry_run", "no_bodies", "hashed",
    ])]
    resume: Option<PathBuf>,
}

/// A run that is ready to go on.
struct Ready {
    directory: RunDirectory,
    manifest: Manifest,
    suites: Vec<Suite>,
    agents: HashMap<String, Agent>,
    sandbox: Sandbox,
    recorded: Recorded,
    keeper: Keeper,
    /// Keeps other processes from writing this run.
    lock: File,
}

/// What a run has recorded so far.
struct Recorded {
    finished: HashSet<TrialKey>,
    whole_bytes: u64,
    /// Goes on from there, and says where the run is to end early.
    watch: Watch,
    stopped: oneshot::Receiver<String>,
}

impl Recorded {
    fn read(directory: &RunDirectory, manifest: &Manifest, bounds: Bounds) -> Result<Self, Error> {
        let (mut watch, stopped) = Watch::new(&manifest.plan, bounds);
        let mut finished = HashSet::new();
        let mut journal = directory.read_journal(manifest)?;
        for trial in journal.by_ref() {
            let trial = trial.map_err(run::Error::from)?;
            watch.recorded(&trial.key, &trial.exchanges);
            finished.insert(trial.key);
        }
        for (trial, exchanges) in journal.cut_off() {
            watch.recorded(trial, exchanges);
        }
        Ok(Recorded {
            finished,
            whole_bytes: journal.whole_bytes(),
            watch,
            stopped,
        })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let scratch = Sandbox::scratch()?;
    let runtime = super::runtime()?;
    let ready = if let Some(path) = &arguments.resume {
        resume(path, scratch.path(), arguments, &runtime)?
    } else {
        let config = Config::load(arguments.config.as_deref())?;
        let (plan, suites) = plan::resolve(&config, &overrides(arguments), scratch.path())?;
        if arguments.dry_run {
            return super::print(&plan::describe(&plan));
        }
        let parent = arguments
            .directory
            .as_ref()
            .or(config.run.directory.as_ref());
        let parent = parent.map_or(Path::new("runs"), PathBuf::as_path);
        let sandbox = arguments.sandbox.as_ref().or(config.run.sandbox.as_ref());
        let sandbox = sandbox.map_or(isolation::AUTO, String::as_str);
        check(&plan, arguments, &runtime)?;
        fresh(parent, sandbox, plan, suites, arguments)?
    };
    let (directory, manifest) = (ready.directory.clone(), ready.manifest.clone());
    for warning in &manifest.warnings {
        say(&format!("warning: {warning}"));
    }
    match measure(ready, scratch.path(), runtime) {
        Ok(_lock) => report::render(directory.path(), &Claims::default()),
        Err(error @ (Error::Interrupted { .. } | Error::Stopped { .. })) => {
            // What there is; that it is not all is the report's first sentence.
            if let Err(problem) = report::render(directory.path(), &Claims::default()) {
                say(&format!("timeslip: no report of what there is: {problem}"));
            }
            // What was under way may have gone on a little while that was written.
            sandbox::clean_up();
            Err(error)
        }
        Err(error) => Err(error),
    }
}

fn overrides(arguments: &Arguments) -> Overrides {
    Overrides {
        suites: [&*arguments.named, &*arguments.suites].concat(),
        endpoints: arguments.endpoints.clone(),
        agents: arguments.agents.clone(),
        baseline: arguments.baseline.clone(),
        tasks: arguments.tasks.clone(),
        ad_hoc: arguments.ad_hoc.table(),
        attempts: arguments.attempts,
        limits: LimitsTable {
            turns: arguments.turns,
            trial_seconds: arguments.trial_seconds,
            ..LimitsTable::default()
        },
        concurrency: arguments.concurrency,
        seed: arguments.seed,
    }
}

fn bounds(arguments: &Arguments) -> Bounds {
    Bounds {
        failures: arguments.max_failures,
        cost_usd: arguments.max_cost,
    }
}

fn dollars(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok().filter(|amount: &f64| amount.is_finite());
    let amount = amount.filter(|amount| *amount > 0.0);
    amount.ok_or_else(|| "write a number above 0, such as 2.50".to_owned())
}

/// Checks the endpoints, and that the run can be kept within its bounds.
fn check(plan: &Plan, arguments: &Arguments, runtime: &Runtime) -> Result<(), Error> {
    bounds(arguments).check(plan)?;
    let checking = endpoints::check(&plan.endpoints, !arguments.no_check);
    for warning in runtime.block_on(checking)? {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}

/// Checks everything else that can be checked, then makes the run directory.
fn fresh(
    parent: &Path,
    sandbox: &str,
    plan: Plan,
    suites: Vec<Suite>,
    arguments: &Arguments,
) -> Result<Ready, Error> {
    let Chosen {
        sandbox,
        mut warnings,
    } = isolation::choose(sandbox)?;
    for suite in &suites {
        let excluded = suite.excluded.iter();
        warnings.extend(excluded.map(|entry| left_out(&suite.name, entry)));
    }
    let planned = planned(&plan, &suites);
    for task in &planned {
        Workspace::check(&task.workspace, &sandbox)?;
    }
    warnings.extend(caveats::of(planned, &sandbox.capabilities()));
    warnings.extend(caveats::of_agents(&plan));
    let agents = installed(&plan, &sandbox)?;
    let mut facts = environment::facts();
    facts.extend(versions(&agents));
    let backend = sandbox.backend().name();
    let (directory, manifest) = RunDirectory::create(parent, backend, facts, warnings, plan)?;
    let sandbox = sandbox.for_run(&manifest.run_id);
    let lock = directory.lock()?;
    let keeper = directory.keep(kept(&manifest.plan, &arguments.keeping))?;
    let recorded = Recorded::read(&directory, &manifest, bounds(arguments))?;
    Ok(Ready {
        directory,
        manifest,
        suites,
        agents,
        sandbox,
        recorded,
        keeper,
        lock,
    })
}

/// What is kept of what is said: whole bodies only of real agents, which alone go through a
/// proxy.
fn kept(plan: &Plan, keeping: &Keeping) -> Keep {
    let real = plan.endpoints.iter().any(|one| one.agent.is_some());
    match keeping.keep() {
        Keep::Bodies if !real => Keep::Nothing,
        keep => keep,
    }
}

/// The agents of the plan's endpoints, by name, each installed.
fn installed(plan: &Plan, sandbox: &Sandbox) -> Result<HashMap<String, Agent>, Error> {
    let mut agents = HashMap::new();
    for endpoint in &plan.endpoints {
        let agent = match &endpoint.agent {
            None => Agent::BuiltIn,
            Some(agent) => {
                External::check(&sandbox.capabilities()).map_err(|problem| Error::Agent {
                    agent: agent.name.clone(),
                    problem: format!("{}: {problem}", sandbox.backend().name()),
                })?;
                let installing = |adapter: &_| say(&agents::installing(adapter));
                let external = External::of(agent, endpoint, &Layers::of_user()?, installing)?;
                Agent::External(Arc::new(external))
            }
        };
        agents.insert(endpoint.name.clone(), agent);
    }
    Ok(agents)
}

/// The versions that real agents print themselves, as facts of a run.
fn versions(agents: &HashMap<String, Agent>) -> BTreeMap<String, String> {
    let external = agents.values().filter_map(|agent| match agent {
        Agent::BuiltIn => None,
        Agent::External(agent) => Some(agent),
    });
    let named = external.map(|agent| {
        (
            format!("agent {}", agent.name()),
            agent.version().to_owned(),
        )
    });
    named.collect()
}

/// What a reader of the report has to know of a task in quarantine.
fn left_out(suite: &str, entry: &Quarantined) -> String {
    let when = match entry.when.as_str() {
        "" => String::new(),
        when => format!(", found {when}"),
    };
    format!(
        "{suite}/{} is left out, in quarantine{when}: {}",
        entry.task, entry.why
    )
}

/// The tasks that have a trial.
fn planned<'a>(plan: &Plan, suites: &'a [Suite]) -> Vec<&'a Task> {
    let planned: HashSet<(&str, &str)> = plan
        .trials
        .iter()
        .map(|trial| (trial.suite.as_str(), trial.task.as_str()))
        .collect();
    let tasks = suites.iter().flat_map(|suite| &suite.tasks);
    tasks
        .filter(|task| planned.contains(&(task.suite.as_str(), task.id.as_str())))
        .collect()
}

/// Opens an interrupted run and finds out what is left of it.
fn resume(
    path: &Path,
    scratch: &Path,
    arguments: &Arguments,
    runtime: &Runtime,
) -> Result<Ready, Error> {
    let (directory, manifest) = RunDirectory::open(path)?;
    let lock = directory.lock()?;
    let recorded = Recorded::read(&directory, &manifest, bounds(arguments))?;
    let Chosen { sandbox, .. } = isolation::choose(&manifest.sandbox).map_err(|error| Error::Run {
        path: directory.path().to_owned(),
        problem: format!(
            "began with tools in '{}', and with others its trials would not be comparable: {error}",
            manifest.sandbox
        ),
    })?;
    let sandbox = sandbox.for_run(&manifest.run_id);
    let suites = manifest
        .plan
        .suites
        .iter()
        .map(|suite| {
            let file = suite.to_file().map_err(|error| Error::Run {
                path: directory.path().to_owned(),
                problem: format!("the suite '{}' of its plan: {error}", suite.name()),
            })?;
            Ok(Suite::load(&file, scratch)?)
        })
        .collect::<Result<Vec<_>, Error>>()?;
    check(&manifest.plan, arguments, runtime)?;
    let agents = installed(&manifest.plan, &sandbox)?;
    let keeper = directory.keep_on()?;
    Ok(Ready {
        directory,
        manifest,
        suites,
        agents,
        sandbox,
        recorded,
        keeper,
        lock,
    })
}

/// Runs what is left of the plan; gives the lock back.
fn measure(ready: Ready, scratch: &Path, runtime: Runtime) -> Result<File, Error> {
    let Ready {
        directory,
        manifest,
        suites,
        agents,
        sandbox,
        recorded,
        keeper,
        lock,
    } = ready;
    let Recorded {
        finished,
        whole_bytes,
        watch,
        stopped,
    } = recorded;
    let plan = &manifest.plan;
    say(&format!("run {}", directory.path().display()));
    let interruption = Interruption::expect();
    let interrupted = || Error::Interrupted {
        run: directory.path().to_owned(),
    };
    let measuring =
        Measuring::start(plan.arrivals).map_err(Error::system("cannot start measuring"))?;
    let calibration = match directory.read_calibration()? {
        Some(calibration) => calibration,
        None => {
            let calibration = runtime.block_on(async {
                tokio::select! {
                    calibration = calibration::short(plan, &measuring) => calibration,
                    () = interruption.wait() => Err(interrupted()),
                }
            })?;
            directory.write_calibration(&calibration)?;
            calibration
        }
    };
    let with_errors = |errors| {
        let mut calibration = calibration.clone();
        calibration.during.extend(errors);
        calibration
    };
    let mut canary = calibration::canary_of(plan)?;
    let (called, servers) = endpoints::start(plan, &suites, |name| Ok(directory.emissions(name)?))?;
    let (events, listener) = subscribers::listen(vec![
        Box::new(subscribers::Journal::open(
            &directory,
            whole_bytes,
            keeper.leaves_out_text(),
        )?),
        Box::new(Progress::new(finished.len(), plan.trials.len())),
        Box::new(watch),
    ])?;
    let running = runner::run(
        plan,
        suites,
        called,
        agents,
        runner::Place {
            run_id: manifest.run_id.clone(),
            sandbox,
            scratch: scratch.to_owned(),
            measuring: measuring.handle().clone(),
            keeper,
        },
        &finished,
        events,
    );
    let keep = |errors| {
        let (directory, calibration) = (directory.clone(), with_errors(Some(errors)));
        // What cannot be written now is written at the end, or said there.
        tokio::task::spawn_blocking(move || directory.write_calibration(&calibration));
    };
    let cut_off = runtime.block_on(async {
        tokio::select! {
            biased;
            () = running => None,
            () = canary.accompany(measuring.handle(), keep) => None,
            () = interruption.wait() => Some(interrupted()),
            Ok(why) = stopped => Some(Error::Stopped {
                why,
                run: directory.path().to_owned(),
            }),
        }
    });
    // Ends what an interruption left under way: the recorder waits for it. A tool call or
    // a grader holds up nothing, its sandbox ends with this process.
    runtime.shutdown_background();
    // What was finished is written.
    let recorded = listener.join().unwrap_or_else(|_| {
        Err(Error::Run {
            path: directory.journal(),
            problem: "the thread that records events crashed".into(),
        })
    });
    // Ends their logs.
    drop(servers);
    let mut calibration = with_errors(canary.errors());
    let held = calibration::emitted(&directory, &manifest).map(|errors| {
        calibration.emitted = errors;
    });
    let written = directory.write_calibration(&calibration);
    if let Some(error) = cut_off {
        sandbox::clean_up();
        return Err(error);
    }
    recorded?;
    held?;
    written?;
    Ok(lock)
}
