use super::sizes::parse_size;
use super::*;
use proptest::prelude::*;
use std::fs;

fn write(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

fn task(toml: &str) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let task = scratch.path().join("hello");
    write(&task.join("task.toml"), toml);
    write(&task.join("instruction.md"), "Say hello.\n");
    write(&task.join("tests/test.sh"), "true\n");
    fs::create_dir_all(task.join("environment")).unwrap();
    scratch
}

fn read_in(scratch: &tempfile::TempDir) -> Result<HarborTask, String> {
    read_task(&scratch.path().join("hello")).map_err(|error| {
        error
            .to_string()
            .replace(&format!("{}/", scratch.path().display()), "")
    })
}

fn read(toml: &str) -> Result<HarborTask, String> {
    read_in(&task(toml))
}

#[test]
fn everything_has_a_default() {
    let task = read("").unwrap();
    assert_eq!(task.name, "hello");
    assert_eq!(task.environment.memory_mb, 2048);
    assert_eq!(task.environment.network, Network::Unsaid);
    let [step] = &task.steps[..] else {
        panic!("{task:?}")
    };
    assert_eq!(step.agent_timeout, LONGEST);
    assert_eq!(step.verifier.timeout, Duration::from_secs(600));
    assert_eq!((&step.solution, step.verifier.separate), (&None, false));
}

#[test]
fn every_schema_version_in_use_is_read() {
    for version in [
        "version = '1.0'",
        "version = 1.0",
        "schema_version = '1.1'",
        "schema_version = '1.2'",
        "schema_version = '1.3'",
        "schema_version = '1.4'",
    ] {
        assert!(read(version).is_ok(), "{version}");
    }
    insta::assert_snapshot!(read("schema_version = '1.5'").unwrap_err(), @"hello/task.toml: schema_version is 1.5, newer than the 1.4 that is understood; a newer timeslip may read it");
    insta::assert_snapshot!(read("schema_version = '2.0'").unwrap_err(), @"hello/task.toml: schema_version is 2.0, newer than the 1.4 that is understood; a newer timeslip may read it");
    insta::assert_snapshot!(read("version = 'one'").unwrap_err(), @r#"hello/task.toml: schema_version is "one"; known are "1.0" to "1.4""#);
}

#[test]
fn legacy_spellings_are_understood() {
    let task = read("[environment]\nmemory = '2G'\nstorage = '512M'\nallow_internet = false");
    let environment = task.unwrap().environment;
    assert_eq!((environment.memory_mb, environment.storage_mb), (2048, 512));
    assert_eq!(environment.network, Network::None);
    let both = "[environment]\nmemory = 'x'\nmemory_mb = 7\nallow_internet = false\nnetwork_mode = 'allowlist'\nallowed_hosts = ['a.b']";
    let environment = read(both).unwrap().environment;
    assert_eq!(
        (environment.memory_mb, environment.network),
        (7, Network::Allowlist)
    );
}

#[test]
fn a_task_says_who_does_what_with_which_variables() {
    let text = "schema_version = '1.4'\nartifacts = ['/app/out', {source = '/app/log', destination = 'l'}, {source = '/x', service = 'db'}]\n\
        [task]\nname = 'o/n'\nkeywords = ['k']\n[metadata]\ntags = ['t']\ndifficulty = 'easy'\n\
        [agent]\ntimeout_sec = 5\nuser = 'dev'\n\
        [verifier]\ntimeout_sec = 6.5\nuser = 0\nenvironment_mode = 'separate'\nenv = { A = '1' }\n\
        [environment]\ncpus = 1.5\nworkdir = '/srv'\nenv = { B = '${B:-2}' }\n\
        [environment.healthcheck]\ncommand = 'true'\nretries = 2\n\
        [solution]\nenv = { C = '3' }\n";
    let task = read(text).unwrap();
    let step = &task.steps[0];
    assert_eq!(task.tags, ["t", "k"]);
    assert_eq!(task.environment.workdir.as_deref(), Some("/srv"));
    assert_eq!(task.environment.env["B"], "${B:-2}");
    assert_eq!(
        task.environment.healthcheck.as_ref().map(|h| h.retries),
        Some(2)
    );
    assert_eq!(task.solution_env["C"], "3");
    assert_eq!(step.agent_timeout, Duration::from_secs(5));
    assert_eq!(step.agent_user.as_deref(), Some("dev"));
    let verifier = &step.verifier;
    assert_eq!(verifier.user.as_deref(), Some("0"));
    assert_eq!(verifier.timeout, Duration::from_millis(6500));
    assert!(verifier.separate && task.environment.needs.is_empty());
    assert_eq!(verifier.artifacts, ["/app/out", "/app/log"]);
    assert_eq!(verifier.env["A"], "1");
}

#[test]
fn what_needs_containers_is_listed() {
    let scratch = task(
        "[environment]\ngpus = 1\nos = 'Windows'\n[[environment.mcp_servers]]\nname = 'x'\n[verifier.environment]\ncpus = 2\n[[verifier.collect]]\ncommand = 'x'",
    );
    let own = scratch.path().join("hello");
    write(
        &own.join("environment/docker-compose.yaml"),
        "services: {}\n",
    );
    write(&own.join("tests/docker-compose.yaml"), "services: {}\n");
    insta::assert_snapshot!(read_in(&scratch).unwrap().environment.needs.join("; "), @"1 GPU; the operating system Windows; MCP servers; several containers (environment/docker-compose.yaml); several containers (tests/docker-compose.yaml); hooks in containers ([[verifier.collect]])");
}

#[test]
fn a_separate_verifier_may_have_an_image_of_its_own() {
    let scratch = task(
        "[verifier]\nenvironment_mode = 'separate'\n[verifier.environment]\nenv = { A = '1' }",
    );
    let tests = scratch.path().join("hello/tests");
    let verifier = |scratch: &tempfile::TempDir| read_in(scratch).unwrap().steps.remove(0).verifier;
    assert_eq!(verifier(&scratch).image, None);
    write(&tests.join("Dockerfile"), "FROM x\n");
    fs::remove_file(tests.join("test.sh")).unwrap();
    let built = verifier(&scratch);
    assert_eq!(built.image, Some(VerifierImage::Built(tests)));
    assert_eq!((built.separate, built.env["A"].as_str()), (true, "1"));
    let named = "[verifier.environment]\ndocker_image = 'i:1'\n[[steps]]\nname = 'one'\n[[steps]]\nname = 'two'\n[steps.verifier.environment]\ndocker_image = 'i:2'";
    let scratch = task(named);
    for step in ["one", "two"] {
        let file = format!("hello/steps/{step}/instruction.md");
        write(&scratch.path().join(file), step);
    }
    let images: Vec<_> = read_in(&scratch)
        .unwrap()
        .steps
        .into_iter()
        .map(|step| step.verifier.image)
        .collect();
    let published = |name: &str| Some(VerifierImage::Published(name.to_owned()));
    assert_eq!(images, [published("i:1"), published("i:2")]);
    // Beside the agent, there is nothing to build.
    let scratch = task("");
    write(&scratch.path().join("hello/tests/Dockerfile"), "FROM x\n");
    assert_eq!(verifier(&scratch).image, None);
}

#[test]
fn the_network_is_the_most_that_a_phase_asks_for() {
    let network = |toml: &str| read(toml).unwrap().environment.network;
    assert_eq!(
        network("[environment]\nnetwork_mode = 'no-network'"),
        Network::None
    );
    assert_eq!(
        network("[environment]\nallow_internet = true"),
        Network::Public
    );
    let phases = "[agent]\nnetwork_mode = 'no-network'\n[verifier]\nnetwork_mode = 'allowlist'";
    assert_eq!(network(phases), Network::Allowlist);
}

#[test]
fn steps_have_instructions_tests_and_solutions_of_their_own() {
    let scratch = task(
        "multi_step_reward_strategy = 'final'\n[agent]\ntimeout_sec = 9\n[verifier]\nenv = { A = '1', B = '1' }\n\
         [[steps]]\nname = 'one'\nmin_reward = 0.5\n[steps.verifier]\nenv = { B = '2' }\n\
         [[steps]]\nname = 'two'\nmin_reward = { speed = 1.0 }\n[steps.agent]\ntimeout_sec = 3\n",
    );
    let own = scratch.path().join("hello");
    fs::remove_file(own.join("instruction.md")).unwrap();
    write(&own.join("tests/helpers.sh"), "");
    for step in ["one", "two"] {
        write(&own.join(format!("steps/{step}/instruction.md")), step);
    }
    write(&own.join("steps/two/tests/test.sh"), "");
    write(&own.join("steps/two/solution/solve.sh"), "");
    write(&own.join("steps/two/workdir/setup.sh"), "");
    let read = read_in(&scratch).unwrap();
    assert_eq!(read.strategy, RewardStrategy::Final);
    let [one, two] = &read.steps[..] else {
        panic!("{read:?}")
    };
    assert_eq!(
        (one.instruction.as_str(), two.instruction.as_str()),
        ("one", "two")
    );
    assert_eq!((one.verifier.tests.len(), two.verifier.tests.len()), (1, 2));
    assert_eq!(one.verifier.env["B"], "2");
    assert_eq!(two.verifier.env["B"], "1");
    assert_eq!(
        (one.min_reward["reward"], two.min_reward["speed"]),
        (0.5, 1.0)
    );
    assert_eq!(one.agent_timeout, Duration::from_secs(9));
    assert_eq!(two.agent_timeout, Duration::from_secs(3));
    assert!(one.workdir.is_none() && two.workdir.is_some());
    assert!(one.solution.is_none() && two.solution.is_some());

    fs::remove_file(own.join("tests/test.sh")).unwrap();
    insta::assert_snapshot!(read_in(&scratch).unwrap_err(), @"hello/steps/one/tests/test.sh: is missing; without it nothing grades the task");
}

#[test]
fn settings_are_taken_whatever_type_they_were_written_in() {
    let task = read(
        "[metadata]\ndifficulty = 3\ntags = 'solo'\ncategory = { a = 1 }\n\
         [agent]\ntimeout_sec = '90'\n\
         [environment]\nmemory = '4GB'\nstorage_mb = 2048.0\ncpus = '2'\nallow_internet = 'no'\n",
    )
    .unwrap();
    assert_eq!(
        (task.difficulty.as_str(), task.category.as_str()),
        ("3", "a: 1")
    );
    assert_eq!(task.tags, ["solo"]);
    assert_eq!(task.steps[0].agent_timeout, Duration::from_secs(90));
    let environment = &task.environment;
    assert_eq!(
        (environment.memory_mb, environment.storage_mb),
        (4096, 2048)
    );
    assert_eq!(
        (environment.cpus, environment.network),
        (2.0, Network::None)
    );
    for (text, megabytes) in [
        ("4Gi", 4096),
        ("4GiB", 4096),
        ("1.5g", 1536),
        ("512MB", 512),
        ("2147483648", 2048),
    ] {
        assert_eq!(parse_size(text), Some(megabytes), "{text}");
    }
}

#[test]
fn errors_name_file_and_field() {
    insta::assert_snapshot!(read("[environment]\nmemory = 'lots'").unwrap_err(), @r#"hello/task.toml: environment.memory "lots" is not a size; write memory_mb = 2048, or "2G" as older tasks do"#);
    insta::assert_snapshot!(read("[agent]\ntimeout_sec = -1").unwrap_err(), @"hello/task.toml: agent.timeout_sec is -1; it has to be a positive number of seconds, at most a week");
    insta::assert_snapshot!(read("[agent]\ntimeout_sec = 'x'").unwrap_err(), @r#"hello/task.toml:2: "x" is not a number"#);
    insta::assert_snapshot!(read("[environment]\nnetwork_mode = 'some'").unwrap_err(), @"hello/task.toml:2: unknown variant `some`, expected one of `no-network`, `public`, `allowlist`");
    insta::assert_snapshot!(read("[[steps]]\nname = '../a'").unwrap_err(), @r#"hello/task.toml: the step name "../a" is not plain; use letters, digits, '-', '_' and '.'"#);
    insta::assert_snapshot!(read("[[steps]]\nname = 'a'").unwrap_err(), @"hello/steps/a/instruction.md: is missing; it is what the agent is told");
}

#[test]
fn a_canary_is_not_part_of_an_instruction() {
    let marked = "<!-- some-canary GUID 1 -->\n# canary 2\n\nDo it.\n# A heading\n";
    assert_eq!(without_canary(marked), "Do it.\n# A heading\n");
    assert_eq!(without_canary("# Title\ncanary\n"), "# Title\ncanary\n");
    assert_eq!(without_canary("# canary"), "# canary");
}

#[test]
fn a_folder_may_hold_tasks_and_folders_of_tasks() {
    let scratch = task("");
    let root = scratch.path();
    write(&root.join("more/there/task.toml"), "");
    write(&root.join(".hidden/no/task.toml"), "");
    write(&root.join("notes/readme.md"), "");
    let names = |found: Vec<PathBuf>| -> Vec<String> {
        found
            .iter()
            .map(|path| path.strip_prefix(root).unwrap().display().to_string())
            .collect()
    };
    assert_eq!(names(list(root).unwrap()), ["hello", "more/there"]);
    assert_eq!(names(list(&root.join("hello")).unwrap()), ["hello"]);
    write(&root.join("other/there/task.toml"), "");
    let error = list(root).unwrap_err().to_string();
    assert!(error.contains("two tasks \"there\""), "{error}");
    let error = list(&root.join("notes")).unwrap_err().to_string();
    assert!(error.ends_with("holds no task directory"), "{error}");
}

#[test]
fn a_registry_names_local_tasks() {
    let scratch = task("");
    let file = scratch.path().join("registry.json");
    let dataset = |name: &str, task: &str| {
        format!(
            r#"{{"name":"{name}","version":"1.0","description":"","tasks":[{{"name":"hello",{task}"path":"hello"}}]}}"#
        )
    };
    let git = r#""git_url":"https://h/r.git","#;
    write(
        &file,
        &format!("[{},{}]", dataset("a", ""), dataset("b", git)),
    );
    let of = |fragment: &str| {
        let source = format!("{}{fragment}", file.display());
        list(Path::new(&source)).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", scratch.path().display()), "")
        })
    };
    for fragment in ["#a", "#a@1.0"] {
        assert_eq!(of(fragment).unwrap(), [scratch.path().join("hello")]);
    }
    insta::assert_snapshot!(of("").unwrap_err(), @"registry.json: has 2 datasets that fit; name one of a@1.0, b@1.0 as FILE#NAME@VERSION");
    insta::assert_snapshot!(of("#c").unwrap_err(), @"registry.json: has 0 datasets that fit; name one of a@1.0, b@1.0 as FILE#NAME@VERSION");
    insta::assert_snapshot!(of("#b").unwrap_err(), @r#"registry.json: task "hello" is in the repository https://h/r.git; clone it and make a registry with local paths"#);
}

proptest! {
    #[test]
    fn sizes_never_panic(text in ".{0,12}") {
        let _ = parse_size(&text);
    }
}
