//! A server that loses no time.

use timeslip_simulator::{Model, Options, Profile, Running};

/// Nothing but decoding takes time, and that hardly any.
pub fn profile() -> Profile {
    Profile {
        request_overhead_ms: 0.0,
        link_round_trip_ms: 0.0,
        decode_tokens_per_second: 50_000.0,
        ..Profile::load("spark-sim").unwrap()
    }
}

/// Options of a server whose model knows no task: it says so, runs one harmless command if
/// it can, and submits.
pub fn options(profile: Profile) -> Options {
    Options::new(profile, Model::new(Vec::new(), "test", 1, 1.0))
}

/// Such a server.
pub fn start() -> Running {
    timeslip_simulator::start(options(profile())).unwrap()
}
