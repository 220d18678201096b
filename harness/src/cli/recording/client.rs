//! The client that is recorded.

use std::ffi::OsString;
use std::path::Path;

use timeslip_datasets::run::plan::PlannedAgent;

use crate::agents::{self, Adapter, Pointing, Values};
use crate::error::Error;

/// What a client is called that nobody names.
const UNNAMED: &str = "client";

/// Variables by which clients and SDKs that nothing is known of are pointed at a server: name,
/// and whether its value ends at the host.
const USUAL_VARIABLES: &[(&str, bool)] = &[
    ("ANTHROPIC_BASE_URL", true),
    ("GOOGLE_GEMINI_BASE_URL", true),
    ("OLLAMA_HOST", true),
    ("OPENAI_API_BASE", false),
    ("OPENAI_BASE_URL", false),
];

/// A client, as far as it is known.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    adapter: Option<Adapter>,
    program: Option<String>,
}

impl Client {
    /// The client of a name or a file, else the one whose program it is.
    ///
    /// # Errors
    /// As [`agents::find`].
    pub(in crate::cli) fn of(
        program: Option<&OsString>,
        named: Option<&str>,
    ) -> Result<Self, Error> {
        let file = program.and_then(|program| Path::new(program).file_name());
        let program = file.map(|file| file.to_string_lossy().into_owned());
        let adapter = match (named, &program) {
            (Some(named), _) => agents::find(named)?,
            (None, Some(program)) => {
                let mut shipped = agents::shipped()?.into_iter();
                shipped.find(|adapter| adapter.is_started_by(program))
            }
            (None, None) => None,
        };
        Ok(Client { adapter, program })
    }

    /// What it is called.
    pub(in crate::cli) fn name(&self) -> &str {
        let adapter = self.adapter.as_ref().map(|adapter| adapter.name.as_str());
        let program = self.program.as_deref();
        adapter.or(program).unwrap_or(UNNAMED)
    }

    /// What is known of it.
    pub(in crate::cli) fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// What the plan says of it; which version it is, nobody knows before it says so.
    ///
    /// # Errors
    /// As [`Adapter::planned`].
    pub(in crate::cli) fn planned(&self) -> Result<PlannedAgent, Error> {
        let known = self.adapter.as_ref().map(Adapter::planned).transpose()?;
        Ok(PlannedAgent {
            name: self.name().to_owned(),
            version: "unknown".to_owned(),
            adapter: known.map(|known| known.adapter).unwrap_or_default(),
        })
    }

    /// How it is pointed at a proxy: with the endpoint's protocol and a word for a key, or, of
    /// no endpoint, with its own sign-in.
    pub(in crate::cli) fn pointing(
        &self,
        way: Option<(&str, &str)>,
        values: &Values<'_>,
    ) -> Pointing {
        let Some(adapter) = &self.adapter else {
            let variables = USUAL_VARIABLES.iter().map(|(name, at_host)| {
                let value = if *at_host {
                    values.origin
                } else {
                    values.base_url
                };
                ((*name).to_owned(), value.to_owned())
            });
            return Pointing {
                environment: variables.collect(),
                ..Pointing::default()
            };
        };
        let Some((protocol, transport)) = way else {
            return adapter.signed_in(values);
        };
        let way = adapter
            .way(protocol, transport)
            .unwrap_or(&adapter.speaks[0]);
        adapter.pointing(way, values)
    }
}
