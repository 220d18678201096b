//! What a recording keeps of what is said.

use timeslip_datasets::run::Keep;

#[derive(Debug, clap::Args)]
pub(super) struct Keeping {
    /// Keep nothing of what clients and servers say to each other, only times and counts
    #[arg(long)]
    no_bodies: bool,
    /// Keep lengths, and what is equal to what, in place of all text, so that the run can be
    /// shared
    #[arg(long, conflicts_with = "no_bodies")]
    hashed: bool,
}

impl Keeping {
    /// What is kept.
    pub(super) fn keep(&self) -> Keep {
        match (self.hashed, self.no_bodies) {
            (true, _) => Keep::Shapes,
            (false, true) => Keep::Nothing,
            (false, false) => Keep::Bodies,
        }
    }
}
