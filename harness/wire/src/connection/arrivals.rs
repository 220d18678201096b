//! When did byte n of a connection arrive? Whoever says so: the headers of its packets, the
//! kernel's stamp on a read, or the read itself.
//!
//! A late read finds segments that the kernel has merged, and one stamp, the youngest's.
//! Packets keep a time each, by which each byte of such a read is dated.

mod byte_times;
mod capture;
mod tcp_segment;
mod traffic;

pub use capture::{Watched, begin, best, count_read, expect, pause};
