//! Containers of a real engine: Docker or Podman, whichever `DOCKER_HOST` names.
//! `scripts/containers` starts one, and imports the image these tests are for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::{LIMITS, invocation};
use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::{
    Backend, Execution, Exit, Image, Invocation, Root, Sandbox, Suite, SuiteFile, Workspace, grade,
};

/// The engine, and the root file system to make containers of; says why not.
fn engine() -> Option<(Sandbox, Image)> {
    let Some(rootfs) = std::env::var_os("TIMESLIP_TEST_ROOTFS") else {
        eprintln!(
            "SKIPPED: containers are not tested: TIMESLIP_TEST_ROOTFS is not set; run scripts/containers"
        );
        return None;
    };
    let sandbox = Sandbox::new(Backend::Docker).expect("TIMESLIP_TEST_ROOTFS needs an engine");
    Some((sandbox, Image::Archive(PathBuf::from(rootfs))))
}

/// A container and the workspace that its commands see.
struct Place {
    sandbox: Sandbox,
    root: Root,
    workspace: tempfile::TempDir,
}

impl Place {
    fn new() -> Option<Self> {
        let (sandbox, image) = engine()?;
        let root = sandbox.root(&image, Path::new("/nonexistent")).unwrap();
        let workspace = tempfile::tempdir().unwrap();
        Some(Self {
            sandbox,
            root,
            workspace,
        })
    }

    fn invocation(&self, command: &str) -> Invocation {
        Invocation {
            root: Some(self.root.clone()),
            ..invocation(self.workspace.path(), command, LIMITS)
        }
    }

    fn run(&self, command: &str) -> Execution {
        self.sandbox.run(&self.invocation(command)).unwrap()
    }
}

#[test]
fn exit_codes_output_and_marks_come_back() {
    let Some(place) = Place::new() else { return };
    let execution = place.run("echo one; echo two >&2; echo three; exit 7");
    assert_eq!(execution.exit, Exit::Code(7));
    assert_eq!(execution.text(), "one\ntwo\nthree\n");
    assert_eq!(place.run("kill -9 $$").exit, Exit::Code(137));
    assert_eq!(place.run("no-such-program").exit, Exit::Code(127));
    assert_eq!(
        place.run("echo $TASK; pwd; cat").text(),
        "/app/data\n/app\n"
    );
    let slept = place.run("sleep 0.5");
    let (started, ended) = (slept.command_started.unwrap(), slept.command_ended.unwrap());
    assert!(slept.spawned <= started && ended <= slept.ended);
    let command = ended - started;
    assert!(command >= Duration::from_millis(400), "{command:?}");
    assert!(command < Duration::from_millis(1500), "{command:?}");
}

#[test]
fn files_last_and_processes_do_not() {
    let Some(place) = Place::new() else { return };
    place.run("echo a >/app/file; echo b >/etc/mine; echo c >/tmp/scratch");
    assert_eq!(
        fs::read_to_string(place.workspace.path().join("file")).unwrap(),
        "a\n"
    );
    assert_eq!(
        place.run("cat /app/file /etc/mine /tmp/scratch").text(),
        "a\nb\nc\n"
    );
    let began = Instant::now();
    let left = place.run("(sleep 1; touch /app/survived) & setsid sleep 30 & echo done");
    assert_eq!((left.exit, left.text().as_str()), (Exit::Code(0), "done\n"));
    assert!(began.elapsed() < Duration::from_secs(5));
    std::thread::sleep(Duration::from_millis(1300));
    let remains = place.run("ls /app; cat /proc/[0-9]*/comm | grep -c setsid");
    assert_eq!(remains.text(), "file\n0\n");
}

#[test]
fn a_timeout_kills_everything_and_files_stay() {
    let Some(place) = Place::new() else { return };
    let began = Instant::now();
    let mut endless =
        place.invocation("echo begun; touch /kept; trap '' TERM; sleep 60 & sleep 60");
    endless.limits.wall = Duration::from_secs(1);
    let execution = place.sandbox.run(&endless).unwrap();
    assert_eq!(execution.exit, Exit::TimedOut);
    assert_eq!(execution.text(), "begun\n");
    assert!(execution.command_started.is_some());
    assert_eq!(execution.command_ended, None);
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(
        place
            .run("ls /kept; cat /proc/[0-9]*/cmdline | tr -d '\\0' | grep -c 'sleep 60$'")
            .text(),
        "/kept\n0\n"
    );
}

#[test]
fn a_command_cannot_forge_or_silence_its_marks() {
    let Some(place) = Place::new() else { return };
    let forged = place.run("printf 'se9 9;' >/proc/$PPID/fd/2; sleep 0.4");
    let command = forged.command_ended.unwrap() - forged.command_started.unwrap();
    assert!(command >= Duration::from_millis(300), "{command:?}");
    let killed = place.run("kill -9 $PPID; sleep 0.1");
    assert!(killed.command_started.is_some());
    assert_eq!(killed.command_ended, None);
    assert_ne!(killed.exit, Exit::Code(0));
    assert_eq!(place.run("echo again").text(), "again\n");
}

#[test]
fn memory_processes_and_network_are_bounded() {
    let Some(place) = Place::new() else { return };
    let mut greedy = place.invocation("python3 -c 'x = bytearray(512 << 20)'");
    greedy.limits.memory_mb = 256;
    let execution = place.sandbox.run(&greedy).unwrap();
    assert_eq!(execution.exit, Exit::Code(137), "{}", execution.text());
    assert!(execution.exceeded.memory);
    let modest = place.run("python3 -c 'x = bytearray(512 << 20)'; echo $?");
    assert_eq!(
        (modest.text().as_str(), modest.exceeded.memory),
        ("0\n", false)
    );

    let began = Instant::now();
    let mut bomb = place.invocation("f() { f | f & }; f; sleep 20");
    bomb.limits.wall = Duration::from_secs(2);
    bomb.quota.processes = 50;
    let execution = place.sandbox.run(&bomb).unwrap();
    assert_eq!(execution.exit, Exit::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(20));

    let interfaces = place.run("tail -n +3 /proc/net/dev | cut -d: -f1");
    assert_eq!(interfaces.text().trim(), "lo");
}

#[test]
fn endless_output_is_counted_but_not_kept() {
    let Some(place) = Place::new() else { return };
    let execution =
        place.run("echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last");
    assert_eq!(execution.output_total_bytes, 20_000_012);
    let text = execution.text();
    assert!(text.starts_with("first\n") && text.ends_with("\nlast\n"));
    assert!(text.len() < LIMITS.output_bytes + 64);
}

#[test]
fn other_mounts_mean_a_container_of_their_own() {
    let Some(place) = Place::new() else { return };
    place.run("echo installed >/etc/mine; echo x >/tmp/note");
    let tests = tempfile::tempdir().unwrap();
    fs::write(
        tests.path().join("test.sh"),
        "cat /etc/mine; echo y >/etc/mine; touch /tests/new\n",
    )
    .unwrap();
    let mut verifier = place.invocation("bash /tests/test.sh");
    verifier.mounts.push(timeslip_suites::Mount {
        host: tests.path().to_path_buf(),
        inside: "/tests".to_owned(),
        writable: false,
    });
    let execution = place.sandbox.run(&verifier).unwrap();
    assert!(
        execution.text().starts_with("installed\n"),
        "{}",
        execution.text()
    );
    assert_eq!(execution.exit, Exit::Code(1));
    assert_eq!(
        place.run("cat /etc/mine; ls -d /tests 2>/dev/null").text(),
        "installed\n"
    );
}

/// A suite of one Harbor task, built from its Dockerfile or prepared in the image.
fn suite(directory: &Path, dockerfile: &str, lines: &str) -> Suite {
    suite_of(directory, "", dockerfile, lines)
}

fn suite_of(directory: &Path, task: &str, dockerfile: &str, lines: &str) -> Suite {
    let write = |file: &str, content: &str| {
        let file = directory.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    };
    write("source/made/task.toml", task);
    write("source/made/instruction.md", "Make it so.\n");
    write("source/made/environment/Dockerfile", dockerfile);
    write("source/made/environment/in", "in\n");
    write(
        "source/made/tests/test.sh",
        "cat /app/solution >/logs/verifier/reward.txt\n",
    );
    let text = format!("name = \"made\"\nformat = \"harbor\"\nsource = \"source\"\n{lines}");
    write("suite.toml", &text);
    let file = SuiteFile::read(&directory.join("suite.toml")).unwrap();
    Suite::load(&file, directory).unwrap()
}

#[test]
fn a_task_is_built_worked_on_and_graded() {
    let Some((sandbox, image)) = engine() else {
        return;
    };
    let Image::Archive(rootfs) = &image else {
        return;
    };
    let base = std::env::var("TIMESLIP_TEST_IMAGE").unwrap();
    let whole = format!(
        "FROM {base}\nRUN mkdir -p /opt/tool && echo tool >/opt/tool/it\nWORKDIR /app\nCOPY in .\n"
    );
    let below = format!("FROM {base}\nWORKDIR /app\nCOPY in .\nRUN cp in copied\n");
    let named = format!("rootfs = {:?}\n", rootfs.display().to_string());
    for (dockerfile, lines, there) in [
        (whole, "", "in\n/opt/tool/it\n"),
        (below, named.as_str(), "copied\nin\n"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let suite = suite(scratch.path(), &dockerfile, lines);
        let task = &suite.tasks[0];
        Workspace::check(task, &sandbox).unwrap();
        for attempt in ["one", "two", "three"] {
            let began = Instant::now();
            let workspace =
                Workspace::prepare(task, &sandbox, &scratch.path().join(attempt)).unwrap();
            eprintln!("{attempt}: prepared in {:?}", began.elapsed());
            let run = |command: &str| {
                let execution = sandbox.run(&workspace.invocation(command, LIMITS)).unwrap();
                execution.text()
            };
            assert_eq!(run("ls; ls /opt/tool/it 2>/dev/null"), there);
            assert_eq!(workspace.working_directory(), "/app");
            assert_eq!(grade(task, &workspace, &sandbox).unwrap().reward, None);
            run("ln -s /etc/hostname link; echo old >kept; chmod 711 kept; mkdir sub");
            for (path, old, new) in [
                ("solution", "", "1\n"),
                ("/app/sub/deep/new", "", "x\n"),
                ("kept", "old", "new"),
            ] {
                workspace.edit(path, old, new).unwrap();
            }
            assert_eq!(
                run("cat solution sub/deep/new kept; stat -c %a kept"),
                "1\nx\nnew\n711\n"
            );
            for refused in ["../x", "/etc/x", "link"] {
                assert!(workspace.edit(refused, "", "x").is_err(), "{refused}");
            }
            assert!(
                workspace
                    .edit("none", "a", "b")
                    .unwrap_err()
                    .to_string()
                    .contains("does not exist")
            );
            assert!(grade(task, &workspace, &sandbox).unwrap().resolved);
        }
    }
}

#[test]
fn a_solution_and_the_files_of_a_step_reach_a_container() {
    let Some((sandbox, _)) = engine() else { return };
    let base = std::env::var("TIMESLIP_TEST_IMAGE").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("source/made");
    let write = |file: &str, content: &str| {
        let file = made.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    };
    for step in ["one", "two"] {
        write(&format!("steps/{step}/instruction.md"), "Make it so.\n");
        let judge = format!(
            "cp /opt/done-{step} /logs/verifier/reward.txt || echo 0 >/logs/verifier/reward.txt\n"
        );
        write(&format!("steps/{step}/tests/test.sh"), &judge);
        let solve = format!("cat seed-{step} /solution/one >/opt/done-{step}\n");
        write(&format!("steps/{step}/solution/solve.sh"), &solve);
        write(&format!("steps/{step}/solution/one"), "\n");
        write(&format!("steps/{step}/workdir/given-{step}"), "1");
        let set_up = format!("mv given-{step} seed-{step}\n");
        write(&format!("steps/{step}/workdir/setup.sh"), &set_up);
    }
    // Not every engine makes a WORKDIR that nothing is put into.
    let dockerfile = format!("FROM {base}\nWORKDIR /app\nCOPY in .\n");
    let suite = suite_of(
        scratch.path(),
        "[[steps]]\nname = 'one'\n[[steps]]\nname = 'two'\n",
        &dockerfile,
        "",
    );
    let sound = verify(&suite.tasks[0], &sandbox, 2, scratch.path());
    assert_eq!(sound, Soundness::Sound);
}

#[test]
fn an_image_that_is_nowhere_is_an_error_that_says_what_to_do() {
    let Some((sandbox, _)) = engine() else { return };
    let image = Image::Reference("timeslip.invalid/none".to_owned());
    let error = sandbox
        .root(&image, Path::new("/nonexistent"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "sandbox docker: the image timeslip.invalid/none is not here and cannot be pulled"
        ),
        "{error}"
    );
}

/// What the engine lists at `path`, as it is.
fn listed(path: &str) -> String {
    use std::io::{Read, Write};
    let host = std::env::var("DOCKER_HOST").unwrap();
    let socket = host
        .strip_prefix("unix://")
        .expect("DOCKER_HOST names a socket");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 OK"), "{answer}");
    answer
}

/// A process that works in a container until it is killed.
fn victim() -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "works_until_it_is_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "a part of the test below"]
fn works_until_it_is_killed() {
    let Some(place) = Place::new() else { return };
    place.run("sleep 15");
}

#[test]
fn the_next_start_removes_what_a_crash_left() {
    if engine().is_none() {
        return;
    }
    let containers = "/containers/json?all=1";
    let begun = |pid: u32| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !listed("/containers/json").contains(&format!("-{pid}-")) {
            assert!(Instant::now() < deadline, "the victim did not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut killed = victim();
    begun(killed.id());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(listed(containers).contains(&format!("-{}-", killed.id())));

    let mut alive = victim();
    begun(alive.id());
    assert!(!listed(containers).contains(&format!("-{}-", killed.id())));
    assert!(alive.wait().unwrap().success());
    assert!(!listed(containers).contains(&format!("-{}-", alive.id())));
}
