//! Terminal tasks in containers of a real engine: built, worked on by the user they name,
//! and judged, also by a verifier in a container of its own.

use std::path::Path;
use std::time::Instant;

use crate::support::containers::{base, build, engine};
use crate::support::files::{suite, write};
use crate::support::{LIMITS, can, edit};
use timeslip_suites::verify::{Soundness, verify};
use timeslip_suites::{Image, Sandbox, Task, Workspace, grade, steps};

/// The only task of a suite of Harbor tasks, built from its Dockerfile or prepared in the
/// image that `lines` name.
fn task(directory: &Path, toml: &str, dockerfile: &str, lines: &str) -> Task {
    let made = directory.join("source/made");
    write(&made.join("task.toml"), toml);
    write(&made.join("instruction.md"), "Make it so.\n");
    write(&made.join("environment/Dockerfile"), dockerfile);
    write(&made.join("environment/in"), "in\n");
    if !toml.contains("[[steps]]") && !made.join("tests").exists() {
        let judge = "cat /app/solution >/logs/verifier/reward.txt\n";
        write(&made.join("tests/test.sh"), judge);
    }
    let head = "format = \"harbor\"\nsource = \"source\"";
    suite(directory, head, lines).tasks.remove(0)
}

fn prepare(task: &Task, sandbox: &Sandbox, place: &Path) -> Workspace {
    let began = Instant::now();
    let workspace = Workspace::prepare(&task.workspace, sandbox, place).unwrap();
    steps::begin_step(task, 0, &workspace, sandbox).unwrap();
    eprintln!("{}: prepared in {:?}", place.display(), began.elapsed());
    workspace
}

fn text(sandbox: &Sandbox, workspace: &Workspace, command: &str) -> String {
    let invocation = workspace.invocation(command, LIMITS);
    sandbox.run(&invocation).unwrap().text()
}

#[test]
fn a_task_is_built_worked_on_and_graded() {
    let Some((sandbox, image)) = engine() else {
        return;
    };
    let Image::Archive(rootfs) = &image else {
        return;
    };
    let base = base();
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
        let task = task(scratch.path(), "", &dockerfile, lines);
        Workspace::check(&task.workspace, &sandbox).unwrap();
        for attempt in ["one", "two", "three"] {
            let workspace = prepare(&task, &sandbox, &scratch.path().join(attempt));
            let run = |command: &str| text(&sandbox, &workspace, command);
            assert_eq!(run("ls; ls /opt/tool/it 2>/dev/null"), there);
            assert_eq!(workspace.working_directory(), "/app");
            assert_eq!(grade(&task, &workspace, &sandbox).unwrap().reward, None);
            run("ln -s /etc/hostname link; echo old >kept; chmod 711 kept; mkdir sub");
            for (path, old, new) in [
                ("solution", "", "1\n"),
                ("/app/sub/deep/new", "", "x\n"),
                ("kept", "old", "new"),
            ] {
                edit(&workspace, path, old, new).unwrap();
            }
            assert_eq!(
                run("cat solution sub/deep/new kept; stat -c %a kept"),
                "1\nx\nnew\n711\n"
            );
            for refused in ["../x", "/etc/x", "link"] {
                assert!(edit(&workspace, refused, "", "x").is_err(), "{refused}");
            }
            let none = edit(&workspace, "none", "a", "b").unwrap_err();
            assert!(none.to_string().contains("does not exist"));
            assert!(grade(&task, &workspace, &sandbox).unwrap().resolved);
        }
    }
}

#[test]
fn a_solution_and_the_files_of_a_step_reach_a_container() {
    let Some((sandbox, _)) = engine() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("source/made");
    for step in ["one", "two"] {
        let own = |file: &str| made.join(format!("steps/{step}/{file}"));
        write(&own("instruction.md"), "Make it so.\n");
        let judge = format!(
            "cp /opt/done-{step} /logs/verifier/reward.txt || echo 0 >/logs/verifier/reward.txt\n"
        );
        write(&own("tests/test.sh"), &judge);
        let solve = format!("cat seed-{step} /solution/one >/opt/done-{step}\n");
        write(&own("solution/solve.sh"), &solve);
        write(&own("solution/one"), "\n");
        write(&own(&format!("workdir/given-{step}")), "1");
        let set_up = format!("mv given-{step} seed-{step}\n");
        write(&own("workdir/setup.sh"), &set_up);
    }
    let steps = "[[steps]]\nname = 'one'\n[[steps]]\nname = 'two'\n";
    // Nothing is put into this WORKDIR by the Dockerfile.
    let dockerfile = format!("FROM {}\nWORKDIR /app/deep\n", base());
    let task = task(scratch.path(), steps, &dockerfile, "");
    let sound = verify(&task, &sandbox, 2, scratch.path()).soundness;
    assert_eq!(sound, Soundness::Sound);
}

#[test]
fn a_workdir_that_nothing_is_put_into_is_there_whoever_the_user() {
    let Some((sandbox, _)) = engine() else { return };
    for (more, user) in [("", "0"), ("USER games\n", "5")] {
        let scratch = tempfile::tempdir().unwrap();
        let dockerfile = format!(
            "FROM {}\nENV SAID='by the image' PATH=/opt/own:$PATH\n{more}WORKDIR /app/deep\n",
            base()
        );
        write(&scratch.path().join("shims/apt-get"), "#!/bin/bash\n");
        let task = task(scratch.path(), "", &dockerfile, "shims = \"shims\"\n");
        let workspace = prepare(&task, &sandbox, &scratch.path().join("trial"));
        let run = |command: &str| text(&sandbox, &workspace, command);
        assert_eq!(
            run("pwd; id -u; echo $SAID"),
            format!("/app/deep\n{user}\nby the image\n")
        );
        assert!(run("echo $PATH").starts_with("/shims:/opt/own:/usr/"));
        // Gone is gone, and said.
        let gone = run("cd /; rmdir /app/deep || echo kept");
        if gone.is_empty() {
            assert!(run("pwd").contains("/app/deep: No such file"));
        }
    }
}

#[test]
fn agent_and_verifier_are_the_users_that_the_task_names() {
    let Some((sandbox, _)) = engine() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let dockerfile = format!(
        "FROM {}\nRUN useradd -m -u 1234 dev && install -d -o dev /app && echo hidden >/root/secret && chmod 700 /root && cp -L /usr/bin/python3 /opt/root && chmod u+s /opt/root\nWORKDIR /app\n",
        base()
    );
    let judge = "{ id -un; cat /root/secret; stat -c %U solution; } >/logs/verifier/log; \
        echo done >/logs/artifacts/note; [ \"$(head -c 22 /logs/verifier/log | tr '\\n' ' ')\" = 'root hidden dev ' ] && cp solution /logs/verifier/reward.txt\n";
    write(&scratch.path().join("source/made/tests/test.sh"), judge);
    let toml =
        "[agent]\nuser = 'dev'\n[verifier]\nuser = 0\n[environment]\nnetwork_mode = 'no-network'\n";
    let made = task(scratch.path(), toml, &dockerfile, "");
    assert!(made.workspace.caveats(&can("docker")).unwrap().is_empty());
    let [caveat] = made.workspace.caveats(&can("bubblewrap")).unwrap()[..] else {
        panic!("the user is not kept");
    };
    assert!(caveat.contains("user"), "{caveat}");
    let workspace = prepare(&made, &sandbox, &scratch.path().join("trial"));
    let run = |command: &str| text(&sandbox, &workspace, command);
    assert_eq!(
        run(
            "id -un; echo $HOME; cat /root/secret 2>/dev/null; touch x && stat -c %U x; echo a >/logs/artifacts/a; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"
        ),
        "dev\n/home/dev\ndev\nlo\n"
    );
    edit(&workspace, "solution", "", "0\n").unwrap();
    assert_eq!(run("echo 1 >solution; cat solution"), "1\n");
    // What is left behind ends, also where it has become another user's.
    run(
        "setsid sleep 50 & setsid /opt/root -c 'import os, time; os.setuid(0); time.sleep(51)' & sleep 1",
    );
    assert_eq!(
        run(
            "id -un; grep -lxz '5[0]' /proc/[0-9]*/cmdline; grep -lz 'sleep(5[1])' /proc/[0-9]*/cmdline"
        ),
        "dev\n"
    );
    assert!(grade(&made, &workspace, &sandbox).unwrap().resolved);

    let nobody = tempfile::tempdir().unwrap();
    let unknown = task(
        nobody.path(),
        "[agent]\nuser = 'unheard-of'\n",
        &dockerfile,
        "",
    );
    let workspace =
        Workspace::prepare(&unknown.workspace, &sandbox, &nobody.path().join("trial")).unwrap();
    let error = steps::begin_step(&unknown, 0, &workspace, &sandbox).unwrap_err();
    assert!(error.to_string().starts_with("made: preparing the environment failed: it is made for the user \"unheard-of\", whom its environment does not have"), "{error}");
}

/// Solved by `/app/out/answer`; what else there is must not reach the verifier.
const SEPARATE: &str =
    "cat /app/out/answer; ls -A /app /app/out; test -e /opt/left && echo left; cat /baked";

#[test]
fn a_separate_verifier_gets_the_artifacts_and_nothing_else() {
    let Some((sandbox, _)) = engine() else { return };
    let base = base();
    let judge = format!(
        "{{ {SEPARATE}; }} >/logs/verifier/log 2>&1\nif [ \"$(cat /logs/artifacts/note)\" = handed ] && [ \"$(cat /logs/verifier/log | tr '\\n' ' ')\" = \"$EXPECTED\" ]; then r=1; else cat /logs/verifier/log; r=0; fi\necho $r >/logs/verifier/reward.txt\n"
    );
    let named = "timeslip-test-verifier";
    let context = tempfile::tempdir().unwrap();
    write(&context.path().join("test.sh"), &judge);
    let own = format!(
        "FROM {base}\nCOPY test.sh /tests/\nRUN mkdir -p /app/out && touch /app/out/old && echo baked >/baked\nWORKDIR /tests\n"
    );
    write(&context.path().join("Dockerfile"), &own);
    build(context.path(), named);
    let agents = format!("FROM {base}\nWORKDIR /app\nRUN echo baked >/baked\n");
    let expected = "[verifier]\nenvironment_mode = 'separate'\nenv = { EXPECTED = '42 out: answer link answer link baked ' }\n".replace("out: ", "/app: out  /app/out: ").replace("link answer link", "link");
    for (kind, more) in [
        ("a copy", String::new()),
        (
            "published",
            format!("[verifier.environment]\ndocker_image = '{named}'\n"),
        ),
        ("built", String::new()),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let tests = scratch.path().join("source/made/tests");
        if kind != "published" {
            write(&tests.join("test.sh"), &judge);
        }
        if kind == "built" {
            write(&tests.join("Dockerfile"), &own);
        }
        let toml = format!("artifacts = ['/app/out', '/app/none']\n{expected}{more}");
        let made = task(scratch.path(), &toml, &agents, "");
        Workspace::check(&made.workspace, &sandbox).unwrap();
        if kind != "a copy" {
            let error = Workspace::check_start(&made.workspace, &can("bubblewrap")).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("an image of its own for its verifier"),
                "{error}"
            );
        }
        let workspace = prepare(&made, &sandbox, &scratch.path().join("trial"));
        let run = |command: &str| text(&sandbox, &workspace, command);
        run(
            "mkdir out; echo 42 >out/answer; ln -s answer out/link; ln -s /baked out/away; mkfifo out/pipe; echo x >/opt/left; echo x >beside; echo handed >/logs/artifacts/note",
        );
        let graded = grade(&made, &workspace, &sandbox).unwrap();
        assert!(graded.resolved, "{kind}: {graded:?}");
        // A link in its place would hand over what the verifier has. It is the agent's
        // doing, since the untouched task has a verdict.
        run("rm -rf out; ln -s /opt out");
        let refused = grade(&made, &workspace, &sandbox).unwrap();
        assert!(!refused.resolved && !refused.verifier_failed, "{refused:?}");
        let why = refused.detail.unwrap();
        assert!(
            why.contains("/app/out goes through a symbolic link"),
            "{why}"
        );
    }
}
