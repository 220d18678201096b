//! What a user gets wrong is named, with file and field; exit code 2; nothing written.

use std::path::Path;

use crate::support::{quick_config, timeslip};

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("timeslip.toml"), config).unwrap();
        Case { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs in the folder; returns standard error, with the folder's name replaced.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = timeslip()
            .current_dir(self.path())
            .arg("run")
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            !self.path().join("runs").exists(),
            "a run was left behind: {error}"
        );
        error
            .replace(&self.path().display().to_string(), "FOLDER")
            .replace(&std::env::temp_dir().display().to_string(), "TMP")
    }
}

#[test]
fn malformed_configuration() {
    insta::assert_snapshot!(Case::new("[run]\nattempts = \"three\"\n").fails(&[]), @r#"
    timeslip: timeslip.toml: TOML parse error at line 2, column 12
      |
    2 | attempts = "three"
      |            ^^^^^^^
    invalid type: string "three", expected u32
    "#);
    insta::assert_snapshot!(Case::new("[limits]\nturns = 0\n").fails(&[]), @"timeslip: limits.turns: must be at least 1");
    insta::assert_snapshot!(Case::new("").fails(&["--config", "absent.toml"]), @"timeslip: absent.toml: is missing; correct its name, or make it");
    insta::assert_snapshot!(Case::new("").fails(&["--config", "/dev/zero"]), @"timeslip: /dev/zero: is not a regular file");
}

#[test]
#[cfg(target_os = "linux")]
fn temporary_directories_that_run_no_program() {
    let case = Case::new("");
    let program = env!("CARGO_BIN_EXE_timeslip");
    let inside = |arguments: &str| {
        let script = format!(
            "mkdir tmp; mount -t tmpfs -o noexec none tmp || exit 77; TMPDIR=tmp '{program}' {arguments}"
        );
        let mut command = std::process::Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &script])
            .current_dir(case.path());
        command.output().unwrap()
    };
    let refused = inside("run");
    if !matches!(refused.status.code(), Some(0 | 2)) {
        eprintln!("SKIPPED: only root can mount: {refused:?}");
        return;
    }
    let refused = String::from_utf8(refused.stderr).unwrap();
    insta::assert_snapshot!(refused, @"timeslip: tmp: is on a file system mounted noexec, so no program of a task could run in it; set TMPDIR to a directory on another file system");
    assert!(!case.path().join("runs").exists());
    let doctor = inside("doctor");
    assert_eq!(doctor.status.code(), Some(2));
    assert!(
        String::from_utf8(doctor.stdout)
            .unwrap()
            .contains("mounted noexec")
    );
}

#[test]
fn endpoints_that_cannot_be() {
    insta::assert_snapshot!(Case::new("").fails(&["--endpoint", "spark"]), @"timeslip: endpoint 'spark': is neither configured nor a preset; configured are gpu-sim, spark-sim, and `timeslip presets` lists the presets. Add [endpoint.spark] to timeslip.toml, or use --base-url");
    let table = |fields: &str| {
        Case::new(&format!(
            "[run]\nendpoints = [\"a\"]\n[endpoint.a]\n{fields}\n"
        ))
    };
    insta::assert_snapshot!(table("model = \"m\"").fails(&[]), @"timeslip: timeslip.toml: endpoint.a.simulate: give either `simulate` or `base_url`, and not both");
    insta::assert_snapshot!(table("base_url = \"http://localhost:1/v1\"").fails(&[]), @"timeslip: timeslip.toml: endpoint.a.model: is missing: the model id to ask for");
    insta::assert_snapshot!(table("base_url = \"localhost\"\nmodel = \"m\"").fails(&[]), @"timeslip: timeslip.toml: endpoint.a.base_url: not a whole URL; write http://… or https://…");
    let error = table("simulate = \"gpu-sim\"\nprotocol = \"smoke\"").fails(&[]);
    let known: Vec<&str> = timeslip_wire::protocols::names().collect();
    let expected = "timeslip: timeslip.toml: endpoint.a.protocol: 'smoke' is not known; known are ";
    assert_eq!(error.trim_end(), format!("{expected}{}", known.join(", ")));
    insta::assert_snapshot!(
        table("base_url = \"http://localhost:1/v1\"\nmodel = \"m\"\nheaders = { x-api-key = \"sk-123\" }").fails(&[]),
        @r#"timeslip: timeslip.toml: endpoint.a.headers.x-api-key: looks like a secret; write "$NAME" to take it from the environment variable NAME"#
    );
    for query in ["key", "sig", "access_token", "X-Amz-Signature", "password"] {
        let error = table(&format!("base_url = \"http://localhost:1/v1\"\nmodel = \"m\"\nquery = {{ {query} = \"s3cr3t\" }}")).fails(&[]);
        let place = format!("endpoint.a.query.{query}: looks like a secret; write \"$NAME\"");
        assert!(
            error.contains(&place) && !error.contains("s3cr3t"),
            "{error}"
        );
    }
    for (fields, place) in [
        (
            "headers = { x-team = \"xai-0123456789abcdef\" }",
            "headers.x-team",
        ),
        ("headers = { x-team = \"Bearer s3cr3t\" }", "headers.x-team"),
        (
            "body = { a = [{ b = \"xai-0123456789abcdef\" }] }",
            "body.a",
        ),
    ] {
        let error = table(&format!(
            "base_url = \"http://localhost:1/v1\"\nmodel = \"m\"\n{fields}"
        ))
        .fails(&[]);
        assert!(
            error.contains(&format!("endpoint.a.{place}: looks like a secret")),
            "{error}"
        );
        assert!(
            !error.contains("0123") && !error.contains("s3cr3t"),
            "{error}"
        );
    }
    insta::assert_snapshot!(
        table("base_url = \"http://user:s3cr3t@localhost:1/v1\"\nmodel = \"m\"").fails(&[]),
        @r#"timeslip: timeslip.toml: endpoint.a.base_url: a URL must not carry credentials; name an environment variable in `api_key_env`, or write headers = { authorization = "Basic $NAME" }"#
    );
    // A line that may hold a key is not shown.
    let error = table("api_key = \"s3cr3t\"").fails(&[]);
    assert!(
        error.contains("timeslip.toml: line 4: unknown field `api_key`, expected one of"),
        "{error}"
    );
    assert!(
        error.contains("a key is never written here") && !error.contains("s3cr3t"),
        "{error}"
    );
    insta::assert_snapshot!(
        table("base_url = \"http://localhost:1/v1?a=1&code_key=s3cr3t\"\nmodel = \"m\"").fails(&[]),
        @r#"timeslip: timeslip.toml: endpoint.a.base_url: its 'code_key' looks like a secret; write query = { code_key = "$NAME" } instead, to take it from the environment variable NAME"#
    );
    insta::assert_snapshot!(
        table("base_url = \"http://localhost:1/v1\"\nmodel = \"m\"\napi_key_env = \"TIMESLIP_TEST_UNSET\"").fails(&[]),
        @"timeslip: endpoint.a.api_key_env: the environment variable TIMESLIP_TEST_UNSET is not set; export it with the key"
    );
    let error = Case::new("").fails(&["--base-url", "http://127.0.0.1:1/v1", "--model", "m"]);
    insta::assert_snapshot!(error, @"timeslip: endpoint command-line: http://127.0.0.1:1/v1/responses: cannot connect to 127.0.0.1:1: Connection refused (os error 111); nothing was run");
}

#[test]
fn suites_that_cannot_be() {
    insta::assert_snapshot!(Case::new("").fails(&["--suite", "swe-maxi"]), @"timeslip: suite 'swe-maxi': is not known; known are swe-mini, terminal-mini, edit-mini. Add [suite.swe-maxi] to timeslip.toml, or give the path of a suite file");
    insta::assert_snapshot!(Case::new("").fails(&["--suite", "terminal-mini", "--task", "absent"]), @"timeslip: --task absent: no chosen suite has this task; `timeslip run --dry-run` lists them");
    let case = Case::new("[suite.mine]\nformat = \"harbor\"\nsource = \"tasks\"\n");
    let task = case.path().join("tasks/untested");
    std::fs::create_dir_all(task.join("environment")).unwrap();
    std::fs::write(task.join("task.toml"), "schema_version = \"1.1\"\n").unwrap();
    std::fs::write(task.join("instruction.md"), "Do it.\n").unwrap();
    std::fs::write(
        task.join("environment/Dockerfile"),
        "FROM scratch\nWORKDIR /app\n",
    )
    .unwrap();
    let error = case.fails(&["--suite", "mine"]);
    assert!(
        error.contains("untested") && error.contains("tests/test.sh"),
        "{error}"
    );
}

#[test]
fn runs_that_cannot_be_resumed_or_reported() {
    let case = Case::new("");
    let error = case.fails(&["--resume", "nothing-here"]);
    assert!(
        error.contains("nothing-here/run.json") && error.contains("run directory"),
        "{error}"
    );
    timeslip()
        .current_dir(case.path())
        .args(["report", "nothing-here"])
        .assert()
        .code(2);
}

#[test]
fn a_plan_is_printed_and_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let config = quick_config(folder.path());
    let output = timeslip()
        .args([
            "run",
            "--dry-run",
            "--suite",
            "terminal-mini",
            "--task",
            "word-tally",
            "--attempts",
            "2",
            "--config",
        ])
        .arg(&config)
        .output()
        .unwrap();
    let plan = String::from_utf8(output.stdout)
        .unwrap()
        .replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(plan, @r"
    candidate  fast: responses over websocket, model quick (simulated, profile FOLDER/fast.toml)
    baseline   slow: responses over http-sse, model quick (simulated, profile FOLDER/slow.toml)
    suite      terminal-mini: 1 task, from bundled:terminal-mini
    limits     40 turns, 900 s a trial, 60 s a command, 32 KiB of output, 2048 MiB, 10240 MiB written, events unread for 2000 ms
    trials     4 (2 attempts, 4 at once, seed 1), in this order:
                 terminal-mini/word-tally/fast/1
                 terminal-mini/word-tally/slow/1
                 terminal-mini/word-tally/slow/2
                 terminal-mini/word-tally/fast/2
    ");
    assert!(!folder.path().join("runs").exists());
}
