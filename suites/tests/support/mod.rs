//! What the integration tests share.

use timeslip_suites::{Backend, Sandbox};

/// The sandboxes this machine can test; says loudly what it cannot.
pub fn sandboxes() -> Vec<Sandbox> {
    let detection = Backend::detect();
    let mut sandboxes = vec![Sandbox::new(Backend::Process).unwrap()];
    match detection.backend {
        Backend::Bubblewrap => sandboxes.push(Sandbox::new(Backend::Bubblewrap).unwrap()),
        Backend::Process => eprintln!("SKIPPED: bubblewrap is not tested: {}", detection.why),
    }
    sandboxes
}

/// The bubblewrap sandbox, if there is one.
pub fn bubblewrap() -> Option<Sandbox> {
    sandboxes()
        .into_iter()
        .find(|sandbox| sandbox.backend() == Backend::Bubblewrap)
}
