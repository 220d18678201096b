//! timeslip
