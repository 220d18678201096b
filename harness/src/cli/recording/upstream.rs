//! Who is asked by the client that is recorded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Map;
use timeslip_datasets::options::{EndpointOptions, TrialLimits};
use timeslip_datasets::run::journal::{StampSource, TrialKey};
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint, PlannedSuite};
use timeslip_proxy::Upstream;
use timeslip_simulator::Running;
use timeslip_suites::Suite;
use timeslip_wire::connection::Target;
use timeslip_wire::{Redaction, protocols};

use super::Client;
use crate::error::Error;
use crate::record::Spoken;
use crate::run::config::{Config, credentials};
use crate::run::endpoints;
use crate::run::plan::{self, Overrides};

/// The suite of what was recorded.
const SUITE: &str = "recorded";

/// The model of a client that chooses it itself.
const ITS_OWN: &str = "(the client's choice)";

/// Who is asked, and whether with the client's own sign-in.
#[derive(Debug)]
pub(in crate::cli) struct Asked {
    planned: PlannedEndpoint,
    is_endpoint: bool,
}

/// The same, open.
pub(in crate::cli) struct Opened {
    /// Where the proxy sends requests.
    pub upstream: Upstream,
    /// What must not be written down.
    pub redaction: Redaction,
    /// Ends with this.
    pub server: Option<Running>,
}

impl Asked {
    /// The endpoint of a name, the server of a URL, or where the client asks by itself.
    ///
    /// # Errors
    /// [`Error::Config`] for a name or a URL that is none, and where nobody says who is asked.
    pub(in crate::cli) fn of(
        config: &Config,
        endpoint: Option<&str>,
        url: Option<&str>,
        client: &Client,
    ) -> Result<Self, Error> {
        if let Some(name) = endpoint {
            let overrides = Overrides {
                endpoints: vec![name.to_owned()],
                ..Overrides::default()
            };
            let [planned] = <[PlannedEndpoint; 1]>::try_from(plan::endpoints(config, &overrides)?)
                .map_err(|_| wrong("--endpoint", "names more than one".to_owned()))?;
            return Ok(Asked {
                planned: plan::arm(client.adapter(), &planned, false)?,
                is_endpoint: true,
            });
        }
        let sign_in = client
            .adapter()
            .and_then(|adapter| adapter.sign_in.as_ref());
        let by_itself = || sign_in?.upstream(|name| std::env::var(name).ok());
        let url = url.or_else(by_itself).ok_or_else(|| {
            let problem = format!(
                "where {} asks is not known; say it by --upstream URL, or by --endpoint NAME",
                client.name()
            );
            wrong("record", problem)
        })?;
        let target = Target::parse(url).map_err(|problem| wrong("--upstream", problem))?;
        credentials::check_url(url, &target.query)
            .map_err(|problem| wrong("--upstream", problem))?;
        let protocol = sign_in.map(|own| own.protocol.clone());
        let first = client
            .adapter()
            .map(|adapter| adapter.speaks[0].protocol.clone());
        let protocol = protocol.or(first);
        let protocol = protocol.or_else(|| protocols::names().next().map(str::to_owned));
        let planned = PlannedEndpoint {
            name: target.host.clone(),
            simulate: None,
            base_url: Some(url.to_owned()),
            model: ITS_OWN.to_owned(),
            protocol: protocol.unwrap_or_default(),
            transport: "http-sse".to_owned(),
            options: EndpointOptions::default(),
            api_key_env: None,
            ca_file: None,
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            body: Map::new(),
            price: None,
            agent: None,
        };
        Ok(Asked {
            planned,
            is_endpoint: false,
        })
    }

    /// The protocol and the transport that the client has to speak; none where it asks as it
    /// does by itself.
    pub(in crate::cli) fn way(&self) -> Option<(&str, &str)> {
        let planned = &self.planned;
        self.is_endpoint
            .then_some((&*planned.protocol, &*planned.transport))
    }

    /// The model to ask for.
    pub(in crate::cli) fn model(&self) -> &str {
        &self.planned.model
    }

    /// Tokens of a conversation that it takes.
    pub(in crate::cli) fn context_tokens(&self) -> u64 {
        self.planned.options.context_tokens
    }

    /// The name under which a simulated one logs.
    pub(in crate::cli) fn simulated(&self) -> Option<&str> {
        self.planned.simulate.as_ref()?;
        Some(&self.planned.name)
    }

    /// The plan of a recording, and its one trial.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be written.
    pub(in crate::cli) fn plan(&self, client: &Client) -> Result<(Plan, TrialKey), Error> {
        let suite = BTreeMap::from([
            ("name", SUITE),
            ("source", "a client, by `timeslip record`"),
        ]);
        let suite = PlannedSuite::of(&suite).map_err(|error| wrong(SUITE, error.to_string()))?;
        let trial = TrialKey {
            suite: SUITE.to_owned(),
            task: client.name().to_owned(),
            endpoint: self.planned.name.clone(),
            attempt: 1,
        };
        let plan = Plan {
            suites: vec![suite],
            endpoints: vec![PlannedEndpoint {
                agent: Some(client.planned()?),
                ..self.planned.clone()
            }],
            attempts: 1,
            concurrency: 1,
            arrivals: StampSource::default(),
            seed: 1,
            limits: TrialLimits::default(),
            suite_limits: BTreeMap::new(),
            trials: vec![trial.clone()],
            tags: BTreeMap::new(),
        };
        Ok((plan, trial))
    }

    /// Opens it; a simulated one logs to `log`.
    ///
    /// # Errors
    /// As [`endpoints::open`].
    pub(in crate::cli) fn open(
        &self,
        suites: &[Suite],
        log: Option<&Path>,
    ) -> Result<Opened, Error> {
        let (endpoint, server) = endpoints::open(&self.planned, 1, suites, log)?;
        let redaction = endpoint.redaction();
        let upstream = match self.is_endpoint {
            true => endpoints::upstream(&endpoint),
            false => Upstream::at_its_own_path(endpoint.target),
        };
        Ok(Opened {
            upstream,
            redaction,
            server,
        })
    }
}

/// Says in a recording's plan how its client asked, which is known only afterwards.
pub(in crate::cli) fn say_as_spoken(plan: &mut Plan, spoken: Spoken) {
    let Spoken {
        protocol,
        transport,
        model,
    } = spoken;
    for endpoint in &mut plan.endpoints {
        endpoint.protocol = protocol.to_owned();
        endpoint.transport.clone_from(&transport);
        if let Some(model) = &model {
            endpoint.model.clone_from(model);
        }
    }
}

impl Opened {
    /// The proxy's own URLs: as far as the host, and the base URL that stands for the
    /// upstream's.
    pub(in crate::cli) fn urls(&self, address: SocketAddr) -> (String, String) {
        let origin = format!("http://{address}");
        let base_url = format!("{origin}{}", self.upstream.mount);
        (origin, base_url)
    }
}

fn wrong(place: &str, problem: String) -> Error {
    Error::Config {
        place: place.to_owned(),
        problem,
    }
}
