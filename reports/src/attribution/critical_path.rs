//! What a trial waited for: of all that went on at once, the chain that decided when it ended.
//!
//! The chain is followed backwards. What ended last before a request began is taken to be what
//! that request waited for; of a tool that started while its answer still came, the answer up
//! to the call. Where nothing overlaps, the chain is everything, in order. What is beside a
//! conversation (a title, a list of models) belongs to it only where nothing else went on.

use std::collections::{BTreeMap, BTreeSet};

use timeslip_datasets::run::journal::{Exchange, Tool};

/// Something that took time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub start: u64,
    pub end: u64,
    /// Whose it is.
    pub agent: u32,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a trial of a real client begins with.
    StartUp,
    /// A request and its answer.
    Exchange,
    /// One beside the conversation.
    Side,
    /// A tool call.
    Tool,
    /// A call that began this agent, whose work its time is.
    Delegation(u32),
}

impl Work {
    /// An exchange, whose stretches end at `end`.
    pub fn exchange(exchange: &Exchange, end: u64) -> Self {
        Work {
            start: exchange.marks.start,
            end,
            agent: exchange.agent.unwrap_or_default(),
            kind: match exchange.side {
                Some(_) => Kind::Side,
                None => Kind::Exchange,
            },
        }
    }

    /// A client's start-up, which is the first agent's.
    pub fn start_up(start: u64, end: u64) -> Self {
        Work {
            start,
            end,
            agent: 0,
            kind: Kind::StartUp,
        }
    }

    /// A tool call.
    pub fn tool(tool: &Tool) -> Self {
        Work {
            start: tool.start,
            end: tool.end,
            agent: tool.agent.unwrap_or_default(),
            kind: tool.began.map_or(Kind::Tool, Kind::Delegation),
        }
    }
}

/// A part of a work that the trial waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Place of the work in the list.
    pub work: usize,
    pub from: u64,
    pub to: u64,
}

/// The chain that ends at `wall`, in order; no two windows overlap.
pub(super) fn critical_path(works: &[Work], wall: u64) -> Vec<Window> {
    let family = Family::of(works);
    let mut earlier = Earlier::of(works);
    let mut path = Vec::new();
    let mut before = wall;
    let mut next = last(works, wall);
    while let Some(place) = next {
        let work = &works[place];
        earlier.remove(works, place);
        let to = work.end.min(before);
        before = work.start.min(to);
        path.push(Window {
            work: place,
            from: before,
            to,
        });
        // An agent's first request followed from the call that began it.
        let began = family.began(works, place);
        let (agent, until) = began.map_or((work.agent, before), |call| (call.agent, call.start));
        before = until.min(before);
        next = earlier.latest(works, before, agent, &family);
    }
    path.reverse();
    with_sides(path, works, wall)
}

/// Whether a work is part of a chain: what is beside a conversation is put in afterwards, and
/// the time of a call that began an agent is that agent's.
fn is_link(work: &Work) -> bool {
    !matches!(work.kind, Kind::Side | Kind::Delegation(_))
}

/// What a chain that ends at `wall` ends with. Whatever is still going on then is cut off there.
fn last(works: &[Work], wall: u64) -> Option<usize> {
    let counts = |work: &Work| match work.kind {
        Kind::StartUp => work.end <= wall,
        _ => work.start < wall,
    };
    let places = 0..works.len();
    let places = places.filter(|place| is_link(&works[*place]) && counts(&works[*place]));
    places.max_by_key(|place| (works[*place].end.min(wall), works[*place].start, *place))
}

/// By agent, the works to which a chain may still go back.
struct Earlier(BTreeMap<u32, OfAgent>);

#[derive(Default)]
struct OfAgent {
    /// Those that may have ended where the chain is: end, start, place.
    ended: BTreeSet<(u64, u64, usize)>,
    /// Exchanges that had not ended there: start, place.
    under_way: BTreeSet<(u64, usize)>,
}

impl Earlier {
    fn of(works: &[Work]) -> Self {
        let mut all = BTreeMap::<u32, OfAgent>::new();
        for (place, work) in works.iter().enumerate().filter(|(_, work)| is_link(work)) {
            let own = all.entry(work.agent).or_default();
            own.ended.insert((work.end, work.start, place));
        }
        Earlier(all)
    }

    fn remove(&mut self, works: &[Work], place: usize) {
        let Work {
            start, end, agent, ..
        } = works[place];
        if let Some(own) = self.0.get_mut(&agent) {
            own.ended.remove(&(end, start, place));
            own.under_way.remove(&(start, place));
        }
    }

    /// What ended last by `before`, of all that an agent and those it began did; of its own
    /// answers also one under way, in which a tool's call came. `before` only ever goes back.
    fn latest(
        &mut self,
        works: &[Work],
        before: u64,
        agent: u32,
        family: &Family,
    ) -> Option<usize> {
        let mut found = None;
        for (other, own) in &mut self.0 {
            if *other != agent && !family.descends(works, *other, agent) {
                continue;
            }
            own.go_back(works, before);
            let ended = own.ended.last().copied();
            let under_way = own.under_way.range(..(before, 0)).next_back();
            let under_way = under_way.filter(|_| *other == agent);
            let under_way = under_way.map(|(start, place)| (before, *start, *place));
            found = found.max(ended).max(under_way);
        }
        found.map(|(_, _, place)| place)
    }
}

impl OfAgent {
    /// Tells apart what has ended by `before` and what has not.
    fn go_back(&mut self, works: &[Work], before: u64) {
        while let Some((end, start, place)) = self.ended.last().copied() {
            if end <= before {
                return;
            }
            self.ended.pop_last();
            if works[place].kind == Kind::Exchange {
                self.under_way.insert((start, place));
            }
        }
    }
}

/// Who began whom, and by which call.
struct Family {
    /// By agent: the place of the call that began it.
    calls: BTreeMap<u32, usize>,
    /// By agent: the place of its first request.
    first: BTreeMap<u32, usize>,
}

impl Family {
    fn of(works: &[Work]) -> Self {
        let (mut calls, mut first) = (BTreeMap::new(), BTreeMap::<u32, usize>::new());
        for (place, work) in works.iter().enumerate() {
            match work.kind {
                Kind::Delegation(began) if began != work.agent => {
                    calls.entry(began).or_insert(place);
                }
                Kind::Exchange => {
                    let known = first.entry(work.agent).or_insert(place);
                    if work.start < works[*known].start {
                        *known = place;
                    }
                }
                _ => {}
            }
        }
        Family { calls, first }
    }

    /// The call that began the agent whose first request this work is.
    fn began<'w>(&self, works: &'w [Work], place: usize) -> Option<&'w Work> {
        let agent = works[place].agent;
        let is_first = self.first.get(&agent) == Some(&place);
        is_first.then(|| self.calls.get(&agent).map(|call| &works[*call]))?
    }

    /// Whether an agent is another one or was begun by it; one whose beginning nobody knows was
    /// begun by the first.
    fn descends(&self, works: &[Work], mut agent: u32, from: u32) -> bool {
        // Agents that began each other would go round.
        for _ in 0..=self.calls.len() {
            if agent == from {
                return true;
            }
            agent = match self.calls.get(&agent) {
                Some(call) => works[*call].agent,
                None => return from == 0,
            };
        }
        false
    }
}

/// Puts what is beside a conversation where nothing else went on.
fn with_sides(path: Vec<Window>, works: &[Work], wall: u64) -> Vec<Window> {
    let mut sides: Vec<Window> = Vec::new();
    for (place, work) in works.iter().enumerate() {
        if work.kind == Kind::Side && work.start < wall {
            sides.push(Window {
                work: place,
                from: work.start,
                to: work.end.min(wall),
            });
        }
    }
    sides.sort_by_key(|window| (window.from, window.to));
    let mut all = path;
    for side in sides {
        let place = all.partition_point(|window| window.to <= side.from);
        if all.get(place).is_none_or(|next| side.to <= next.from) {
            all.insert(place, side);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn work(start: u64, end: u64, agent: u32, kind: Kind) -> Work {
        Work {
            start,
            end,
            agent,
            kind,
        }
    }

    fn path(works: &[Work], wall: u64) -> Vec<(usize, u64, u64)> {
        let windows = critical_path(works, wall).into_iter();
        windows
            .map(|window| (window.work, window.from, window.to))
            .collect()
    }

    #[test]
    fn what_follows_one_another_is_all_of_the_path() {
        let works = [
            work(10, 20, 0, Kind::Exchange),
            work(21, 30, 0, Kind::Tool),
            work(30, 40, 0, Kind::Exchange),
        ];
        assert_eq!(path(&works, 50), [(0, 10, 20), (1, 21, 30), (2, 30, 40)]);
    }

    #[test]
    fn a_tool_that_starts_early_takes_the_answer_up_to_its_call() {
        let works = [
            work(0, 100, 0, Kind::Exchange),
            work(40, 150, 0, Kind::Tool),
            work(150, 200, 0, Kind::Exchange),
        ];
        assert_eq!(path(&works, 200), [(0, 0, 40), (1, 40, 150), (2, 150, 200)]);
        // One that is over before its answer held nothing up.
        let works = [
            work(0, 100, 0, Kind::Exchange),
            work(40, 60, 0, Kind::Tool),
            work(101, 200, 0, Kind::Exchange),
        ];
        assert_eq!(path(&works, 200), [(0, 0, 100), (2, 101, 200)]);
    }

    #[test]
    fn of_parallel_tools_the_longest_counts() {
        let works = [
            work(0, 100, 0, Kind::Exchange),
            work(50, 110, 0, Kind::Tool),
            work(90, 300, 0, Kind::Tool),
            work(300, 350, 0, Kind::Exchange),
        ];
        assert_eq!(path(&works, 350), [(0, 0, 90), (2, 90, 300), (3, 300, 350)]);
    }

    #[test]
    fn of_parallel_agents_the_last_one_counts() {
        let began = Kind::Delegation;
        let works = [
            work(0, 100, 0, Kind::Exchange),
            work(60, 500, 0, began(1)),
            work(90, 500, 0, began(2)),
            work(65, 200, 1, Kind::Exchange),
            work(110, 300, 2, Kind::Exchange),
            work(300, 350, 2, Kind::Tool),
            work(360, 480, 2, Kind::Exchange),
            work(210, 470, 1, Kind::Exchange),
            work(500, 600, 0, Kind::Exchange),
        ];
        assert_eq!(
            path(&works, 600),
            [
                (0, 0, 90),
                (4, 110, 300),
                (5, 300, 350),
                (6, 360, 480),
                (8, 500, 600)
            ]
        );
    }

    #[test]
    fn what_is_beside_counts_where_nothing_else_went_on() {
        let works = [
            work(0, 40, 0, Kind::Side),
            work(50, 100, 0, Kind::Exchange),
            work(55, 105, 0, Kind::Side),
            work(110, 200, 0, Kind::Exchange),
        ];
        assert_eq!(path(&works, 200), [(0, 0, 40), (1, 50, 100), (3, 110, 200)]);
    }

    prop_compose! {
        fn any_work()(start in 0_u64..1000, length in 0_u64..400, agent in 0_u32..5, kind in 0_u8..4, began in 0_u32..5) -> Work {
            let kind = match kind {
                0 => Kind::Tool,
                1 => Kind::Delegation(began),
                2 => Kind::Side,
                _ => Kind::Exchange,
            };
            work(start, start + length, agent, kind)
        }
    }

    /// The same by looking at everything in each step.
    fn by_looking_at_all(works: &[Work], wall: u64) -> Vec<usize> {
        let family = Family::of(works);
        let mut left: BTreeSet<usize> = (0..works.len()).collect();
        let (mut path, mut before, mut next) = (Vec::new(), wall, last(works, wall));
        while let Some(place) = next.filter(|place| left.remove(place)) {
            path.push(place);
            let work = &works[place];
            before = work.start.min(work.end.min(before));
            let began = family.began(works, place);
            let (agent, until) =
                began.map_or((work.agent, before), |call| (call.agent, call.start));
            before = until.min(before);
            let counts = |other: &Work| match other.kind {
                Kind::Exchange if other.agent == agent => {
                    other.start < before || other.end <= before
                }
                _ => other.end <= before && family.descends(works, other.agent, agent),
            };
            let counting = left.iter().copied();
            let counting =
                counting.filter(|place| is_link(&works[*place]) && counts(&works[*place]));
            next = counting
                .max_by_key(|place| (works[*place].end.min(before), works[*place].start, *place));
        }
        path
    }

    #[test]
    fn a_trial_of_a_hundred_thousand_calls_is_followed_at_once() {
        let works: Vec<Work> = (0..200_000)
            .map(|at| {
                work(
                    at,
                    at + 1,
                    0,
                    if at % 2 == 0 {
                        Kind::Exchange
                    } else {
                        Kind::Tool
                    },
                )
            })
            .collect();
        assert_eq!(path(&works, 200_000).len(), works.len());
    }

    proptest! {
        #[test]
        fn nothing_is_missed(works in proptest::collection::vec(any_work(), 0..20), wall in 0_u64..1500) {
            let mut expected = by_looking_at_all(&works, wall);
            expected.reverse();
            let sides = |place: &usize| works[*place].kind != Kind::Side;
            let found = path(&works, wall).into_iter().map(|(place, ..)| place);
            prop_assert_eq!(found.filter(sides).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn a_path_is_in_order_and_within_the_trial(works in proptest::collection::vec(any_work(), 0..12), wall in 0_u64..1500) {
            let mut at = 0;
            for window in critical_path(&works, wall) {
                prop_assert!(window.from >= at && window.to >= window.from && window.to <= wall);
                prop_assert!(works[window.work].start <= window.from && window.to <= works[window.work].end);
                at = window.to;
            }
        }

        #[test]
        fn a_trial_that_never_does_two_things_at_once_is_whole(lengths in proptest::collection::vec((0_u64..50, 1_u64..200, any::<bool>()), 1..20)) {
            let (mut at, mut works) = (0, Vec::new());
            for (gap, length, is_tool) in lengths {
                let kind = if is_tool { Kind::Tool } else { Kind::Exchange };
                works.push(work(at + gap, at + gap + length, 0, kind));
                at += gap + length;
            }
            let whole: Vec<_> = works.iter().enumerate().map(|(place, work)| (place, work.start, work.end)).collect();
            prop_assert_eq!(path(&works, at), whole);
        }
    }
}
