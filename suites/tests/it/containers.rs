//! Containers of a real engine: Docker or Podman, whichever `DOCKER_HOST` names.
//! what they run, and within which bounds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::containers::{ask, engine};
use crate::support::{LIMITS, invocation};
use timeslip_suites::{DiskQuota, Execution, Exit, Image, Invocation, Root, Sandbox};

/// A container and the workspace that its commands see.
struct Place {
    sandbox: Sandbox,
    root: Root,
    workspace: tempfile::TempDir,
}

impl Place {
    fn new() -> Option<Self> {
        let (sandbox, image) = engine()?;
        let (root, _) = sandbox.root(&image, Path::new("/nonexistent")).unwrap();
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
fn what_a_container_writes_is_bounded_wherever_it_writes() {
    let Some(place) = Place::new() else { return };
    let outside = tempfile::tempdir().unwrap();
    for (to, quota_of) in [
        ("/var/tmp", outside.path()),
        ("/app", outside.path()),
        ("/app", place.workspace.path()),
    ] {
        let quota = DiskQuota::new(quota_of, 100);
        let bounded = |command: &str| {
            let invocation = Invocation {
                disk: Some(quota.clone()),
                ..place.invocation(command)
            };
            place.sandbox.run(&invocation).unwrap()
        };
        let within = bounded("truncate -s 900M /app/hole; head -c 20M /dev/zero >/app/kept");
        assert!(within.succeeded() && !within.exceeded.disk, "{within:?}");
        let full = bounded(&format!(
            "for n in 1 2 3; do head -c 100M /dev/zero | tr '\\0' x >{to}/$n; done; sleep 60"
        ));
        assert_eq!(full.exit, Exit::DiskLimit, "{to}: {}", full.text());
        assert!(full.exceeded.disk);
        assert!(place.run("rm -rf /app/* /var/tmp/*").succeeded());
    }
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
    let remains = place.run("ls /app; grep -lxz '3[0]' /proc/[0-9]*/cmdline | wc -l");
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
            .run("ls /kept; grep -lxz '6[0]' /proc/[0-9]*/cmdline | wc -l")
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

/// A process that works in a container until it is killed.
fn victim() -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "containers::works_until_it_is_killed",
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
        while !ask(&[], "/containers/json").contains(&format!("-{pid}-")) {
            assert!(Instant::now() < deadline, "the victim did not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut killed = victim();
    begun(killed.id());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(ask(&[], containers).contains(&format!("-{}-", killed.id())));

    let mut alive = victim();
    begun(alive.id());
    assert!(!ask(&[], containers).contains(&format!("-{}-", killed.id())));
    assert!(alive.wait().unwrap().success());
    assert!(!ask(&[], containers).contains(&format!("-{}-", alive.id())));
}
