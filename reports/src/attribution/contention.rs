//! Whether tools of concurrent trials competed for the machine's cores.

use timeslip_datasets::run::journal::Trial;

use crate::format::{nanoseconds, plural};

/// The share of tools' time from which on it is worth saying: a few trials on two cores wait in
/// a quarter of it.
const WORTH_SAYING: f64 = 0.33;

/// The tools of an endpoint of which the kernel said it.
#[derive(Debug, Default)]
pub(crate) struct Contention {
    tools: usize,
    ran_ns: u64,
    waited_ns: u64,
}

impl Contention {
    /// Takes in the tools of a trial.
    pub(crate) fn add(&mut self, trial: &Trial) {
        for tool in &trial.tools {
            if let Some(waited) = tool.cores_waited_for_ns {
                let ran = tool.end.saturating_sub(tool.start);
                self.tools += 1;
                self.ran_ns = self.ran_ns.saturating_add(ran);
                self.waited_ns = self.waited_ns.saturating_add(waited.min(ran));
            }
        }
    }

    /// What has to be said of the tools of `endpoint`.
    pub(crate) fn warning(&self, endpoint: &str) -> Option<String> {
        let share = self.waited_ns as f64 / self.ran_ns as f64;
        (share >= WORTH_SAYING).then(|| {
            format!(
                "tools competed for cores: while {} of {endpoint} ran, {} in all, some process of this machine waited for a core in {:.0} % of that time; alone they would be quicker, run fewer trials at once to know by how much",
                plural(self.tools, "tool call"),
                nanoseconds(self.ran_ns),
                share * 100.0,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_where_tools_waited_and_nowhere_else() {
        let contention = |waited_ns| Contention {
            tools: 12,
            ran_ns: 8_000_000_000,
            waited_ns,
        };
        assert_eq!(contention(2_000_000_000).warning("fast"), None);
        assert_eq!(Contention::default().warning("fast"), None);
        let said = contention(4_000_000_000).warning("fast").unwrap();
        assert!(
            said.contains("12 tool calls of fast ran, 8.00 s") && said.contains("50 %"),
            "{said}"
        );
    }
}
