//! What one client's connection has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use timeslip_wire::connection::{self, Application, Connection, Probe};

use crate::told::{Id, Teller};
use crate::upstream::Upstream;

/// How long a connection to the upstream may take.
const MAX_CONNECTING: Duration = Duration::from_secs(30);

/// One client's way to the upstream.
#[derive(Debug)]
pub struct Way {
    pub upstream: Arc<Upstream>,
    pub teller: Teller,
    /// Times of the client's connection.
    pub client: Arc<Probe>,
    connection: u64,
    requests: AtomicU64,
}

impl Way {
    /// The way of the client whose connection has this number.
    pub fn new(
        upstream: Arc<Upstream>,
        teller: Teller,
        client: Arc<Probe>,
        connection: u64,
    ) -> Self {
        Way {
            upstream,
            teller,
            client,
            connection,
            requests: AtomicU64::new(0),
        }
    }

    /// Names the next request.
    pub fn next(&self) -> Id {
        Id {
            connection: self.connection,
            request: self.requests.fetch_add(1, Relaxed),
        }
    }

    /// Opens a connection to the upstream.
    pub async fn open(&self, application: Application) -> Result<Connection, String> {
        let opening = connection::open(&self.upstream.target, application);
        let opened = tokio::time::timeout(MAX_CONNECTING, opening).await;
        opened.unwrap_or_else(|_| {
            let (host, time) = (self.upstream.target.authority(), MAX_CONNECTING);
            Err(format!("no connection to {host} within {time:?}"))
        })
    }
}
