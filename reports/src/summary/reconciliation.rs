//! The server's own times against the client's marks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::ExchangeData;
use crate::format::NS_PER_MS;
use crate::stats::Distribution;

/// What is left of the client's times when the server's are taken away. Both are
/// durations, each on its own clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reconciliation {
    /// Client TTFT − what the server reports before its first token: network, first
    /// decode step, whatever the server left out.
    pub ttft_beyond_server_ms: Distribution,
    /// Client first → last token − the server's generation time. Around one token
    /// below zero where the server counts the first token, too.
    pub decode_beyond_server_ms: Distribution,
    /// Exchanges in which the server reports more time than the marks leave room for.
    pub contradictions: usize,
}

impl Reconciliation {
    /// `None` when no exchange has a time to compare.
    #[must_use]
    pub fn of<'a>(exchanges: impl Iterator<Item = &'a ExchangeData> + Clone) -> Option<Self> {
        let beyond = |own: fn(&ExchangeData) -> Option<u64>,
                      server: fn(&ExchangeData) -> Option<u64>| {
            let differences = exchanges.clone().filter_map(move |exchange| {
                Some((own(exchange)? as f64 - server(exchange)? as f64) / NS_PER_MS)
            });
            Distribution::of(differences)
        };
        let reconciliation = Reconciliation {
            ttft_beyond_server_ms: beyond(
                |exchange| exchange.ttft_ns,
                |exchange| exchange.reported.before_first_token_ns(),
            ),
            decode_beyond_server_ms: beyond(
                |exchange| exchange.decode_ns,
                |exchange| exchange.reported.decode_ns,
            ),
            contradictions: exchanges.filter(|exchange| exchange.contradicted).count(),
        };
        let compared = [
            &reconciliation.ttft_beyond_server_ms,
            &reconciliation.decode_beyond_server_ms,
        ];
        compared
            .iter()
            .any(|distribution| distribution.n > 0)
            .then_some(reconciliation)
    }
}
