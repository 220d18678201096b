//! What workspaces and verifiers ask of a sandbox, seen in one that runs nothing.

use crate::support::fake::{CAPABILITIES, Fake};
use crate::support::tasks::Source;
use timeslip_suites::sandbox::DockerfileReach;
use timeslip_suites::{Capabilities, Exit, Image, Workspace, grade, steps};

#[test]
fn images_are_used_where_there_are_images() {
    let source = Source::new("harbor").task("made", "[environment]\ndocker_image = 'i'\n");
    let task = source.only();
    let directory = |name: &str| source.scratch.path().join(name);
    let (with, without) = (Fake::default(), Fake::default());
    let sandbox = with.sandbox(CAPABILITIES);
    let workspace = Workspace::prepare(&task.workspace, &sandbox, &directory("with")).unwrap();
    assert_eq!(with.images(), [Image::Reference("i".to_owned())]);
    assert_eq!(workspace.working_directory(), "/work");

    let sandbox = without.sandbox(Capabilities {
        images: false,
        ..CAPABILITIES
    });
    let workspace = Workspace::prepare(&task.workspace, &sandbox, &directory("without")).unwrap();
    assert!(without.images().is_empty());
    assert_eq!(workspace.working_directory(), "/app");
}

#[test]
fn a_sandbox_without_a_system_of_its_own_asks_for_an_image() {
    let source = Source::new("harbor").task("made", "");
    let task = source.only();
    let bare = Fake::default().sandbox(Capabilities {
        images: false,
        machine_system: false,
        ..CAPABILITIES
    });
    let error = Workspace::check(&task.workspace, &bare).unwrap_err();
    assert!(error.to_string().contains("names no image"), "{error}");
}

#[test]
fn a_dockerfile_is_followed_in_a_root_where_it_may_write_everywhere() {
    let source = Source::new("harbor")
        .task("made", "")
        .file(
            "source/made/environment/Dockerfile",
            "FROM x\nWORKDIR /app\nRUN install it\n",
        )
        .suite("image = 'base'\n");
    let task = source.only();
    let fake = Fake::default();
    let sandbox = fake.sandbox(CAPABILITIES);
    Workspace::prepare(&task.workspace, &sandbox, &source.scratch.path().join("a")).unwrap();
    assert_eq!(fake.commands(), ["install it"]);
    let everywhere = Capabilities {
        images: true,
        dockerfile_reach: DockerfileReach::Everywhere,
        ..CAPABILITIES
    };
    let sandbox = fake.sandbox(everywhere);
    let elsewhere = source.scratch.path().join("b");
    let error = Workspace::prepare(&task.workspace, &sandbox, &elsewhere).unwrap_err();
    assert!(error.to_string().contains("not on this machine"), "{error}");
}

#[test]
fn a_verifier_that_fails_gives_no_verdict() {
    let source = Source::new("harbor").task("made", "[verifier]\ntimeout_sec = 7\n");
    let task = source.only();
    let fake = Fake::default();
    let sandbox = fake.sandbox(Capabilities {
        images: false,
        ..CAPABILITIES
    });
    let place = source.scratch.path().join("trial");
    let workspace = Workspace::prepare(&task.workspace, &sandbox, &place).unwrap();
    steps::begin_step(&task, 0, &workspace, &sandbox).unwrap();
    fake.will(Exit::TimedOut, "");
    let late = grade(&task, &workspace, &sandbox).unwrap();
    assert!(late.verifier_failed && !late.resolved);
    assert_eq!(
        late.detail.as_deref(),
        Some("the verifier took longer than 7 s")
    );
    let asked = fake.last();
    let command = &asked.command;
    assert!(command.contains(" /tests/test.sh "), "{command}");
    let mut inside: Vec<_> = asked.mounts.iter().map(|mount| &*mount.inside).collect();
    inside.sort_unstable();
    assert_eq!(
        inside,
        ["/app", "/logs", "/logs/artifacts", "/tests", "/tmp"]
    );
}
