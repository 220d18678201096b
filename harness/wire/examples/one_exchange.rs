//! Times one exchange and prints its marks.
//!
//! `cargo run -p timeslip-wire --example one_exchange -- http://127.0.0.1:8321/v1 MODEL`
//!
//! Speaks Responses over HTTP. A key is taken from the environment variable `API_KEY`, where
//! it is set.

use std::error::Error;
use std::time::Duration;

use timeslip_datasets::options::EndpointOptions;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{Item, PROTOCOLS};
use timeslip_wire::transports::TRANSPORTS;
use timeslip_wire::{Endpoint, Secret, Session, clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("give a base URL")?;
    let endpoint = Endpoint {
        name: "example".into(),
        target: Target::parse(&url)?,
        model: arguments.next().unwrap_or_else(|| "steady".into()),
        protocol: PROTOCOLS[0],
        transport: TRANSPORTS[0],
        options: EndpointOptions::default(),
        shared: None,
        key: std::env::var("API_KEY").ok().map(Secret),
        headers: Vec::new(),
        secrets: Vec::new(),
        extra: serde_json::Map::new(),
        idle_timeout: Duration::from_secs(60),
    };
    let mut session = Session::new(&endpoint, "example#1".into(), clock::now());
    let items = [Item::User("Say hello.".into())];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    let mut exchanges = Vec::new();
    let answer = session
        .ask(1, "Be brief.", &[], &items, deadline, |exchange| {
            exchanges.push(exchange);
        })
        .await?;
    println!("{} characters of text", answer.text.chars().count());
    for exchange in exchanges {
        // Nanoseconds since the session began.
        println!("{:#?}", exchange.marks);
        println!("{} output events", exchange.events.as_slice().len());
    }
    Ok(())
}
