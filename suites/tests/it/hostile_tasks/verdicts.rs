//! No verdict is given by what is judged.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{HONEST, Trial, everywhere, write};
use crate::support::edit;

#[test]
fn a_reward_that_is_a_link_is_no_reward() {
    let test = "ln -s /app/one /logs/verifier/reward.txt; mkfifo /logs/verifier/reward.json\n";
    everywhere(test, |trial| {
        trial.run("echo 1 >one");
        let began = Instant::now();
        let judged = trial.grade();
        assert!(!judged.resolved && judged.verifier_failed, "{judged:?}");
        assert!(began.elapsed() < Duration::from_secs(8));
    });
}

/// A task whose bundled-like verifier runs what the agent left.
const RUNS_WHAT_IT_TESTS: &str =
    include_str!("../../../../datasets/bundled/terminal-mini/word-tally/tests/test.sh");

#[test]
fn a_tested_program_cannot_give_itself_the_verdict() {
    everywhere(RUNS_WHAT_IT_TESTS, |trial| {
        let check = "import subprocess\nsubprocess.run(['bash', '/app/program'], timeout=5)\n\
        assert open('/app/done').read() == 'right'\n";
        write(
            &trial.scratch.path().join("source/made/tests/check.py"),
            check,
        );
        let claim = "echo 1 >/logs/verifier/reward.txt; echo 1 >/logs/verifier/reward.json";
        for (program, verdict) in [
            ("true".to_owned(), true),
            (claim.to_owned(), true),
            (format!("(while :; do {claim}; done) & disown"), true),
            (
                format!("setsid bash -c 'while :; do {claim}; done' &"),
                true,
            ),
            (
                "rm -rf /logs/verifier; ln -s /app /logs/verifier".to_owned(),
                true,
            ),
            (format!("{claim}; kill -9 $(ps -o ppid= $PPID)"), true),
            (format!("{claim}; kill -9 $PPID"), true),
        ] {
            trial.run("rm -f done");
            edit(&trial.workspace, "program", "", &program).unwrap();
            let grade = trial.grade();
            assert!(!grade.resolved, "{program}: {grade:?}");
            assert_eq!(!grade.verifier_failed, verdict, "{program}: {grade:?}");
            if !program.contains("kill") {
                trial.run("printf right >done");
                let grade = trial.grade();
                assert!(grade.resolved, "{program}: {grade:?}");
            }
        }
    });
}

/// Verifiers as others write them, which run the agent's program as the user that they are:
/// none of them clears up, and all of them end with the reward.
const FOREIGN_VERIFIERS: &[&str] = &[
    "timeout 5 bash /app/program\ntest \"$(cat /app/done 2>/dev/null)\" = right\n\
     if [ $? -eq 0 ]; then\n  echo 1 > /logs/verifier/reward.txt\nelse\n  echo 0 > /logs/verifier/reward.txt\nfi\n",
    "set -euo pipefail\necho 0 >/logs/verifier/reward.txt\nbash /app/program\n\
     finish() { printf '%s\\n' \"$1\" >\"$REWARD_FILE\"; exit 0; }\nREWARD_FILE=/logs/verifier/reward.txt\n\
     [[ \"$(cat /app/done 2>/dev/null)\" == right ]] && finish 1\nfinish 0\n",
    "sleep 1000 & server=$!\nbash /app/program\ngrep -q right /app/done 2>/dev/null && reward=1 || reward=0\n\
     kill $server; wait $server\necho $reward >/logs/verifier/reward.txt; echo done; exit 3\n",
];

/// A program that leaves a process behind which is faster than any verifier.
const RACERS: &[&str] = &[
    "setsid bash -c 'while :; do echo 1 >/logs/verifier/reward.txt; done' >/dev/null 2>&1 &",
    "python3 - >/dev/null 2>&1 <<'END'\nimport os, threading\nif os.fork() == 0:\n os.setsid()\n \
     def race():\n  while True:\n   with open('/logs/verifier/reward.txt', 'w') as f: f.write('1')\n \
     for _ in range(4): threading.Thread(target=race).start()\nEND",
    "(trap '' TERM HUP; while :; do echo 1 >/logs/verifier/reward.json; echo 1 >/logs/verifier/reward.txt; done) >/dev/null 2>&1 &",
    "setsid bash -c 'while [ ! -s /logs/verifier/reward.txt ]; do :; done; while :; do echo 1 >/logs/verifier/reward.txt; done' >/dev/null 2>&1 &",
];

#[test]
fn a_foreign_verifier_has_the_last_word() {
    for verifier in FOREIGN_VERIFIERS {
        let Some(trial) = Trial::new(verifier) else {
            return;
        };
        for racer in RACERS {
            edit(&trial.workspace, "program", "", racer).unwrap();
            for _ in 0..3 {
                let grade = trial.grade();
                assert!(!grade.resolved, "{verifier}\n{racer}: {grade:?}");
                assert!(!grade.verifier_failed, "{verifier}\n{racer}: {grade:?}");
            }
            trial.run("printf right >done");
            let grade = trial.grade();
            assert!(grade.resolved, "{verifier}\n{racer}: {grade:?}");
            trial.run("rm done");
        }
    }
}

/// What a script finds is what it finds without the guard around it.
#[test]
fn a_foreign_verifier_is_run_as_it_is() {
    let script = "false; echo \"$? $0 ${BASH_SOURCE[0]} $# $LINENO $(basename \"$0\")\" >>/app/seen\n\
        f() { return 4; }; f; echo \"$? ${PIPESTATUS[*]}\" >>/app/seen\n\
        (exit 3) | true; echo \"${PIPESTATUS[*]}\" >>/app/seen\n\
        trap 'echo bye >>/app/seen' EXIT\n\
        echo 0 >/logs/verifier/reward.txt; python3 -c 'open(\"/logs/verifier/reward.txt\", \"w\").write(\"1\")'\n\
        set -ex; false; echo never >>/app/seen\n";
    let Some(trial) = Trial::new(script) else {
        return;
    };
    let grade = trial.grade();
    assert!(
        grade.resolved && !grade.log.contains("timeslip"),
        "{grade:?}"
    );
    insta::assert_snapshot!(trial.run("cat seen").text(), @r"
    1 /tests/test.sh /tests/test.sh 0 1 test.sh
    4 4
    3 0
    bye
    ");
}

/// The one honest way to be out of a program's reach is what the bundled tests do.
#[test]
fn bundled_verifiers_are_all_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/bundled/terminal-mini");
    let tasks = fs::read_dir(folder).unwrap();
    for script in tasks.map(|task| task.unwrap().path().join("tests/test.sh")) {
        let Ok(text) = fs::read_to_string(&script) else {
            continue;
        };
        let json = r#"(VERIFIER / "reward.json").write_text('{"reward": %d}\n' % reward)"#;
        let plain = r#"(VERIFIER / "reward.txt").write_text("%d\n" % reward)"#;
        let same = text.replace(json, plain) == RUNS_WHAT_IT_TESTS;
        assert!(same, "{}", script.display());
    }
}

#[test]
fn tests_and_verdict_are_out_of_the_agents_reach() {
    let Some(trial) = Trial::new(HONEST) else {
        return;
    };
    let tests = trial.scratch.path().join("source/made/tests/test.sh");
    let cheat = format!(
        "mkdir -p /tests /logs/verifier; echo 'echo 1 >/logs/verifier/reward.txt' >/tests/test.sh; \
         echo 1 >/logs/verifier/reward.txt; echo 1 >/logs/verifier/reward.json; echo x >{}; \
         printf 'cat() {{ echo right; }}\\nexport -f cat\\n' >/tmp/.bashrc; cp /tmp/.bashrc /tmp/.bash_profile; \
         export BASH_ENV=/tmp/.bashrc",
        tests.display()
    );
    trial.run(&cheat);
    let judged = trial.grade();
    assert_eq!(judged.reward, Some(0.0), "{judged:?}");
    assert_eq!(fs::read_to_string(&tests).unwrap(), HONEST);
}

#[test]
fn tests_cannot_be_written_even_while_they_run() {
    let test = "/app/helper; test -s /app/wrote && exit; echo 1 >/logs/verifier/reward.txt\n";
    let Some(trial) = Trial::new(test) else {
        return;
    };
    let helper = "printf '#!/bin/sh\\necho x >>/tests/test.sh && echo y >/app/wrote\\nrm -f /tests/test.sh && echo y >/app/wrote\\n' >helper; chmod +x helper";
    trial.run(helper);
    assert!(trial.grade().resolved);
    let tests = trial.scratch.path().join("source/made/tests/test.sh");
    assert_eq!(fs::read_to_string(tests).unwrap(), test);
}
