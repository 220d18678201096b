//! What the crate promises, tried from outside. One binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bounds;
mod bundled_tasks;
mod caveats;
mod container_tasks;
mod containers;
mod crash;
mod fake_sandbox;
mod hostile_tasks;
mod log_parsers;
mod observation;
mod own_format;
mod pro;
mod published_images;
mod rootfs;
mod rows;
mod sandbox;
mod suite_files;
mod support;
mod terminal_tasks;
mod trials;
