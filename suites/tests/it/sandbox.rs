//! What a sandbox promises, tried with commands that do not want to keep it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{LIMITS, bubblewrap, invocation, rootfs, run, run_limited, sandboxes};
use timeslip_suites::{BACKENDS, Cancel, Exit, Image, Limits, Mount, sandbox};

#[test]
fn exit_codes_and_merged_output_come_back() {
    for sandbox in sandboxes() {
        let execution = run(&sandbox, "echo one; echo two >&2; echo three; exit 7");
        assert_eq!(execution.exit, Exit::Code(7));
        assert_eq!(execution.text(), "one\ntwo\nthree\n");
        assert_eq!(execution.output_total_bytes, 14);
        assert_eq!(run(&sandbox, "kill -9 $$").exit, Exit::Code(137));
        assert_eq!(run(&sandbox, "no-such-program").exit, Exit::Code(127));
        assert_eq!(run(&sandbox, "if").exit, Exit::Code(2));
    }
}

#[test]
fn marks_are_in_order_and_tell_command_and_sandbox_apart() {
    for sandbox in sandboxes() {
        let execution = run(&sandbox, "sleep 0.5");
        let started = execution.command_started.unwrap();
        let ended = execution.command_ended.unwrap();
        assert!(execution.spawned <= started);
        assert!(ended <= execution.ended);
        let command = ended - started;
        // A mark is stamped on arrival, which on a busy machine is a little late.
        assert!(command >= Duration::from_millis(400), "{command:?}");
    }
}

#[test]
fn a_command_cannot_forge_or_silence_its_marks() {
    for sandbox in sandboxes() {
        let silent = run(&sandbox, "printf e >&3; exec 3>&-; sleep 0.4");
        let command = silent.command_ended.unwrap() - silent.command_started.unwrap();
        assert!(command >= Duration::from_millis(300), "{command:?}");
        let forged = run(&sandbox, "printf ses >/proc/$PPID/fd/3; sleep 0.4");
        let command = forged.command_ended.unwrap() - forged.command_started.unwrap();
        assert!(command >= Duration::from_millis(300), "{command:?}");
        let killed = run(&sandbox, "kill -9 $PPID; sleep 0.1");
        assert!(killed.command_started.is_some());
        assert_eq!(killed.command_ended, None);
        assert_ne!(killed.exit, Exit::Code(0));
    }
}

#[test]
fn a_timeout_kills_everything() {
    for sandbox in sandboxes() {
        let began = Instant::now();
        let limits = Limits {
            wall: Duration::from_millis(400),
            ..LIMITS
        };
        let execution = run_limited(
            &sandbox,
            "echo begun; trap '' TERM; sleep 30 & sleep 30",
            limits,
        );
        assert_eq!(execution.exit, Exit::TimedOut);
        assert_eq!(execution.text(), "begun\n");
        assert!(execution.command_started.is_some());
        assert_eq!(execution.command_ended, None);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_command_is_cancelled_with_all_it_started_whenever_that_is_said() {
    for sandbox in sandboxes() {
        for early in [true, false] {
            let began = Instant::now();
            let workspace = tempfile::tempdir().unwrap();
            let command = "echo begun; setsid sleep 30 & sleep 30";
            let mut invocation = invocation(workspace.path(), command, LIMITS);
            let cancel = Cancel::new().unwrap();
            invocation.cancel = Some(cancel.clone());
            let other = std::thread::spawn(move || {
                if !early {
                    std::thread::sleep(Duration::from_millis(500));
                }
                cancel.cancel();
            });
            if early {
                other.join().unwrap();
            }
            let execution = sandbox.run(&invocation).unwrap();
            assert_eq!(execution.exit, Exit::Cancelled);
            assert_eq!(execution.command_ended, None);
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    }
}

#[test]
fn what_is_mounted_where_it_lies_is_not_copied() {
    for sandbox in sandboxes() {
        let (workspace, layer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = layer.path().to_str().unwrap().to_owned();
        std::fs::write(layer.path().join("program"), "echo from /app\n").unwrap();
        let command = format!("bash {path}/program; cat {path}/program");
        let mut invocation = invocation(workspace.path(), &command, LIMITS);
        invocation.mounts.push(Mount {
            host: layer.path().to_owned(),
            inside: path,
            writable: false,
        });
        let execution = sandbox.run(&invocation).unwrap();
        assert_eq!(execution.text(), "from /app\necho from /app\n");
    }
}

#[test]
fn processes_left_behind_neither_hang_nor_survive() {
    for sandbox in sandboxes() {
        let workspace = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let command = "(sleep 1; touch survived) & echo done";
        let execution = sandbox
            .run(&invocation(workspace.path(), command, LIMITS))
            .unwrap();
        assert_eq!(execution.exit, Exit::Code(0));
        assert_eq!(execution.text(), "done\n");
        assert!(began.elapsed() < Duration::from_millis(900));
        std::thread::sleep(Duration::from_millis(1300));
        assert!(!workspace.path().join("survived").exists());
    }
}

#[test]
fn a_daemon_in_its_own_session_cannot_hang_the_caller() {
    for sandbox in sandboxes() {
        let began = Instant::now();
        let execution = run(&sandbox, "setsid sleep 3 & sleep 0.1; echo done");
        assert_eq!(execution.exit, Exit::Code(0));
        assert!(began.elapsed() < Duration::from_millis(2500));
    }
}

#[test]
fn endless_output_is_counted_but_not_kept() {
    for sandbox in sandboxes() {
        let execution = run(
            &sandbox,
            "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last",
        );
        assert_eq!(execution.exit, Exit::Code(0));
        assert_eq!(execution.output_total_bytes, 20_000_012);
        assert!(execution.output.len() < LIMITS.output_bytes + 64);
        let text = execution.text();
        assert!(text.starts_with("first\n"));
        assert!(text.ends_with("\nlast\n"));
        assert!(text.contains("bytes left out]"));
    }
}

#[test]
fn the_environment_is_the_documented_one() {
    for sandbox in sandboxes() {
        let execution = run(&sandbox, "env | cut -d= -f1 | sort | tr '\\n' ' '; cat");
        assert_eq!(execution.text(), "HOME LANG PATH PWD SHLVL TASK _ ");
        let task = run(&sandbox, "echo $TASK; pwd").text();
        assert!(task.contains("/data\n"), "{task}");
    }
}

#[test]
fn inherited_descriptors_are_closed() {
    for sandbox in sandboxes() {
        let execution = run(&sandbox, "for f in /dev/fd/*; do echo ${f##*/}; done");
        // The listing itself takes one descriptor while it lasts.
        assert_eq!(execution.text(), "0\n1\n2\n3\n");
    }
}

#[test]
fn commands_no_shell_could_take_are_refused() {
    for sandbox in sandboxes() {
        for command in ["echo \0".to_owned(), "#".repeat(200_000)] {
            let execution = run(&sandbox, &command);
            assert_eq!(execution.exit, Exit::Code(126));
            assert!(execution.text().starts_with("the command "));
        }
    }
}

#[test]
fn read_only_mounts_and_writable_ones() {
    for sandbox in sandboxes() {
        let workspace = tempfile::tempdir().unwrap();
        let tests = tempfile::tempdir().unwrap();
        let logs = tempfile::tempdir().unwrap();
        std::fs::write(
            tests.path().join("test.sh"),
            "cat /tests/data; cp /app/in /logs/out\n",
        )
        .unwrap();
        std::fs::write(tests.path().join("data"), "from tests\n").unwrap();
        std::fs::write(workspace.path().join("in"), "copied").unwrap();
        let mut invocation = invocation(
            workspace.path(),
            "bash /tests/test.sh; echo x >/tests/new",
            LIMITS,
        );
        for (host, inside, writable) in [(&tests, "/tests", false), (&logs, "/logs", true)] {
            invocation.mounts.push(Mount {
                host: host.path().to_path_buf(),
                inside: inside.to_owned(),
                writable,
            });
        }
        let execution = sandbox.run(&invocation).unwrap();
        assert!(
            execution.text().starts_with("from tests\n"),
            "{}",
            execution.text()
        );
        assert_eq!(
            std::fs::read_to_string(logs.path().join("out")).unwrap(),
            "copied"
        );
        assert!(!tests.path().join("new").exists());
    }
}

#[test]
fn bubblewrap_has_no_network() {
    let Some(sandbox) = bubblewrap() else {
        return;
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let execution = run(&sandbox, &format!("exec 5<>/dev/tcp/127.0.0.1/{port}"));
    assert_ne!(execution.exit, Exit::Code(0));
    let interfaces = run(&sandbox, "tail -n +3 /proc/net/dev | cut -d: -f1").text();
    assert_eq!(interfaces.trim(), "lo");
}

#[test]
fn bubblewrap_shows_nothing_of_the_user() {
    let Some(sandbox) = bubblewrap() else {
        return;
    };
    let home = std::env::var("HOME").unwrap();
    let seen = run(
        &sandbox,
        &format!("ls -A {home} /home /var /mnt /srv 2>/dev/null; ls -A /tmp"),
    );
    assert_eq!(seen.text(), "");
    let secrets = run(&sandbox, "cat /etc/shadow /etc/ssh/* 2>/dev/null; ls /");
    assert!(!secrets.text().contains("home"), "{}", secrets.text());
    let processes = run(&sandbox, "ls -d /proc/[0-9]* | wc -l").text();
    assert!(processes.trim().parse::<u32>().unwrap() < 10);
}

#[test]
fn bubblewrap_keeps_the_system_read_only() {
    let Some(sandbox) = bubblewrap() else {
        return;
    };
    for command in [
        "touch /x",
        "touch /usr/x",
        "touch /etc/x",
        "mkdir /home/x -p",
        "mount -o remount,rw /usr && touch /usr/x",
        "mount -t tmpfs none /mnt",
    ] {
        assert_ne!(run(&sandbox, command).exit, Exit::Code(0), "{command}");
    }
    assert_eq!(run(&sandbox, "touch /tmp/x /app/x").exit, Exit::Code(0));
}

/// Prints what of the kernel's files can be opened to write, beyond those of a process.
const WALK: &str = r#"
walk() {
  for entry in "$1"/* "$1"/.[!.]*; do
    case $entry in /proc/[0-9]*|/proc/self|/proc/thread-self) continue ;; esac
    if [ -L "$entry" ]; then continue; fi
    if [ -d "$entry" ]; then walk "$entry"
    elif [ -e "$entry" ]; then
      ( exec 3<>"$entry" ) 2>/dev/null && echo "$entry"
      ( exec 3>>"$entry" ) 2>/dev/null && echo "$entry"
    fi
  done
}
walk /proc; walk /sys; echo walked
"#;

#[test]
fn bubblewrap_has_no_kernel_file_to_write() {
    let Some(sandbox) = bubblewrap() else {
        return;
    };
    assert_eq!(run(&sandbox, WALK).text(), "walked\n");
    let scratch = tempfile::tempdir().unwrap();
    rootfs(&scratch.path().join("rootfs"));
    let image = Image::at(&scratch.path().join("rootfs")).unwrap();
    let (root, _) = sandbox.root(&image, &scratch.path().join("layer")).unwrap();
    let mut invocation = invocation(scratch.path(), WALK, LIMITS);
    invocation.root = Some(root);
    assert_eq!(sandbox.run(&invocation).unwrap().text(), "walked\n");
}

#[test]
fn a_sandbox_that_cannot_start_is_an_error_not_a_result() {
    let Some(sandbox) = bubblewrap() else {
        return;
    };
    let missing = Path::new("/nonexistent/workspace");
    let error = sandbox
        .run(&invocation(missing, "true", LIMITS))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("sandbox bubblewrap: it ended before the command began"),
        "{error}"
    );
}

#[test]
fn what_is_preferred_and_works_is_found() {
    let detection = sandbox::detect().unwrap();
    assert!(!detection.why.is_empty());
    let works = BACKENDS.iter().find(|backend| backend.check().is_ok());
    assert_eq!(detection.backend.name(), works.unwrap().name());
}

#[test]
fn every_kind_is_known_by_a_name_of_its_own() {
    for backend in BACKENDS {
        let found = sandbox::by_name(backend.name()).unwrap();
        assert_eq!(found.capabilities(), backend.capabilities());
        let same = BACKENDS.iter().filter(|it| it.name() == backend.name());
        assert_eq!(same.count(), 1);
    }
    assert!(sandbox::by_name("chroot").is_none());
}
