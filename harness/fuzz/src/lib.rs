//! What every target does with its bytes: they are the body of a response.

use timeslip::exchange::split::{Piece, Splitter};
use timeslip::protocols::{self, Answer, Framing, Item, Protocol, Request, Step, StreamError};

/// Takes a body apart, whole and in pieces, which must mean the same, and says the
/// answer again as context.
pub fn respond(protocol: &str, body: &[u8]) {
    let protocol = protocols::by_name(protocol).expect("a known protocol");
    let (steps, answer) = decode(protocol, std::iter::once(body));
    let size = 1 + body.len() % 7;
    assert_eq!(
        (steps, answer.clone()),
        decode(protocol, body.chunks(size)),
        "in pieces of {size}"
    );
    repeat(protocol, answer);
}

fn decode<'a>(
    protocol: &dyn Protocol,
    reads: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Result<Step, StreamError>>, Answer) {
    let mut splitter = Splitter::new(protocol.format());
    let mut decoder = protocol.decoder();
    let mut steps: Vec<Result<Step, StreamError>> = Vec::new();
    for read in reads {
        let fed = splitter.feed(read, |piece| {
            let over = |step: &Result<Step, StreamError>| step.as_ref().map_or(true, |step| step.done);
            if steps.last().is_some_and(over) {
                return;
            }
            if let Piece::Payload(payload) = piece {
                steps.push(decoder.payload(payload));
            }
        });
        if fed.is_err() {
            break;
        }
    }
    (steps, decoder.answer())
}

/// The next request must be one whatever the model said.
fn repeat(protocol: &dyn Protocol, answer: Answer) {
    let results = answer.calls.into_iter().map(|call| Item::ToolResult {
        call_id: call.call_id,
        output: "result".into(),
    });
    let items: Vec<Item> = answer
        .items
        .into_iter()
        .map(Item::Output)
        .chain(results)
        .collect();
    let request = Request {
        model: "m",
        instructions: "i",
        tools: &[],
        items: &items,
        previous: None,
        cache_key: "k",
        extra: &Default::default(),
        warm_up: false,
        lane: None,
    };
    assert!(!protocol.encode(&request, Framing::Http).is_empty());
}
