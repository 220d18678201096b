//! Arbitrary bytes as the body of a response, streamed and whole, and as that of a request, in
//! every protocol: the first byte picks one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timeslip_wire::framing::{Piece, Splitter};
use timeslip_wire::protocols::{
    Answer, Item, PROTOCOLS, PayloadMeaning, Protocol, Request, RequestForm, RequestSeen,
    StreamError,
};

fuzz_target!(|data: &[u8]| {
    if let Some((first, body)) = data.split_first() {
        let protocol = PROTOCOLS[usize::from(*first) % PROTOCOLS.len()];
        respond(protocol, body);
        respond_whole(protocol, body);
        ask(protocol, body);
    }
});

/// Reads a body as an answer that was not streamed.
fn respond_whole(protocol: &dyn Protocol, body: &[u8]) {
    let mut decoder = protocol.decoder();
    let mut payloads = protocol.whole(body).into_iter();
    if payloads.all(|payload| decoder.payload(&payload).is_ok()) {
        repeat(protocol, decoder.answer());
    }
}

/// Reads a body as a request.
fn ask(protocol: &dyn Protocol, body: &[u8]) {
    let path = format!("{}{}", protocol.base_path(), protocol.path("m"));
    let _ = RequestSeen::read(&path, body);
    let _ = RequestSeen::read("/", body);
}

/// Takes a body apart, whole and in pieces, which must mean the same, and says the
/// answer again as context.
fn respond(protocol: &dyn Protocol, body: &[u8]) {
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
) -> (Vec<Result<PayloadMeaning, StreamError>>, Answer) {
    let mut splitter = Splitter::new(protocol.format());
    let mut decoder = protocol.decoder();
    let mut steps: Vec<Result<PayloadMeaning, StreamError>> = Vec::new();
    for read in reads {
        let fed = splitter.feed(read, |piece| {
            let over = |step: &Result<PayloadMeaning, StreamError>| step.as_ref().map_or(true, |step| step.done);
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
    assert!(!protocol.encode(&request, RequestForm::Http).is_empty());
}
