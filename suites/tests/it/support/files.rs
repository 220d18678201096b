//! Files and repositories that tests make up.

use std::fs;
use std::path::Path;
use std::process::Command;

pub fn write(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes `directory` a repository on a branch `main` without commits.
pub fn repository(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    git(directory, &["init", "-q", "-b", "main"]);
}

/// Commits files, and gives the commit's id.
pub fn commit(directory: &Path, files: &[(&str, &str)], message: &str) -> String {
    for (name, content) in files {
        write(&directory.join(name), content);
    }
    git(directory, &["add", "-A"]);
    git(directory, &["commit", "-q", "-m", message]);
    git(directory, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// Loads a suite file `made`, which is `head` and more `lines`.
pub fn suite(directory: &Path, head: &str, lines: &str) -> timeslip_suites::Suite {
    let path = directory.join("suite.toml");
    write(&path, &format!("name = \"made\"\n{head}\n{lines}"));
    let file = timeslip_suites::SuiteFile::read(&path).unwrap();
    timeslip_suites::Suite::load(&file, directory).unwrap()
}
