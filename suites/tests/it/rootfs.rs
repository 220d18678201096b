//! Root file systems in the place of the machine's own.

use std::fs;
use std::path::Path;

use crate::support::{LIMITS, backend, bubblewrap, edit, invocation, rootfs};
use timeslip_datasets::run::journal::Warmth;
use timeslip_suites::{Image, Root, Sandbox, Suite, SuiteFile, Workspace, grade};

fn text(sandbox: &Sandbox, root: &Root, workspace: &Path, command: &str) -> String {
    let mut invocation = invocation(workspace, command, LIMITS);
    invocation.root = Some(root.clone());
    sandbox.run(&invocation).unwrap().text()
}

#[test]
fn commands_see_the_image_and_change_a_copy_of_their_own() {
    let Some(sandbox) = bubblewrap() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    rootfs(&image);
    let image = Image::at(&image).unwrap();
    let workspace = tempfile::tempdir().unwrap();
    let root = |name: &str| sandbox.root(&image, &scratch.path().join(name)).unwrap().0;
    let (one, other) = (root("one"), root("other"));
    let text = |root: &Root, command: &str| text(&sandbox, root, workspace.path(), command);

    assert_eq!(text(&one, "cat /etc/system; id -u"), "made\n0\n");
    assert_eq!(
        text(
            &one,
            "ls /usr/share /home 2>/dev/null; ls /bin/gcc 2>/dev/null"
        ),
        ""
    );
    assert_eq!(
        text(
            &one,
            "echo more >>/etc/system; echo new >/installed; echo a >file"
        ),
        ""
    );
    assert_eq!(
        text(&one, "cat /etc/system /installed file"),
        "made\nmore\nnew\na\n"
    );
    assert_eq!(
        text(&other, "cat /etc/system file; ls /installed 2>/dev/null"),
        "made\na\n"
    );
    drop((one, other));
    assert_eq!(scratch.path().read_dir().unwrap().count(), 1);
    assert!(!scratch.path().join("image/installed").exists());
}

#[test]
fn a_link_in_the_place_of_a_mount_point_is_an_error() {
    let Some(sandbox) = bubblewrap() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    rootfs(&image);
    let (root, _) = sandbox
        .root(&Image::Directory(image), &scratch.path().join("root"))
        .unwrap();
    let workspace = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("../etc", root.path().unwrap().join("app")).unwrap();
    let mut invocation = invocation(workspace.path(), "touch /app/x", LIMITS);
    invocation.root = Some(root);
    let error = sandbox.run(&invocation).unwrap_err().to_string();
    assert!(
        error.contains("/app goes through a symbolic link"),
        "{error}"
    );
    assert!(!scratch.path().join("image/etc/x").exists());
}

#[test]
fn a_plain_process_has_no_other_root() {
    let sandbox = Sandbox::new(backend("process")).unwrap();
    let image = Image::Directory("/".into());
    let error = sandbox.root(&image, Path::new("/nonexistent")).unwrap_err();
    insta::assert_snapshot!(error, @"sandbox process: a plain process has the machine's own root file system; install bubblewrap to use another");
}

/// One Harbor task `made` with a suite file that has more `lines`.
fn suite(directory: &Path, lines: &str) -> Suite {
    let write = |file: &str, content: &str| {
        let file = directory.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    };
    write("source/made/task.toml", "");
    write("source/made/instruction.md", "Make it so.\n");
    write(
        "source/made/environment/Dockerfile",
        "FROM x\nWORKDIR /app\nRUN cat /etc/system >here\n",
    );
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
fn a_suite_names_a_system_or_whole_environments() {
    let Some(sandbox) = bubblewrap() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    rootfs(&directory.join("base"));
    rootfs(&directory.join("images/made"));
    fs::create_dir(directory.join("images/made/app")).unwrap();
    fs::write(directory.join("images/made/app/here"), "whole\n").unwrap();

    for (lines, here, starts) in [
        ("rootfs = \"base\"", "made\n", [Warmth::Cold, Warmth::Warm]),
        ("rootfs = \"images/{task}\"", "whole\n", [Warmth::Warm; 2]),
    ] {
        let suite = suite(directory, lines);
        let task = &suite.tasks[0];
        // Prepared twice: made once, and laid out again.
        for warmth in starts {
            let place = tempfile::tempdir_in(directory).unwrap();
            let workspace =
                Workspace::prepare(&task.workspace, &sandbox, &place.path().join("trial")).unwrap();
            assert_eq!(workspace.warmth(), warmth);
            let run = |command: &str| {
                let invocation = workspace.invocation(command, LIMITS);
                sandbox.run(&invocation).unwrap().text()
            };
            assert_eq!(run("cat here; ls"), format!("{here}here\n"));
            assert_eq!(grade(task, &workspace, &sandbox).unwrap().reward, None);
            edit(&workspace, "solution", "", "1\n").unwrap();
            assert_eq!(run("cat /app/solution; echo x >/etc/mine"), "1\n");
            assert!(edit(&workspace, "/etc/system", "", "x").is_err());
            assert!(grade(task, &workspace, &sandbox).unwrap().resolved);
        }
    }
}

#[test]
fn what_a_dockerfile_does_anywhere_lasts_in_a_root() {
    let Some(sandbox) = bubblewrap() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    rootfs(&directory.join("base"));
    let source = directory.join("source/made");
    fs::create_dir_all(source.join("environment")).unwrap();
    fs::write(source.join("environment/tool"), "echo a tool\n").unwrap();
    let suite = suite(directory, "rootfs = \"base\"");
    fs::write(
        source.join("environment/Dockerfile"),
        "FROM x\nENV KIND=image LEVEL=image\nCOPY tool /usr/local/bin/tool\nCOPY tool /tmp/tool\n\
         RUN mkdir /opt && echo $KIND-${LEVEL} >/opt/made && echo here >here\n",
    )
    .unwrap();
    fs::write(
        source.join("task.toml"),
        "[environment.env]\nLEVEL = \"task\"\n",
    )
    .unwrap();
    let file = SuiteFile::read(&directory.join("suite.toml")).unwrap();
    assert_eq!(suite.tasks.len(), 1);
    let suite = Suite::load(&file, directory).unwrap();
    let task = &suite.tasks[0];
    Workspace::check(&task.workspace, &sandbox).unwrap();
    for warmth in [Warmth::Cold, Warmth::Warm] {
        let place = tempfile::tempdir_in(directory).unwrap();
        let workspace =
            Workspace::prepare(&task.workspace, &sandbox, &place.path().join("trial")).unwrap();
        assert_eq!(workspace.warmth(), warmth);
        let run = |command: &str| {
            let invocation = workspace.invocation(command, LIMITS);
            sandbox.run(&invocation).unwrap().text()
        };
        assert_eq!(
            run("bash /usr/local/bin/tool; bash /tmp/tool; cat /opt/made /here"),
            "a tool\na tool\nimage-image\nhere\n"
        );
        // A task's own variables come over those of its image.
        assert_eq!(run("echo $PWD $HOME $KIND $LEVEL"), "/ /root image task\n");
        assert_eq!(
            run("cat /etc/hosts"),
            "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tsandbox\n"
        );
        // What a trial does is its own.
        run("echo changed >/opt/made; echo x >/opt/other; echo y >/tmp/tool");
        assert_eq!(run("ls /opt; cat /opt/made"), "made\nother\nchanged\n");
        edit(&workspace, "opt/made", "changed", "edited").unwrap();
        assert_eq!(run("cat /opt/made"), "edited\n");
    }
    assert!(!directory.join("base/opt").exists());
}
