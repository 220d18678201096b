//! A conversation that only goes on.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::protocols::Item;
use timeslip_wire::{Endpoint, Failure, Session, clock};
use tokio::time::Instant;

/// A conversation in which every answer is followed by one more thing the user says.
pub struct Talk {
    pub session: Session,
    pub items: Vec<Item>,
    turn: u32,
    pub exchanges: Vec<Exchange>,
}

pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

impl Talk {
    pub fn new(endpoint: &Endpoint) -> Self {
        Talk {
            session: Session::new(endpoint, "key#1".into(), clock::now()),
            items: vec![Item::User("do it".into())],
            turn: 0,
            exchanges: Vec::new(),
        }
    }

    pub async fn warm_up(&mut self) {
        let exchanges = &mut self.exchanges;
        self.session
            .warm_up("instructions", &[], deadline(), |exchange| {
                exchanges.push(exchange);
            })
            .await;
    }

    pub async fn turn(&mut self) -> Result<(), Failure> {
        self.turn += 1;
        let exchanges = &mut self.exchanges;
        let answer = self
            .session
            .ask(
                self.turn,
                "instructions",
                &[],
                &self.items,
                deadline(),
                |exchange| exchanges.push(exchange),
            )
            .await?;
        self.items
            .extend(answer.items.into_iter().map(Item::Output));
        self.items.push(Item::User("go on".into()));
        Ok(())
    }

    pub async fn pause(&mut self) {
        self.session
            .during(tokio::time::sleep(Duration::from_millis(100)))
            .await;
    }

    pub fn waited_ns(&self) -> u64 {
        let waits = self.exchanges.iter();
        waits
            .filter_map(|exchange| Some(exchange.backoff_until? - exchange.marks.done))
            .sum()
    }
}
