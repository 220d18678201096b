//! What the client itself costs: what it asks beside the work, and what lies between an
//! answer and the next request.

use std::collections::BTreeMap;

use timeslip_datasets::run::journal::{AgentRun, Exchange, Tool, Trial};

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
        cpu_ns: used(trial, |run| run.cpu_ns, u64::saturating_add),
        peak_memory_bytes: used(trial, |run| run.peak_memory_bytes, u64::max),
        ..ClientCost::default()
    };
    for exchange in exchanges() {
        if let Some(bytes) = exchange.request_bytes {
            cost.request_bytes.add(bytes);
        }
        let usage = exchange.usage.as_ref();
        if let Some(tokens) = usage.and_then(|usage| usage.input()) {
            cost.prompt_tokens.add(tokens);
            if let Some(cached) = usage.and_then(|usage| usage.cached_tokens) {
                let all = &mut cost.cached_prompt_tokens;
                all.part = all.part.saturating_add(cached.min(tokens));
                all.whole = all.whole.saturating_add(tokens);
            }
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
        let to = exchange.marks.start;
        let gap = to.saturating_sub(from);
        cost.between_turns_ns.add(gap);
        let own = |tool: &&Tool| tool.turn == answered.turn && tool.agent == answered.agent;
        let tools: Vec<&Tool> = trial.tools.iter().filter(own).collect();
        if let Some(ran) = lives(&tools) {
            let (inside, last) = ran.within(from, to);
            let overhead = gap - inside;
            let after = to.saturating_sub(last.unwrap_or(from)).min(overhead);
            cost.turn_overhead_ns.add(overhead);
            if last.is_some() {
                cost.after_tools_ns.add(after);
                cost.before_tools_ns.add(overhead - after);
            }
        } else if let Some(tools) = tools_ns(&tools) {
            cost.turn_overhead_ns.add(gap.saturating_sub(tools));
        }
    }
    cost
}

/// What the runs of an agent used, where it is known of each.
fn used(trial: &Trial, of: fn(&AgentRun) -> Option<u64>, both: fn(u64, u64) -> u64) -> Option<u64> {
    let known: Option<Vec<u64>> = trial.agent_runs.iter().map(of).collect();
    known?.into_iter().reduce(both)
}

/// When tools ran themselves, in the order of their starts; `None` where that is not known of
/// one of them.
fn lives(tools: &[&Tool]) -> Option<Lives> {
    let lives = tools.iter().map(|tool| {
        // One that was killed, or that goes on, ran until the end.
        Some((tool.command_start?, tool.command_end.unwrap_or(tool.end)))
    });
    let mut lives: Vec<(u64, u64)> = lives.collect::<Option<_>>()?;
    lives.sort_unstable();
    Some(Lives(lives))
}

struct Lives(Vec<(u64, u64)>);

impl Lives {
    /// For how much of a time any of them ran, and when the last one had ended in it.
    fn within(&self, from: u64, to: u64) -> (u64, Option<u64>) {
        let (mut inside, mut at) = (0, from);
        for (start, end) in &self.0 {
            let (start, end) = ((*start).clamp(at, to.max(at)), (*end).clamp(at, to.max(at)));
            inside += end - start;
            at = end;
        }
        (inside, (!self.0.is_empty()).then_some(at))
    }
}

/// How long the tools of an answer took themselves, of several that ran at once the longest;
/// `None` where that is not known of one of them.
fn tools_ns(tools: &[&Tool]) -> Option<u64> {
    let mut at = 0;
    let mut total = 0;
    for tool in tools {
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
    fn what_lies_before_and_after_the_processes_of_tools_is_told_apart() {
        let tool = |command_start, command_end| Tool {
            turn: 1,
            agent: Some(0),
            start: 90,
            end: 190,
            command_start,
            command_end,
            ..Tool::default()
        };
        let cost = |tools: Vec<Tool>| {
            let cost = client_cost(&trial(
                400,
                vec![turn(1, 0, 90, 100), turn(2, 190, 250, 260)],
                tools,
            ));
            let parts = [cost.before_tools_ns, cost.after_tools_ns];
            let parts = parts.map(|total| (total.count > 0).then_some(total.sum));
            (cost.turn_overhead_ns.sum, parts)
        };
        let at = |start, end| tool(Some(start), Some(end));
        assert_eq!(cost(vec![at(95, 180)]), (15, [Some(5), Some(10)]));
        // One after the other, and what lies between is no tool either.
        let two = vec![at(95, 100), at(120, 180)];
        assert_eq!(cost(two), (35, [Some(25), Some(10)]));
        let at_once = vec![at(95, 150), at(96, 180)];
        assert_eq!(cost(at_once), (15, [Some(5), Some(10)]));
        // It began before the last call of the answer had come.
        assert_eq!(cost(vec![at(50, 180)]), (10, [Some(0), Some(10)]));
        assert_eq!(cost(vec![tool(Some(95), None)]), (5, [Some(5), Some(0)]));
        assert_eq!(cost(vec![at(95, 180), tool(None, None)]), (0, [None, None]));
    }

    #[test]
    fn what_an_agent_used_is_known_where_it_is_known_of_each_run() {
        let run = |cpu_ns, peak_memory_bytes| AgentRun {
            cpu_ns,
            peak_memory_bytes,
            ..AgentRun::default()
        };
        let of = |runs: Vec<AgentRun>| {
            let mut trial = trial(10, Vec::new(), Vec::new());
            trial.agent_runs = runs;
            let cost = client_cost(&trial);
            (cost.cpu_ns, cost.peak_memory_bytes)
        };
        let both = vec![run(Some(1), Some(30)), run(Some(2), Some(20))];
        assert_eq!(of(both), (Some(3), Some(30)));
        assert_eq!(
            of(vec![run(Some(1), Some(30)), run(None, None)]),
            (None, None)
        );
        assert_eq!(of(Vec::new()), (None, None));
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
        let of = |tools: [Tool; 2]| tools_ns(&tools.each_ref());
        assert_eq!(of([tool(10, 100, 80), tool(10, 100, 60)]), Some(80));
        assert_eq!(of([tool(10, 50, 30), tool(60, 100, 20)]), Some(50));
    }
}
