//! Statistics, comparison and rendering of timeslip runs.

pub mod input;
