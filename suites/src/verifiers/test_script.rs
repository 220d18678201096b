//! The task's own test script leaves a reward, or prints what pytest found.

use std::fs;
use std::path::{Path, PathBuf};

use super::separate::Separate;
use super::{pytest_summary, reward_file, verdict_guard};
use crate::grade::{Infrastructure, REWARD, Rewards, last_lines, shown, single, solves};
use crate::path_guard::PathRefusal;
use crate::sandbox::{Scratch, TMP, copy as copy_tree};
use crate::task::{StepAttempt, Verifier, digest};
use crate::workspace::{ARTIFACTS, CommandVariables, LOGS, copy, mount, open_to_all};
use crate::{Error, Execution, Exit, Grade, Invocation, Limits, Result, Workspace};

const OUTPUT_BYTES: usize = 1024 * 1024;

/// How a script ended that was sent SIGKILL.
const KILLED: i32 = 128 + 9;

/// A script that is run where the agent worked, or in an environment apart from it.
#[derive(Clone, Debug)]
pub(crate) struct TestScript {
    /// Directories and files that together are `/tests`; a later one wins.
    pub(crate) tests: Vec<PathBuf>,
    /// The script in `/tests` that is run.
    pub(crate) script: String,
    /// How it tells its verdict.
    pub(crate) told: RewardTold,
    /// Its variables.
    pub(crate) variables: CommandVariables,
    /// The user that it is meant to be, where the task says.
    pub(crate) user: Option<String>,
    /// What it runs in apart from the agent, where it does.
    pub(crate) separate: Option<Separate>,
}

/// How a test script tells its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RewardTold {
    /// `/logs/verifier/reward.json`, else `reward.txt`; the exit code says nothing.
    InRewardFile,
    /// By the short summary that pytest prints at its end.
    ByPytestSummary,
}

/// The directories of this machine that a script gets.
struct ScriptPlace {
    _directory: Scratch,
    logs: PathBuf,
    tmp: PathBuf,
    tests: PathBuf,
    separate: PathBuf,
}

impl Verifier for TestScript {
    fn identity(&self) -> String {
        digest(["test script", &format!("{self:?}")])
    }

    fn grade(&self, attempt: &StepAttempt<'_>) -> Result<Grade> {
        let StepAttempt {
            task,
            step,
            workspace,
            sandbox,
        } = *attempt;
        let place = ScriptPlace::new(workspace)?;
        let fresh = match &self.separate {
            None => None,
            Some(separate) => match separate.prepare(workspace, sandbox, &place.separate)? {
                Ok(fresh) => Some(fresh),
                Err(why) => return Ok(Grade::no_verdict(why)),
            },
        };
        let limits = Limits {
            wall: step.verifier_time,
            output_bytes: OUTPUT_BYTES,
            memory_mb: task.workspace.needs.memory_mb,
        };
        let script = format!("/tests/{}", self.script);
        let command = match self.told {
            // Without a sandbox everything of this user would be stopped.
            RewardTold::InRewardFile if sandbox.capabilities().isolated => {
                verdict_guard::guarded(&script)
            }
            _ => format!("bash {script}"),
        };
        let judged_in = fresh.as_ref().unwrap_or(workspace);
        let user = self.user.as_deref();
        let mut invocation = judged_in.by(user, judged_in.invocation(&command, limits));
        self.mount(attempt, &place, &mut invocation)?;
        invocation = invocation.with_disk_anew();
        invocation.environment.extend_from_slice(&self.variables);
        let execution = sandbox.run(&invocation)?;
        let output = execution.text();
        let verdict = if execution.exit == Exit::TimedOut {
            let seconds = step.verifier_time.as_secs_f64();
            Err(format!("the verifier took longer than {seconds} s"))
        } else if execution.exceeded.disk {
            Err("disk limit: the verifier, or what it tests, wrote too much".to_owned())
        } else if was_killed(&execution) {
            // Whatever killed it may have written the reward that is there.
            Err(format!("the verifier was killed: {}", last_lines(&output)))
        } else {
            let read = self.verdict(&place.logs, &output);
            read.map_err(|why| format!("{why}: {}", last_lines(&output)))
        };
        let grade = match verdict {
            Ok((rewards, failed_tests)) => {
                let resolved = solves(&rewards, task.grader.solved_at());
                Grade {
                    resolved,
                    infrastructure: Infrastructure::find(&output).filter(|_| !resolved),
                    reward: single(&rewards),
                    detail: (!resolved)
                        .then(|| format!("reward {}: {}", shown(&rewards), last_lines(&output))),
                    failed_tests,
                    rewards,
                    ..Grade::default()
                }
            }
            Err(why) => Grade::no_verdict(why),
        };
        Ok(grade.with_log(output))
    }
}

impl TestScript {
    /// The rewards, and the tests that failed where those are told.
    fn verdict(&self, logs: &Path, output: &str) -> Result<(Rewards, Vec<String>), String> {
        match self.told {
            RewardTold::InRewardFile => {
                let names = |file: &str| {
                    let mut tests = self.tests.iter();
                    tests.any(|tests| verdict_guard::is_named(file, tests))
                };
                Ok((reward_file::rewards(logs, names)?, Vec::new()))
            }
            RewardTold::ByPytestSummary => {
                let failed = pytest_summary::failures(output)?;
                let reward = if failed.is_empty() { 1.0 } else { 0.0 };
                Ok((Rewards::from([(REWARD.to_owned(), reward)]), failed))
            }
        }
    }

    /// Gives the script its tests, and directories that the agent has not prepared.
    fn mount(
        &self,
        attempt: &StepAttempt<'_>,
        place: &ScriptPlace,
        invocation: &mut Invocation,
    ) -> Result<()> {
        // The scratch directory is the home directory, too.
        invocation
            .mounts
            .retain(|mount| mount.inside != TMP && mount.inside != LOGS);
        invocation
            .mounts
            .extend([mount(&place.tmp, TMP, true), mount(&place.logs, LOGS, true)]);
        let own_image = self.separate.as_ref().is_some_and(Separate::has_own_image);
        if !own_image {
            let writable = attempt.task.grader.writable_tests;
            let tests = match &self.tests[..] {
                [single] if single.is_dir() && !writable => single,
                [single] if single.is_dir() => {
                    copy_tree(single, &place.tests)?;
                    &place.tests
                }
                several => {
                    lay_out_tests(several, &place.tests).map_err(|(path, refusal)| {
                        Error::Prepare {
                            task: attempt.task.id.clone(),
                            message: format!("{path} {refusal}"),
                        }
                    })?;
                    &place.tests
                }
            };
            invocation.mounts.push(mount(tests, "/tests", writable));
        }
        if let Some(artifacts) = attempt.workspace.artifacts() {
            let inside = format!("{LOGS}/{ARTIFACTS}");
            invocation.mounts.push(mount(&artifacts, &inside, true));
        }
        Ok(())
    }
}

impl ScriptPlace {
    fn new(workspace: &Workspace) -> Result<Self> {
        let directory = Scratch::within(workspace.directory(), "verifier-")?;
        let here = |name: &str| directory.path().join(name);
        let place = Self {
            logs: here("logs"),
            tmp: here("tmp"),
            tests: here("tests"),
            separate: here("separate"),
            _directory: directory,
        };
        let Self {
            logs, tmp, tests, ..
        } = &place;
        for new in [&logs.join("verifier"), &logs.join(ARTIFACTS), tmp, tests] {
            fs::create_dir_all(new).map_err(Error::io("cannot be created", new))?;
            if workspace.in_container() {
                // The script may be any user of the container.
                open_to_all(new)?;
            }
        }
        Ok(place)
    }
}

/// Whether the script, or what runs it, was ended by the signal that only others send.
fn was_killed(execution: &Execution) -> bool {
    execution.command_ended.is_none()
        || matches!(execution.exit, Exit::Signal(_) | Exit::Code(KILLED))
}

/// Puts tests together in the empty directory `into`.
fn lay_out_tests(sources: &[PathBuf], into: &Path) -> Result<(), (String, PathRefusal)> {
    for source in sources {
        let to = match source.file_name() {
            Some(name) if source.is_file() => Path::new(name),
            _ => Path::new(""),
        };
        copy(source, into, to).map_err(|refusal| (source.display().to_string(), refusal))?;
    }
    Ok(())
}
