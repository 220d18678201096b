//! What can be set for an endpoint and for a trial, one declaration each.
//!
//! A row below is a field of a configuration file, which may leave it out, and a field of
//! `run.json`, where it has been chosen. Its value there is also what holds for runs that
//! were planned before there was the row.

use serde::{Deserialize, Serialize};

use crate::text::plural;

/// Hands the rows of the endpoint options to a macro: documentation, name, type and default.
#[macro_export]
macro_rules! endpoint_options {
    ($with:ident) => {
        $with! {
            /// Have the server read instructions and tools ahead of the first turn, where
            /// the transport keeps them.
            prewarm: bool = false,
            /// Offer to compress the messages of a WebSocket.
            deflate: bool = false,
            /// Put concurrent trials on one connection.
            shared_connection: bool = false,
            /// Begin the instructions with a salt of the run's and the endpoint's own, so that
            /// no prompt cache knows a prompt from another run or another endpoint.
            salt: bool = false,
            /// Longest silence before a try is given up, in seconds.
            idle_seconds: u64 = 120,
            /// Tries after the first.
            retries: u32 = 3,
            /// Tokens of a conversation that the model takes: a real agent that is told sums up
            /// its conversation before.
            context_tokens: u64 = 200_000,
        }
    };
}

macro_rules! chosen_options {
    ($($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr,)*) => {
        /// How an endpoint is spoken to, every choice made.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct EndpointOptions { $($(#[$doc])* pub $field: $kind,)* }

        impl Default for EndpointOptions {
            fn default() -> Self {
                EndpointOptions { $($field: $default,)* }
            }
        }
    };
}
endpoint_options!(chosen_options);

macro_rules! trial_limits {
    ($($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr, $range:expr, $words:expr;)*) => {
        /// What one trial may take, every choice made.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct TrialLimits { $($(#[$doc])* pub $field: $kind,)* }

        /// `[limits]`: what one trial may take, as far as it is said.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct LimitsTable { $($(#[$doc])* pub $field: Option<$kind>,)* }

        impl Default for TrialLimits {
            fn default() -> Self {
                TrialLimits { $($field: $default,)* }
            }
        }

        impl TrialLimits {
            /// These limits, but for what a table sets.
            #[must_use]
            pub fn with(self, set: &LimitsTable) -> Self {
                TrialLimits { $($field: set.$field.unwrap_or(self.$field),)* }
            }

            /// Checks that every limit can be kept.
            ///
            /// # Errors
            /// The field that is wrong, and why.
            pub fn check(self) -> Result<(), (&'static str, String)> {
                $(
                    let (value, range) = (self.$field, $range);
                    if value > *range.end() {
                        let problem = format!("{value} is more than {}", range.end());
                        return Err((stringify!($field), problem));
                    }
                    if !range.contains(&value) {
                        let problem = format!("must be at least {}", range.start());
                        return Err((stringify!($field), problem));
                    }
                )*
                Ok(())
            }

            /// The limits as people read them.
            #[must_use]
            pub fn describe(self) -> String {
                let words: Vec<String> = vec![$({
                    let words: fn($kind) -> String = $words;
                    words(self.$field)
                },)*];
                words.join(", ")
            }
        }

        impl LimitsTable {
            /// Takes over every field that `over` sets.
            pub fn overlay(&mut self, over: LimitsTable) {
                $(self.$field = over.$field.or(self.$field);)*
            }
        }
    };
}

trial_limits! {
    /// Model calls in one trial.
    turns: u32 = 40, 1..=10_000, |n| plural(n as usize, "turn");
    /// Wall-clock seconds of one trial.
    trial_seconds: u64 = 900, 1..=u64::MAX, |n| format!("{n} s a trial");
    /// Seconds of one command.
    command_seconds: u64 = 60, 1..=u64::MAX, |n| format!("{n} s a command");
    /// Kibibytes of output the model sees.
    output_kib: usize = 32, 1..=usize::MAX, |n| format!("{n} KiB of output");
    /// Mebibytes of memory of one command.
    memory_mb: u64 = 2_048, 1..=u64::MAX, |n| format!("{n} MiB");
    /// Mebibytes that the commands of one trial write in all.
    disk_mb: u64 = 10_240, 1..=u64::MAX, |n| format!("{n} MiB written");
    /// Milliseconds that 99 of 100 output events may lie unread in a valid run.
    client_lag_ms: f64 = 5.0, 1e-6..=60_000.0, |n| format!("events unread for {n} ms");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_something_and_the_rest_stays() {
        let mut table: LimitsTable = toml::from_str("turns = 7").unwrap();
        table.overlay(toml::from_str("memory_mb = 9").unwrap());
        let limits = TrialLimits::default().with(&table);
        assert_eq!((limits.turns, limits.memory_mb), (7, 9));
        assert_eq!(limits.trial_seconds, TrialLimits::default().trial_seconds);
        assert!(toml::from_str::<LimitsTable>("turn = 7").is_err());
    }

    #[test]
    fn limits_that_cannot_be_kept_are_named() {
        let problem = |limits: TrialLimits| limits.check().unwrap_err();
        let whole = TrialLimits::default();
        assert!(whole.check().is_ok());
        let turns = |turns| TrialLimits { turns, ..whole };
        assert_eq!(problem(turns(0)), ("turns", "must be at least 1".into()));
        let expected = ("turns", "20000 is more than 10000".into());
        assert_eq!(problem(turns(20_000)), expected);
        let lag = |client_lag_ms| TrialLimits {
            client_lag_ms,
            ..whole
        };
        assert!(lag(f64::NAN).check().is_err() && lag(-1.0).check().is_err());
    }

    #[test]
    fn an_older_run_has_the_defaults_of_what_it_did_not_know() {
        let older =
            r#"{"turns":1,"trial_seconds":2,"command_seconds":3,"output_kib":4,"memory_mb":5}"#;
        let limits: TrialLimits = serde_json::from_str(older).unwrap();
        assert_eq!((limits.turns, limits.client_lag_ms), (1, 5.0));
        let options: EndpointOptions = serde_json::from_str(r#"{"retries":1}"#).unwrap();
        assert_eq!((options.retries, options.deflate), (1, false));
    }
}
