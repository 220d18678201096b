//! Which agent and which turn a request is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use timeslip_wire::protocols::{Digest, ItemKind, ItemSeen, RequestSeen};

use super::clients::{self, Begun, Identity, Key};
use super::context::Context;
use super::sides::{self, Side};
use super::{AnsweredCall, Asked};

/// Requests, and calls, that are looked back at.
const LOOK_BACK: usize = 256;
/// Bytes from which on a text that is found again was handed on, and not found by chance.
const TELLING: usize = 8;
/// The same of a line of a summary.
const TELLING_LINE: usize = 16;

/// All requests of a recording, told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversations {
    /// The agents, in the order of their first requests.
    pub agents: Vec<Agent>,
    /// What each request is, in the order in which they were given.
    pub placed: Vec<Placed>,
}

/// Somebody who has a conversation with a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The client, where its requests name their agents.
    pub client: Option<&'static str>,
    /// The client's own name for it.
    pub id: Option<String>,
    /// The agent that began it; absent for the root of a conversation.
    pub parent: Option<usize>,
    /// The call that began it, as far as it can be found.
    pub begun_by: Option<String>,
    /// Its turns.
    pub turns: u32,
    /// How often its history was summed up.
    pub compactions: u32,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Whose it is, as far as that is known.
    pub agent: Option<usize>,
    /// What it is for.
    pub role: Role,
    /// The first try, where this is another.
    pub repeats: Option<usize>,
    /// The place of its first item that was not said before.
    pub fresh: usize,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A turn of its agent.
    Turn {
        /// Which, from 1.
        turn: u32,
        /// 0 for the first try, then one more for each.
        retry: u32,
    },
    /// It is beside the conversation.
    Side(Side),
}

impl Conversations {
    /// Tells requests apart, which are given in the order in which they began.
    #[must_use]
    pub fn of(requests: &[Asked]) -> Self {
        let mut telling = Telling::new(requests);
        for request in 0..requests.len() {
            telling.place(request);
        }
        telling.find_sides();
        telling.agree();
        telling.finish()
    }

    /// The root of an agent's conversation.
    #[must_use]
    pub fn root(&self, agent: usize) -> usize {
        let mut root = agent;
        // A parent always begins before its children.
        while let Some(parent) = self.agents[root].parent.filter(|parent| *parent < root) {
            root = parent;
        }
        root
    }

    /// How many requests there are beside the conversations, by what they are for.
    #[must_use]
    pub fn sides(&self) -> BTreeMap<Side, u32> {
        let mut counts = BTreeMap::new();
        for placed in &self.placed {
            if let Role::Side(side) = placed.role {
                *counts.entry(side).or_insert(0) += 1;
            }
        }
        counts
    }
}

/// What is known of a request so far.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    agent: Option<usize>,
    side: Option<Side>,
    repeats: Option<usize>,
    /// The request whose context it goes on with.
    extends: Option<usize>,
    fresh: usize,
    /// Another request goes on with it.
    is_continued: bool,
}

/// Whose a request may be, in the words of its client.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// This agent's.
    Agent(usize),
    /// An agent's of the session that this one began: who they are the context tells.
    Session(usize),
    /// Nothing is said.
    Unsaid,
}

/// A call that was made, and by whom.
struct Made<'r> {
    agent: usize,
    call: &'r AnsweredCall,
    is_answered: bool,
    has_begun_one: bool,
}

struct Telling<'r> {
    requests: &'r [Asked],
    known: Vec<Known>,
    agents: Vec<Agent>,
    named: HashMap<Key, usize>,
    /// The first agent of each one's session, where requests name their session alone.
    sessions: Vec<Option<usize>>,
    /// Requests by their whole context.
    contexts: HashMap<Digest, Vec<usize>>,
    responses: HashMap<&'r str, usize>,
    /// The agents of calls; of several none.
    callers: HashMap<&'r str, Option<usize>>,
    made: Vec<Made<'r>>,
    /// Somebody offers tools: whoever does not is beside the conversation.
    with_tools: bool,
}

impl<'r> Telling<'r> {
    fn new(requests: &'r [Asked]) -> Self {
        Telling {
            requests,
            known: Vec::with_capacity(requests.len()),
            agents: Vec::new(),
            named: HashMap::new(),
            sessions: Vec::new(),
            contexts: HashMap::new(),
            responses: HashMap::new(),
            callers: HashMap::new(),
            made: Vec::new(),
            with_tools: requests.iter().any(Asked::offers_tools),
        }
    }

    /// Finds out what can be known of the next request from those before it.
    fn place(&mut self, request: usize) {
        let asked = &self.requests[request];
        let identity = clients::identity(asked);
        let (Some(seen), None) = (&asked.seen, sides::of_request(asked)) else {
            let agent = identity.and_then(|identity| self.named.get(&identity.key).copied());
            let side = sides::of_request(asked);
            self.known.push(Known {
                agent,
                side,
                ..Known::default()
            });
            return;
        };
        let context = Context::of(seen);
        let whose = match &identity {
            Some(identity) => self.named_by(identity, asked, seen),
            None => Whose::Unsaid,
        };
        let known = match self.tried_before(request, whose, &context) {
            Some(before) => Known {
                repeats: Some(before),
                is_continued: false,
                ..self.known[before]
            },
            None => {
                let purpose = identity.as_ref().and_then(|said| said.purpose.as_deref());
                let side = purpose.and_then(Side::of_purpose);
                let side = side.or((!seen.generates).then_some(Side::Prewarm));
                let known = self.first_try(asked, seen, &context, whose);
                Known {
                    side: side.or(known.side),
                    ..known
                }
            }
        };
        if let Some(extended) = known.extends {
            self.known[extended].is_continued = true;
        }
        self.known.push(known);
        self.remember(request, &known, seen, &context);
    }

    fn first_try(
        &mut self,
        asked: &'r Asked,
        seen: &'r RequestSeen,
        context: &Context,
        whose: Whose,
    ) -> Known {
        let previous = seen.previous_response.as_deref();
        let previous = previous.and_then(|id| self.responses.get(id).copied());
        let previous = previous.filter(|request| self.may_be(whose, self.known[*request].agent));
        let grown = match previous {
            Some(previous) => Some((previous, 0)),
            None => self.grown_from(seen, context, whose),
        };
        let (extends, fresh) = grown.unzip();
        let agent = match whose {
            Whose::Agent(agent) => Some(agent),
            Whose::Session(_) | Whose::Unsaid => extends
                .and_then(|request| self.known[request].agent)
                .or_else(|| self.caller(seen, whose)),
        };
        let known = Known {
            agent,
            extends,
            fresh: fresh.unwrap_or(0),
            ..Known::default()
        };
        if let Some(agent) = agent {
            if extends.is_none() {
                self.find_summary(Some(agent), seen);
            }
            return known;
        }
        match whose {
            Whose::Agent(agent) => Known {
                agent: Some(agent),
                ..known
            },
            Whose::Session(first) => Known {
                agent: Some(self.agent_within(first, asked, seen)),
                ..known
            },
            Whose::Unsaid if self.with_tools && seen.tools.is_empty() => Known {
                side: Some(Side::Other),
                ..known
            },
            Whose::Unsaid => Known {
                agent: Some(self.agent_unsaid(asked, seen)),
                ..known
            },
        }
    }

    /// Whether a request may be an agent's.
    fn may_be(&self, whose: Whose, agent: Option<usize>) -> bool {
        match whose {
            Whose::Agent(own) => agent == Some(own),
            Whose::Session(first) => agent.is_some_and(|agent| self.sessions[agent] == Some(first)),
            Whose::Unsaid => true,
        }
    }

    /// The agent of a request that goes on with nothing and names its session alone: one that a
    /// call of the session has just begun, or else the first.
    fn agent_within(&mut self, first: usize, asked: &Asked, seen: &RequestSeen) -> usize {
        let of_session = |made: &Made<'_>| {
            !made.is_answered && self.may_be(Whose::Session(first), Some(made.agent))
        };
        let offers = !seen.tools.is_empty();
        let begun_by = self.begun_by(asked, seen, of_session).filter(|_| offers);
        let Some(made) = begun_by else {
            self.find_summary(Some(first), seen);
            return first;
        };
        let agent = self.begin(made);
        self.sessions[agent] = Some(first);
        self.agents[agent].client = self.agents[first].client;
        agent
    }

    /// The agent of a request that goes on with nothing and names nobody.
    fn agent_unsaid(&mut self, asked: &Asked, seen: &RequestSeen) -> usize {
        if let Some(made) = self.begun_by(asked, seen, |_| true) {
            return self.begin(made);
        }
        if let Some(agent) = self.find_summary(None, seen) {
            return agent;
        }
        let parent = self.waiting(asked);
        self.add(Agent {
            parent,
            ..Agent::default()
        })
    }

    /// Whom a client names; an agent begins with the first request that names it.
    fn named_by(&mut self, identity: &Identity, asked: &Asked, seen: &RequestSeen) -> Whose {
        let key = &identity.key;
        let named = match self.named.get(key) {
            Some(known) => *known,
            None => self.agent_named(identity, asked, seen),
        };
        match key.agent {
            Some(_) => Whose::Agent(named),
            None => Whose::Session(named),
        }
    }

    fn agent_named(&mut self, identity: &Identity, asked: &Asked, seen: &RequestSeen) -> usize {
        let key = &identity.key;
        let (parent, begun_by) = match &identity.begun {
            Begun::ByNobody => (None, None),
            Begun::By(parent) => {
                let parent = self.named.get(parent).copied();
                let of_parent = |made: &Made<'_>| Some(made.agent) == parent;
                (parent, self.begun_by(asked, seen, of_parent))
            }
            Begun::InSession(parent) => {
                let of_session = |made: &Made<'_>| self.is_of_session(made.agent, key);
                let parent = parent
                    .as_ref()
                    .and_then(|parent| self.named.get(parent).copied());
                let begun_by = self.begun_by(asked, seen, of_session);
                (parent.or_else(|| self.waiting(asked)), begun_by)
            }
        };
        let agent = match begun_by {
            Some(made) => self.begin(made),
            None => self.add(Agent {
                parent,
                ..Agent::default()
            }),
        };
        let new = &mut self.agents[agent];
        new.client = Some(key.client);
        new.id = key.agent.clone().or_else(|| key.session.clone());
        self.sessions[agent] = key.agent.is_none().then_some(agent);
        self.named.insert(key.clone(), agent);
        agent
    }

    fn is_of_session(&self, agent: usize, key: &Key) -> bool {
        let mut named = self.named.iter();
        named.any(|(known, of)| {
            *of == agent && known.client == key.client && known.session == key.session
        })
    }

    fn add(&mut self, agent: Agent) -> usize {
        self.agents.push(agent);
        self.sessions.push(None);
        self.agents.len() - 1
    }

    /// A new agent that a call began.
    fn begin(&mut self, made: usize) -> usize {
        let made = &mut self.made[made];
        made.has_begun_one = true;
        let (parent, call) = (made.agent, made.call.call.call_id.clone());
        self.add(Agent {
            parent: Some(parent),
            begun_by: Some(call),
            ..Agent::default()
        })
    }

    /// The agent that waits for a call; of several the one that began last to.
    fn waiting(&self, asked: &Asked) -> Option<usize> {
        let waits = |made: &&Made<'_>| !made.is_answered && made.call.at <= asked.began;
        let mut made = self.recently_made().map(|(_, made)| made);
        made.find(waits).map(|made| made.agent)
    }

    fn recently_made(&self) -> impl Iterator<Item = (usize, &Made<'r>)> {
        self.made.iter().enumerate().rev().take(LOOK_BACK)
    }

    /// The call whose arguments hand on what the user of a request says; of several the first
    /// that has begun no agent yet, and rather one that still waits.
    fn begun_by(
        &self,
        asked: &Asked,
        seen: &RequestSeen,
        wanted: impl Fn(&Made<'_>) -> bool,
    ) -> Option<usize> {
        let texts: Vec<&str> = user_texts(&seen.items).collect();
        let fits = |(_, made): &(usize, &Made<'_>)| {
            !made.has_begun_one
                && made.call.at <= asked.began
                && wanted(made)
                && hands_on(made.call, &texts)
        };
        let found: Vec<(usize, bool)> = self
            .recently_made()
            .filter(fits)
            .map(|(place, made)| (place, made.is_answered))
            .collect();
        let first = |answered: bool| found.iter().rev().find(|(_, is)| *is == answered);
        first(false)
            .or_else(|| first(true))
            .map(|(place, _)| *place)
    }

    /// The request from whose context this one has grown, and the place of the first item that
    /// is new: the longest, and of several rather one whose calls go on here.
    fn grown_from(
        &self,
        seen: &RequestSeen,
        context: &Context,
        whose: Whose,
    ) -> Option<(usize, usize)> {
        for (part, fresh) in context.parts() {
            let Some(requests) = self.contexts.get(&part) else {
                continue;
            };
            let new = &seen.items[fresh..];
            let of_agent = |request: &&usize| self.may_be(whose, self.known[**request].agent);
            let fitting = requests.iter().rev().filter(of_agent).take(LOOK_BACK);
            let fitting = fitting.filter_map(|request| {
                Some((*request, goes_on(&self.requests[*request].calls, new)?))
            });
            // Of those that fit alike the latest.
            let best = fitting.reduce(|best, next| if next.1 > best.1 { next } else { best });
            if let Some((request, _)) = best {
                return Some((request, fresh));
            }
        }
        None
    }

    /// The agent whose calls, and nobody else's, a request repeats or answers.
    fn caller(&self, seen: &RequestSeen, whose: Whose) -> Option<usize> {
        let ids = seen.items.iter().rev().filter_map(|item| match &item.kind {
            ItemKind::Call(call) => Some(call.call_id.as_str()),
            ItemKind::Result { call_id, .. } => call_id.as_deref(),
            _ => None,
        });
        let mut callers = ids.filter_map(|id| *self.callers.get(id)?);
        callers.find(|caller| self.may_be(whose, Some(*caller)))
    }

    /// The try before this one: the same body again after a failure, or what the client says
    /// is one.
    fn tried_before(&self, request: usize, whose: Whose, context: &Context) -> Option<usize> {
        let asked = &self.requests[request];
        let counted = clients::retries(asked) > 0;
        let earlier = (request.saturating_sub(LOOK_BACK)..request).rev();
        let mut own = earlier.filter(|before| {
            self.requests[*before].seen.is_some() && self.may_be(whose, self.known[*before].agent)
        });
        let latest = own.clone().next();
        let same_body = own.find(|before| {
            let before = &self.requests[*before];
            let same = asked.body.is_some() && before.body == asked.body;
            same && before.done <= asked.began && (counted || before.has_failed())
        });
        same_body.or_else(|| {
            let is_agents = matches!(whose, Whose::Agent(_));
            let before =
                latest.filter(|before| is_agents && self.requests[*before].has_failed())?;
            let seen = self.requests[before].seen.as_ref()?;
            // Sent anew over another connection it may be whole where it was a part.
            let last = |seen: &RequestSeen| seen.items.last().map(|item| item.hash);
            let same = last(seen) == last(asked.seen.as_ref()?);
            (same && context.whole().is_some()).then_some(before)
        })
    }

    /// Marks the requests that summed up a history which this one has in its place, and says
    /// whose history it was.
    fn find_summary(&mut self, agent: Option<usize>, seen: &RequestSeen) -> Option<usize> {
        let texts: Vec<&str> = user_texts(&seen.items).collect();
        let is_own = |known: &Known| agent.is_some() && known.agent == agent;
        let earlier = (0..self.known.len()).rev().take(LOOK_BACK);
        // What the conversation went on with is no summary of it, nor is what came before.
        let unused = earlier.take_while(|request| {
            let known = &self.known[*request];
            !(is_own(known) && known.is_continued)
        });
        let perhaps: Vec<usize> = unused
            .filter(|request| {
                let (known, asked) = (&self.known[*request], &self.requests[*request]);
                let whose = known.agent.is_none() || agent.is_none() || is_own(known);
                let open = matches!(known.side, None | Some(Side::Other | Side::Compaction));
                let seen = asked.seen.as_ref().filter(|seen| !asks_for_title(seen));
                whose && open && !known.is_continued && asked.calls.is_empty() && seen.is_some()
            })
            .collect();
        let is_carried = |request: &&usize| is_carried_over(&self.requests[**request].text, &texts);
        let carried = *perhaps.iter().find(is_carried)?;
        let whose = agent.or(self.known[carried].agent);
        let whose = whose.or_else(|| self.latest_alike(seen));
        for request in perhaps {
            if request == carried || asks_for_summary(&self.requests[request]) {
                let known = &mut self.known[request];
                known.side = Some(Side::Compaction);
                known.agent = known.agent.or(whose);
            }
        }
        whose
    }

    /// The agent that asked last with the same tools.
    fn latest_alike(&self, seen: &RequestSeen) -> Option<usize> {
        let earlier = (0..self.known.len()).rev().take(LOOK_BACK);
        let mut alike = earlier.filter(|request| {
            let before = self.requests[*request].seen.as_ref();
            before.is_some_and(|before| before.tools == seen.tools)
        });
        alike.find_map(|request| self.known[request].agent)
    }

    /// Keeps what later requests are compared with.
    fn remember(
        &mut self,
        request: usize,
        known: &Known,
        seen: &'r RequestSeen,
        context: &Context,
    ) {
        let asked = &self.requests[request];
        if let Some(id) = asked.response_id.as_deref() {
            self.responses.insert(id, request);
        }
        let Some(agent) = known.agent else { return };
        if known.side.is_some() {
            return;
        }
        let whole = context.whole();
        if let Some(whole) = whole.filter(|_| seen.previous_response.is_none()) {
            self.contexts.entry(whole).or_default().push(request);
        }
        for item in &seen.items[known.fresh.min(seen.items.len())..] {
            if let ItemKind::Result {
                call_id: Some(id), ..
            } = &item.kind
            {
                let recent = self.made.iter_mut().rev().take(LOOK_BACK);
                let mut own =
                    recent.filter(|made| made.agent == agent && made.call.call.call_id == *id);
                if let Some(made) = own.next() {
                    made.is_answered = true;
                }
            }
        }
        for call in &asked.calls {
            let caller = self
                .callers
                .entry(call.call.call_id.as_str())
                .or_insert(Some(agent));
            *caller = caller.filter(|known| *known == agent);
            self.made.push(Made {
                agent,
                call,
                is_answered: false,
                has_begun_one: false,
            });
        }
    }

    /// Finds the requests of an agent that are no turns: they offer no tools where others do,
    /// and the conversation goes on without them.
    fn find_sides(&mut self) {
        let mut with_tools = vec![false; self.agents.len()];
        let mut first_done = vec![u64::MAX; self.agents.len()];
        let turns = |known: &Known| known.agent.filter(|_| known.side.is_none());
        for (known, asked) in self.known.iter().zip(self.requests) {
            if let Some(agent) = turns(known).filter(|_| asked.offers_tools()) {
                with_tools[agent] = true;
                first_done[agent] = first_done[agent].min(asked.done);
            }
        }
        let earliest = first_done.iter().copied().min().unwrap_or(u64::MAX);
        let extended = self.known.iter().map(|known| known.extends).zip(0..);
        let went_on: HashMap<usize, usize> = extended
            .filter_map(|(extended, request)| Some((extended?, request)))
            .collect();
        for (request, (known, asked)) in self.known.iter_mut().zip(self.requests).enumerate() {
            let Some(seen) = &asked.seen else { continue };
            // Of several that go on with the same, the last is the conversation.
            let left = |extended: usize| !known.is_continued && went_on[&extended] != request;
            let beside = turns(known).is_some_and(|agent| with_tools[agent])
                && seen.tools.is_empty()
                && seen.previous_response.is_none()
                && known.extends.is_none_or(left);
            if beside {
                known.side = Some(Side::Other);
            }
            if known.side == Some(Side::Other) {
                let first_done = known.agent.map_or(earliest, |agent| first_done[agent]);
                if asked.began <= first_done || asks_for_title(seen) {
                    known.side = Some(Side::Title);
                }
            }
        }
    }

    /// Makes all tries of a request what the last of them is, which is the one that came
    /// through.
    fn agree(&mut self) {
        let mut firsts: Vec<usize> = Vec::with_capacity(self.known.len());
        let mut latest = HashMap::new();
        for (request, known) in self.known.iter().enumerate() {
            let first = known.repeats.map_or(request, |before| firsts[before]);
            firsts.push(first);
            latest.insert(first, (known.agent, known.side));
        }
        for (known, first) in self.known.iter_mut().zip(firsts) {
            (known.agent, known.side) = latest[&first];
        }
    }

    /// Counts turns and tries.
    fn finish(mut self) -> Conversations {
        let mut placed: Vec<Placed> = Vec::with_capacity(self.known.len());
        for known in &self.known {
            let first = known
                .repeats
                .map(|before| placed[before].repeats.unwrap_or(before));
            let role = match (known.side, known.agent, known.repeats) {
                (Some(side), ..) => Role::Side(side),
                (None, None, _) => Role::Side(Side::Other),
                (None, Some(agent), before) => match before.map(|before| placed[before].role) {
                    Some(Role::Turn { turn, retry }) => Role::Turn {
                        turn,
                        retry: retry + 1,
                    },
                    Some(Role::Side(_)) | None => {
                        let agent = &mut self.agents[agent];
                        agent.turns += 1;
                        Role::Turn {
                            turn: agent.turns,
                            retry: 0,
                        }
                    }
                },
            };
            if let (Role::Side(Side::Compaction), Some(agent), None) = (role, known.agent, first) {
                self.agents[agent].compactions += 1;
            }
            placed.push(Placed {
                agent: known.agent,
                role,
                repeats: first,
                fresh: known.fresh,
            });
        }
        Conversations {
            agents: self.agents,
            placed,
        }
    }
}

/// How well what is new in a request goes on with an answer's calls: 2 where it repeats one of
/// them, 1 where it repeats none, `None` where it repeats others.
fn goes_on(calls: &[AnsweredCall], new: &[Arc<ItemSeen>]) -> Option<u32> {
    let repeated = new.iter().filter_map(|item| match &item.kind {
        ItemKind::Call(call) => Some(call),
        _ => None,
    });
    let mut repeated = repeated.peekable();
    if calls.is_empty() || repeated.peek().is_none() {
        return Some(1);
    }
    let same = repeated.into_iter().any(|call| {
        let of_answer = |known: &AnsweredCall| known.call.call_id == call.call_id;
        let nameless = call.call_id.is_empty();
        calls
            .iter()
            .any(|known| of_answer(known) || nameless && known.call.name == call.name)
    });
    same.then_some(2)
}

/// What the user says in some items.
fn user_texts(items: &[Arc<ItemSeen>]) -> impl Iterator<Item = &str> {
    items.iter().filter_map(|item| match &item.kind {
        ItemKind::User(text) => Some(text.trim()),
        _ => None,
    })
}

/// Whether a text among a call's arguments is what somebody says, or a part of it, or the other
/// way round.
fn hands_on(call: &AnsweredCall, texts: &[&str]) -> bool {
    let Ok(Value::Object(arguments)) = serde_json::from_str(&call.call.arguments) else {
        return false;
    };
    let handed = arguments.values().filter_map(Value::as_str).map(str::trim);
    let telling = |text: &&str| text.len() >= TELLING;
    handed.filter(telling).any(|handed| {
        let mut texts = texts.iter().copied().filter(telling);
        texts.any(|text| text.contains(handed) || handed.contains(text))
    })
}

/// Whether the longest line of an answer is found again in what somebody says.
fn is_carried_over(answer: &str, texts: &[&str]) -> bool {
    let line = answer.lines().map(str::trim).max_by_key(|line| line.len());
    let line = line.filter(|line| line.len() >= TELLING_LINE);
    line.is_some_and(|line| texts.iter().any(|text| text.contains(line)))
}

/// Whether what is asked last is a summary.
fn asks_for_summary(asked: &Asked) -> bool {
    let items = asked.seen.as_ref().map_or(&[][..], |seen| &seen.items);
    let last = user_texts(items).last().unwrap_or_default().to_lowercase();
    ["summar", "compact", "compress"]
        .iter()
        .any(|word| last.contains(word))
}

/// Whether a title is asked for.
fn asks_for_title(seen: &RequestSeen) -> bool {
    let system = seen.system.iter().map(|system| system.text.as_str());
    let mut said = system.chain(user_texts(&seen.items));
    said.any(|text| {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        words.any(|word| word.eq_ignore_ascii_case("title"))
    })
}
