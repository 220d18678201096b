//! A real engine: Docker or Podman, whichever `DOCKER_HOST` names. `scripts/containers`
//! starts one, and imports the image that tests begin with.

use std::path::{Path, PathBuf};
use std::process::Command;

use timeslip_suites::{Image, Sandbox};

/// The engine, and the root file system to make containers of; says why not.
pub fn engine() -> Option<(Sandbox, Image)> {
    let Some(rootfs) = std::env::var_os("TIMESLIP_TEST_ROOTFS") else {
        eprintln!(
            "SKIPPED: containers are not tested: TIMESLIP_TEST_ROOTFS is not set; run scripts/containers"
        );
        return None;
    };
    let sandbox =
        Sandbox::new(super::backend("docker")).expect("TIMESLIP_TEST_ROOTFS needs an engine");
    Some((sandbox, Image::Archive(PathBuf::from(rootfs))))
}

/// The name of the image to build others from.
pub fn base() -> String {
    std::env::var("TIMESLIP_TEST_IMAGE").expect("scripts/containers names one")
}

/// Builds what is in `context`, a directory with a Dockerfile, as the image `name`.
pub fn build(context: &Path, name: &str) {
    let archive = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(context).arg("-cf").arg(archive.path());
    assert!(tar.arg(".").status().unwrap().success());
    let body = format!("@{}", archive.path().display());
    let content = "Content-Type: application/x-tar";
    let arguments = ["-X", "POST", "-H", content, "--data-binary", &body];
    let printed = ask(&arguments, &format!("/build?t={name}&forcerm=1"));
    assert!(!printed.contains("\"error\""), "{printed}");
    ask(&[], &format!("/images/{name}/json"));
}

/// What the engine answers.
pub fn ask(arguments: &[&str], path: &str) -> String {
    let host = std::env::var("DOCKER_HOST").unwrap();
    let socket = host.strip_prefix("unix://");
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--unix-socket"])
        .arg(socket.expect("DOCKER_HOST names a socket"))
        .args(arguments)
        .arg(format!("http://engine{path}"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{path}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
