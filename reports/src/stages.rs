//! Where the time of a trial can go: the table of stages and the table of their groups.
//!
//! A new stage is one row here and its place on the line in [`crate::attribution`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A row of [`STAGES`].
#[derive(Clone, Copy, Debug)]
pub struct StageRow {
    /// The stage.
    pub stage: Stage,
    /// The name used in every machine-readable output.
    pub name: &'static str,
    /// The group it is shown under.
    pub group: StageGroup,
    /// What it is.
    pub about: &'static str,
    /// Where it lies, by marks of the journal.
    pub place: &'static str,
    /// How it is known.
    pub known: &'static str,
}

/// Declares the stages: the type, its names and the table, from one row each.
macro_rules! stages {
    ($($stage:ident = $name:literal in $group:ident: $about:literal, $place:literal, $known:literal;)*) => {
        /// Where the time of a trial can go. Exclusive and exhaustive: the stages of a
        /// trial sum to its wall time exactly.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        pub enum Stage {
            $(#[doc = $about] #[serde(rename = $name)] $stage,)*
        }

        /// Every stage, in the order reports show them.
        pub static STAGES: &[StageRow] = &[$(StageRow {
            stage: Stage::$stage,
            name: $name,
            group: StageGroup::$group,
            about: $about,
            place: $place,
            known: $known,
        },)*];

        impl Stage {
            /// Every stage, in the order reports show them.
            pub const ALL: [Stage; [$($name),*].len()] = [$(Stage::$stage),*];
        }
    };
}

stages! {
    ConnectDns = "connect_dns" in Network: "Name resolution.",
        "`start` to `dns`", "measured";
    ConnectTcp = "connect_tcp" in Network: "TCP handshake, and the tunnel of a proxy where there is one.",
        "`dns` to `tcp`, and to `proxy`", "measured";
    ConnectTls = "connect_tls" in Network: "TLS handshake.",
        "`tcp` or `proxy` to `tls`", "measured";
    ConnectUpgrade = "connect_upgrade" in Network: "WebSocket upgrade.",
        "`tls` or `tcp` to `upgraded`; `start` to `upgrade_refused`", "measured";
    Send = "send" in Network: "Handing the request to the kernel.",
        "the last connection step to `sent`", "measured";
    Network = "network" in Network: "One round trip inside `sent` → `first_token`.",
        "after `sent`", "measured by a ping; else reported by the server, or estimated from the smallest TCP round trip";
    Queue = "queue" in Queue: "Waiting for the server to begin.",
        "after the round trip", "reported by the server; else estimated as what exceeds the fit of an idle server";
    Prefill = "prefill" in Prefill: "Reading the prompt.",
        "after the queue", "reported by the server; else estimated from TTFT against uncached prompt tokens";
    Residue = "residue" in Residue: "What of `sent` → `first_token` the three above do not explain.",
        "the rest up to `first_token`", "measured";
    DecodeReasoning = "decode_reasoning" in Decode: "Streaming reasoning.",
        "up to each event that carries it", "measured";
    DecodeText = "decode_text" in Decode: "Streaming text.",
        "up to each event that carries it", "measured";
    DecodeToolArguments = "decode_tool_arguments" in Decode: "Streaming tool-call arguments.",
        "up to each event that carries them", "measured";
    Tail = "tail" in Decode: "`last_token` → `done`, or → `whole` where the end did not come.",
        "`last_token` to `done`, or to `whole`", "measured";
    ToolSandbox = "tool_sandbox" in Tool: "Starting and tearing down the sandbox around a tool call.",
        "`start` to `command_start`, `command_end` to `end`, of the built-in agent", "measured";
    ToolCommand = "tool_command" in Tool: "The command of a tool call itself.",
        "`command_start` to `command_end`", "measured";
    AgentStart = "agent_start" in Harness: "A real agent's own start-up, up to its first request.",
        "`command_start` to `first_request` of an agent's run", "measured";
    Harness = "harness" in Harness: "Prompt building, parsing, bookkeeping: everything else.",
        "between exchanges and tool calls; of a real agent also from a tool call to its processes, and from them to the result", "measured";
    Wait = "wait" in Wait: "Rate-limit backoff, retries, permits, ends of answers that do not come.",
        "`start` to `settled` or to `backoff_until`; `whole` to `done`; `start` to `done` where nothing was sent", "measured";
    Developer = "developer" in Wait: "In a session the developer types or reads, and nothing comes.",
        "`began` to `last_keystroke` of a `type` act, `began` to `ended` of a `wait`, as far as nothing else lies there", "measured";
}

impl Stage {
    /// The name used in every machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The group a stage is shown under.
    #[must_use]
    pub fn group(self) -> StageGroup {
        self.row().group
    }

    /// What people call it: as its group, where it is the whole of that.
    #[must_use]
    pub fn label(self) -> String {
        let group = self.group();
        match self.name() == group.name() {
            true => group.label().to_owned(),
            false => self.name().replace('_', " "),
        }
    }

    fn row(self) -> &'static StageRow {
        &STAGES[self as usize]
    }
}

/// A row of [`GROUPS`].
#[derive(Clone, Copy, Debug)]
pub struct GroupRow {
    /// The group.
    pub group: StageGroup,
    /// The name used in every machine-readable output.
    pub name: &'static str,
    /// The word used in sentences, legends and tables.
    pub label: &'static str,
    /// The CSS variable of its colour.
    pub variable: &'static str,
    /// Its colour in the light theme.
    pub light: u32,
    /// Its colour in the dark theme.
    pub dark: u32,
    /// Text on the light theme's colour is dark.
    pub pale: bool,
}

/// Declares the groups: the type, its names and the table, from one row each.
macro_rules! groups {
    ($($group:ident = $name:literal shown as $label:literal: $about:literal,
        $variable:literal, $light:literal, $dark:literal, pale $pale:literal;)*) => {
        /// The coarse group a stage is shown under.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        pub enum StageGroup {
            $(#[doc = $about] #[serde(rename = $name)] $group,)*
        }

        /// Every group, in the order reports show them.
        pub static GROUPS: &[GroupRow] = &[$(GroupRow {
            group: StageGroup::$group,
            name: $name,
            label: $label,
            variable: $variable,
            light: $light,
            dark: $dark,
            pale: $pale,
        },)*];

        impl StageGroup {
            /// Every group, in the order reports show them.
            pub const ALL: [StageGroup; [$($name),*].len()] = [$(StageGroup::$group),*];
        }
    };
}

groups! {
    Network = "network" shown as "network": "Connection steps, sending and one round trip per request.",
        "--network", 0x8647d1, 0x9a70dc, pale false;
    Queue = "queue" shown as "queue": "Waiting in the server's queue.",
        "--queue", 0xab901b, 0xe6bb4f, pale true;
    Prefill = "prefill" shown as "prefill": "Reading the prompt.",
        "--prefill", 0x3b7a69, 0x4fd0a8, pale false;
    Residue = "residue" shown as "unexplained": "The unexplained part of TTFT.",
        "--residue", 0x8d949e, 0x838a94, pale true;
    Decode = "decode" shown as "decode": "Streaming output, token by token, and its tail.",
        "--decode", 0x3f7fd6, 0x36a9fd, pale true;
    Tool = "tool" shown as "tools": "Tool calls.",
        "--tool", 0xb0560a, 0xd7762c, pale false;
    Harness = "harness" shown as "harness": "The agent harness itself.",
        "--harness", 0x30353c, 0xc3cad4, pale false;
    Wait = "wait" shown as "wait": "Backoff, retries, and the developer's own time.",
        "--wait", 0xc2247f, 0xe060b0, pale false;
}

impl StageGroup {
    /// Its row in the table.
    #[must_use]
    pub fn row(self) -> &'static GroupRow {
        &GROUPS[self as usize]
    }

    /// The name used in every machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The word used in sentences, legends and tables.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.row().label
    }
}

/// How a stage value came to be known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// From the client's own marks.
    Measured,
    /// From a duration the server reported.
    Reported,
    /// Fitted or bounded from other measurements.
    Estimated,
    /// Not known: the time is inside `residue`.
    Unavailable,
}

impl Provenance {
    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Provenance::Measured => "measured",
            Provenance::Reported => "reported",
            Provenance::Estimated => "estimated",
            Provenance::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_stage_or_group() {
        for row in STAGES {
            assert_eq!(row.stage.name(), row.name);
            assert_eq!(serde_json::to_value(row.stage).unwrap(), row.name);
        }
        for row in GROUPS {
            assert_eq!(row.group.name(), row.name);
            assert_eq!(serde_json::to_value(row.group).unwrap(), row.name);
        }
    }

    #[test]
    fn the_documentation_has_every_stage() {
        let text = include_str!("../../docs/run-directory.md");
        for row in STAGES {
            let StageRow {
                name, place, known, ..
            } = row;
            let group = row.group.name();
            let row = format!("| `{name}` | {group} | {place} | {known} |");
            assert!(text.contains(&row), "{row}");
        }
    }
}
