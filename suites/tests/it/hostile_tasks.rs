//! Agents and tasks that mean harm do none: tried in bubblewrap, with the machine watched.

mod disk;
mod verdicts;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{backend, edit};
use timeslip_suites::sandbox::Scratch;
use timeslip_suites::{
    Execution, Exit, Grade, Limits, Sandbox, Suite, SuiteFile, Task, Workspace, grade,
};

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(10),
    output_bytes: 64 * 1024,
    memory_mb: 1024,
};

fn write(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// A trial of a task whose verifier wants `done`; `None`, said loudly, without bubblewrap.
struct Trial {
    task: Task,
    sandbox: Sandbox,
    // In this order: its mounts are in there.
    workspace: Workspace,
    place: Scratch,
    scratch: tempfile::TempDir,
}

const HONEST: &str = "test \"$(cat /app/done 2>/dev/null)\" = right && r=1 || r=0\n\
    echo $r >/logs/verifier/reward.txt\n";

impl Trial {
    fn new(test: &str) -> Option<Self> {
        Self::within("bubblewrap", test)
    }

    fn within(name: &str, test: &str) -> Option<Self> {
        if let Err(why) = backend(name).check() {
            eprintln!("SKIPPED: hostile tasks are not tried in {name}: {why}");
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let own = scratch.path().join("source/made");
        write(&own.join("task.toml"), "[verifier]\ntimeout_sec = 10\n");
        write(&own.join("instruction.md"), "Do harm.\n");
        write(
            &own.join("environment/Dockerfile"),
            "FROM x\nWORKDIR /app\n",
        );
        write(&own.join("tests/test.sh"), test);
        let task = load(scratch.path()).unwrap();
        let sandbox = Sandbox::new(backend(name)).unwrap();
        let place = Scratch::within(scratch.path(), "trial-").unwrap();
        let directory = place.path().join("trial");
        let workspace = Workspace::prepare(&task.workspace, &sandbox, &directory).unwrap();
        Some(Self {
            scratch,
            task,
            sandbox,
            workspace,
            place,
        })
    }

    fn run(&self, command: &str) -> Execution {
        self.run_limited(command, LIMITS)
    }

    fn run_limited(&self, command: &str, limits: Limits) -> Execution {
        let invocation = self.workspace.invocation(command, limits);
        self.sandbox.run(&invocation).unwrap()
    }

    fn grade(&self) -> Grade {
        grade(&self.task, &self.workspace, &self.sandbox).unwrap()
    }

    /// Everything still works afterwards.
    fn check_usable(&self) {
        assert_eq!(self.run("echo alive").text(), "alive\n");
        let untouched = self.grade();
        assert!(
            !untouched.resolved && !untouched.verifier_failed,
            "{untouched:?}"
        );
        self.run("printf right >done");
        assert!(self.grade().resolved);
    }
}

fn load(directory: &Path) -> Result<Task, String> {
    let file = directory.join("suite.toml");
    write(
        &file,
        "name = \"made\"\nformat = \"harbor\"\nsource = \"source\"\n",
    );
    SuiteFile::read(&file)
        .and_then(|file| Suite::load(&file, directory))
        .map(|mut suite| suite.tasks.remove(0))
        .map_err(|error| error.to_string())
}

/// Tries something in every sandbox that needs no image.
fn everywhere(test: &str, attempt: impl Fn(&Trial)) {
    for name in ["bubblewrap", "process"] {
        if let Some(trial) = Trial::within(name, test) {
            eprintln!("in {name}");
            attempt(&trial);
        }
    }
}

/// Processes of this machine whose command line holds `mark`.
fn processes_with(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap();
    let lines = processes.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}

fn wait_until_gone(mark: &str) {
    let began = Instant::now();
    while processes_with(mark) > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{mark} is still running"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_fork_bomb_ends_with_its_time_and_leaves_nothing() {
    everywhere(HONEST, |trial| {
        // Grows as fast as a bomb does, but stops on its own should nothing stop it.
        let bomb = "bomb() { [ $1 -gt 9 ] && exec sleep 86421; bomb $(($1 + 1)) & bomb $(($1 + 1)) & wait; }; bomb 1";
        let limits = Limits {
            wall: Duration::from_millis(1500),
            ..LIMITS
        };
        let began = Instant::now();
        let execution = trial.run_limited(bomb, limits);
        // A bound on processes may have ended it before.
        assert_ne!(execution.exit, Exit::Code(0), "{}", execution.text());
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
        wait_until_gone("86421");
        trial.check_usable();
    });
}

#[test]
fn ten_gigabytes_of_output_take_neither_memory_nor_disk() {
    everywhere(HONEST, |trial| {
        let before = peak_memory_kib();
        let limits = Limits {
            wall: Duration::from_secs(60),
            ..LIMITS
        };
        let execution = trial.run_limited("head -c 10G /dev/zero; echo end", limits);
        // On a slow machine the time ends it first; what counts is what was kept.
        if execution.exit == Exit::Code(0) {
            assert_eq!(execution.output_total_bytes, (10 << 30) + 4);
            assert!(execution.text().ends_with("end\n"));
        } else {
            assert_eq!(execution.exit, Exit::TimedOut);
            assert!(execution.output_total_bytes > 1 << 30);
        }
        assert!(execution.output.len() < LIMITS.output_bytes + 100);
        let grown = peak_memory_kib() - before;
        assert!(grown < 64 * 1024, "{grown} KiB were needed");
        trial.check_usable();
    });
}

fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_file_cannot_grow_without_bound() {
    everywhere(HONEST, |trial| {
        // Sparse, so that trying it costs nothing.
        let execution = trial.run("truncate -s 100G big || echo refused; ls big 2>/dev/null");
        assert!(execution.text().contains("refused") || execution.exit != Exit::Code(0));
        let size = trial.run("stat -c %s big 2>/dev/null || echo 0").text();
        let size: u64 = size.trim().parse().unwrap();
        assert!(size <= 1 << 30, "{size}");
    });
}

#[test]
fn links_lead_nowhere_outside() {
    let Some(trial) = Trial::new(HONEST) else {
        return;
    };
    let outside = trial.scratch.path().join("outside");
    write(&outside.join("secret"), "secret");
    let path = outside.display();
    let seen = trial.run(&format!(
        "ln -s {path}/secret link; ln -s {path} folder; cat link folder/secret /proc/1/root{path}/secret; \
         echo spoiled >link; echo spoiled >folder/new; echo spoiled >/app/../..{path}/new; mknod d b 8 0"
    ));
    assert!(!seen.text().contains("secret\n"), "{}", seen.text());
    for name in ["link", "folder/secret", "folder/new"] {
        let edited = edit(&trial.workspace, name, "", "spoiled");
        assert!(edited.is_err(), "{name}");
    }
    // In the place of what the verifier is handed, and of what is read of it.
    trial.run(&format!(
        "rm -rf /logs/artifacts; ln -s {path} /logs/artifacts; rm -rf /tmp; ln -s {path} /tmp/x"
    ));
    let judged = trial.grade();
    assert!(!judged.resolved, "{judged:?}");
    let left: Vec<_> = fs::read_dir(&outside).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(
        fs::read_to_string(outside.join("secret")).unwrap(),
        "secret"
    );
}

#[test]
fn a_daemon_does_not_outlive_its_command() {
    everywhere(HONEST, |trial| {
        let began = Instant::now();
        let daemon = "setsid nohup bash -c 'exec -a daemon-7531 sleep 7531' >/dev/null 2>&1 & \
        (trap '' TERM HUP INT; while :; do echo right >done; sleep 0.05; done) & disown -a; sleep 0.3; echo left";
        let execution = trial.run(daemon);
        assert_eq!(execution.text(), "left\n");
        assert!(began.elapsed() < Duration::from_secs(5));
        wait_until_gone("7531");
        // It was there while the command ran, but does not come back for the grading.
        assert!(trial.run("rm done").succeeded());
        assert_eq!(trial.grade().reward, Some(0.0));
    });
}

#[test]
fn a_verifier_that_never_ends_is_ended() {
    everywhere("sleep 98642 & sleep 98642\n", |trial| {
        let mut task = trial.task.clone();
        task.steps[0].verifier_time = Duration::from_millis(500);
        let judged = grade(&task, &trial.workspace, &trial.sandbox).unwrap();
        assert!(judged.verifier_failed, "{judged:?}");
        wait_until_gone("98642");
    });
}

#[test]
fn a_task_cannot_make_files_of_this_machine_its_own() {
    let secret = tempfile::tempdir().unwrap();
    write(&secret.path().join("test.sh"), "secret");
    write(&secret.path().join("task.toml"), "");
    // A folder for each link: instruction, tests, environment, solution, steps.
    for name in ["instruction.md", "tests", "environment", "solution"] {
        let Some(trial) = Trial::new(HONEST) else {
            return;
        };
        let own = trial.scratch.path().join("source/made");
        let place = own.join(name);
        let _ = fs::remove_dir_all(&place);
        let _ = fs::remove_file(&place);
        symlink(secret.path(), &place).unwrap();
        let error = load(trial.scratch.path()).unwrap_err();
        assert!(error.contains("leads out of"), "{name}: {error}");
    }
}

/// What an agent may do to its own work, from inside or, without a sandbox around it, to
/// the directories themselves.
const WRECKS: &[(&str, &str)] = &[
    ("a closed directory", "touch x; chmod 000 /app"),
    (
        "everything closed",
        "mkdir -p a/b; touch a/b/c; chmod -R 000 /app /tmp /logs",
    ),
    (
        "an unreadable file",
        "echo right >done; chmod 000 done; mkdir /logs/artifacts/x; chmod 000 /logs/artifacts/x /logs/artifacts",
    ),
    ("everything removed", "rm -rf /app /tmp /logs; true"),
    (
        "links in the place of directories",
        "mkdir -p e; for d in /logs/artifacts /logs /tmp /app; do rm -rf $d; ln -s /etc $d; done 2>/dev/null; true",
    ),
    (
        "files in the place of directories",
        "for d in /logs/artifacts /logs /tmp /app; do rm -rf $d; echo x >$d; done 2>/dev/null; true",
    ),
    ("a pipe", "rm -rf done; mkfifo done"),
    (
        "a process left behind",
        "setsid nohup bash -c 'for n in {1..50}; do echo right >wrong; sleep 0.1; done' >/dev/null 2>&1 & sleep 0.2",
    ),
    (
        "a deep tree",
        "python3 -c 'import os\nfor n in range(20000): os.mkdir(\"d\"); os.chdir(\"d\")'",
    ),
];

/// Whatever the agent leaves is graded, never an error of the harness, and removed.
#[test]
fn what_an_agent_wrecks_is_not_solved_and_is_removed() {
    // Writes no reward where it is not let in, as many a script does.
    let test = "set -e; cd /app; ls >/dev/null; test ! -e done || cat done >/dev/null\n\
        echo 0 >/logs/verifier/reward.txt\n";
    for name in ["bubblewrap", "process"] {
        for (wreck, command) in WRECKS {
            let Some(trial) = Trial::within(name, test) else {
                break;
            };
            let mut task = trial.task.clone();
            task.steps[0].verifier_time = Duration::from_secs(3);
            let ran = trial
                .sandbox
                .run(&trial.workspace.invocation(command, LIMITS));
            ran.unwrap();
            let graded = grade(&task, &trial.workspace, &trial.sandbox);
            let grade = graded.unwrap_or_else(|error| panic!("{name}, {wreck}: {error}"));
            assert!(
                !grade.resolved && !grade.verifier_failed,
                "{name}, {wreck}: {grade:?}"
            );
            let place = trial.place.path().to_owned();
            drop(trial);
            assert!(!place.exists(), "{name}, {wreck}");
        }
    }
}
