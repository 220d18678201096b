//! What tasks ask for and do not get is said, and what cannot be tried is an error.

use crate::support::can;
use crate::support::files::{suite, write};
use timeslip_suites::{Task, Workspace};

/// A task without steps, with `toml` as its settings.
fn task(toml: &str) -> Result<Task, String> {
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("source/made");
    write(&made.join("task.toml"), toml);
    write(&made.join("instruction.md"), "Make it so.\n");
    write(
        &made.join("environment/Dockerfile"),
        "FROM x\nWORKDIR /app\n",
    );
    write(&made.join("tests/test.sh"), "true\n");
    let head = "format = \"harbor\"\nsource = \"source\"";
    let task = suite(scratch.path(), head, "").tasks.remove(0);
    for name in ["bubblewrap", "docker"] {
        Workspace::check_start(&task.workspace, &can(name)).map_err(|error| error.to_string())?;
    }
    Ok(task)
}

fn caveats(toml: &str) -> [Vec<&'static str>; 3] {
    let task = task(toml).unwrap();
    ["bubblewrap", "docker", "process"].map(|name| task.workspace.caveats(&can(name)).unwrap())
}

#[test]
fn a_task_that_asks_for_nothing_gets_it() {
    let none: [Vec<&str>; 3] = Default::default();
    assert_eq!(caveats(""), none);
    let offline = caveats("[environment]\nallow_internet = false");
    assert!(offline[0].is_empty() && offline[1].is_empty());
    insta::assert_snapshot!(offline[2][0], @"no network is wanted, but without a sandbox there is this machine's");
}

#[test]
fn users_are_kept_in_containers_and_a_network_nowhere() {
    for who in ["agent", "verifier"] {
        let [bubblewrap, docker, process] = caveats(&format!("[{who}]\nuser = 'dev'"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(bubblewrap[0], @"a user is named for the agent or the verifier, but outside a container of its own everything runs as one user");
        }
        assert_eq!((docker.len(), process), (0, bubblewrap));
    }
    let [bubblewrap, docker, process] = caveats("[verifier]\nnetwork_mode = 'allowlist'");
    insta::assert_snapshot!(bubblewrap[0], @"named hosts are to be reached, but there is no network in the sandbox");
    assert_eq!(docker, bubblewrap);
    insta::assert_snapshot!(process[0], @"named hosts alone are to be reached, but without a sandbox everything is that this machine reaches");
    let [bubblewrap, docker, process] = caveats("[environment]\nallow_internet = true");
    insta::assert_snapshot!(docker[0], @"a network is wanted, but there is none in the sandbox");
    assert_eq!((bubblewrap, process.len()), (docker, 0));
}

#[test]
fn a_verifier_with_an_image_of_its_own_needs_containers() {
    let error = task("[verifier.environment]\ndocker_image = 'i'").unwrap_err();
    insta::assert_snapshot!(error, @"made: has an image of its own for its verifier, which needs containers; use `--sandbox docker`");
}
