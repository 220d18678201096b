//! Measuring the instrument itself, and what endpoints are like.

pub mod calibration;
pub mod conformance;
pub mod probing;
