//! What the client itself costs: what it asks beside the work, and what lies between an
//! answer and the next request.

use std::collections::BTreeMap;

use timeslip_datasets::run::journal::{Exchange, Tool, Trial};

use crate::data::{ClientCost, Total};

/// What the client of a trial did.
pub(crate) fn client_cost(trial: &Trial) -> ClientCost {
    let exchanges = || trial.exchanges.iter();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let is_opening = |exchange: &&Exchange| exchange.lane.is_none() && !exchange.reused_connection;
    let mut cost = ClientCost {
        requests: count(trial.exchanges.len()),
        side_requests: count(
            exchanges()
                .filter(|exchange| exchange.side.is_some())
                .count(),
        ),
        connections: count(exchanges().filter(is_opening).count()),
        ..ClientCost::default()
    };
    for exchange in exchanges() {
        if let Some(bytes) = exchange.request_bytes {
            cost.request_bytes.add(bytes);
        }
    }
    let mut before: BTreeMap<Option<u32>, &Exchange> = BTreeMap::new();
    let is_turn = |exchange: &&Exchange| {
        exchange.side.is_none() && !exchange.warm_up && exchange.backoff_until.is_none()
    };
    for exchange in exchanges().filter(is_turn) {
        let Some(answered) = before.insert(exchange.agent, exchange) else {
            continue;
        };
        let last_call = answered.calls.iter().map(|call| call.at).max();
        let from = last_call.unwrap_or(answered.marks.done);
        let gap = exchange.marks.start.saturating_sub(from);
        cost.between_turns_ns.add(gap);
        if let Some(tools) = tools_ns(&trial.tools, answered) {
            cost.turn_overhead_ns.add(gap.saturating_sub(tools));
        }
    }
    cost
}

/// How long the tools of an answer took themselves, of several that ran at once the longest;
/// `None` where that is not known of one of them.
fn tools_ns(tools: &[Tool], answered: &Exchange) -> Option<u64> {
    let mut at = 0;
    let mut total = 0;
    let is_own = |tool: &&Tool| tool.turn == answered.turn && tool.agent == answered.agent;
    for tool in tools.iter().filter(is_own) {
        let marks = tool.command_start.zip(tool.command_end.or(Some(tool.end)));
        let own = marks.map(|(start, end)| end.saturating_sub(start));
        let own = own.or(tool.reported_ns)?;
        match tool.start >= at {
            true => total += own,
            false => total = total.max(own),
        }
        at = tool.end;
    }
    Some(total)
}

impl Total {
    fn add(&mut self, value: u64) {
        self.sum = self.sum.saturating_add(value);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::tests::trial;
    use timeslip_datasets::run::journal::{CallArrival, Marks};

    fn turn(turn: u32, start: u64, call: u64, done: u64) -> Exchange {
        Exchange {
            turn,
            agent: Some(0),
            request_bytes: Some(100),
            reused_connection: turn > 1,
            calls: vec![CallArrival {
                call_id: "c".into(),
                name: "shell".into(),
                at: call,
            }],
            marks: Marks {
                start,
                done,
                ..Marks::default()
            },
            ..Exchange::default()
        }
    }

    #[test]
    fn what_lies_between_turns_is_counted_with_and_without_tools() {
        let title = Exchange {
            side: Some("title".into()),
            ..turn(0, 5, 5, 50)
        };
        let tool = |turn, start, end, reported_ns| Tool {
            turn,
            agent: Some(0),
            start,
            end,
            reported_ns,
            ..Tool::default()
        };
        let exchanges = vec![
            title,
            turn(1, 0, 90, 100),
            turn(2, 190, 250, 260),
            turn(3, 300, 310, 320),
        ];
        let tools = vec![tool(1, 90, 190, Some(70)), tool(2, 250, 300, None)];
        let cost = client_cost(&trial(400, exchanges, tools));
        assert_eq!(
            (cost.requests, cost.side_requests, cost.connections),
            (4, 1, 2)
        );
        assert_eq!(cost.request_bytes, Total { sum: 400, count: 4 });
        assert_eq!(
            cost.between_turns_ns,
            Total {
                sum: 100 + 50,
                count: 2
            }
        );
        assert_eq!(cost.turn_overhead_ns, Total { sum: 30, count: 1 });
    }

    #[test]
    fn parallel_tools_count_once() {
        let tool = |start, end, reported_ns| Tool {
            turn: 1,
            agent: Some(0),
            start,
            end,
            reported_ns: Some(reported_ns),
            ..Tool::default()
        };
        let answered = turn(1, 0, 10, 10);
        let parallel = [tool(10, 100, 80), tool(10, 100, 60)];
        assert_eq!(tools_ns(&parallel, &answered), Some(80));
        let in_turn = [tool(10, 50, 30), tool(60, 100, 20)];
        assert_eq!(tools_ns(&in_turn, &answered), Some(50));
    }
}
