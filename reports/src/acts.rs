//! What one act of a developer's session says: pure functions of its journal line.
//!
//! Durations are nanoseconds. `None` where the act says nothing of it.

use timeslip_datasets::run::journal::{Act, ActKind, ActMarks, Race};

/// A clock by which it is quiet after a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The last event of the old answer arrived.
    Stream,
    /// The other side said that it has stopped.
    Confirmation,
    /// The running tool's process is gone.
    Tool,
}

impl Boundary {
    /// All there are.
    pub const ALL: [Boundary; 3] = [Self::Stream, Self::Confirmation, Self::Tool];

    /// What ends at it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Boundary::Stream => "last event",
            Boundary::Confirmation => "confirmation",
            Boundary::Tool => "tool gone",
        }
    }
}

/// What the developer waits for: acts with an answer.
#[must_use]
pub fn has_answer(act: &Act) -> bool {
    matches!(act.kind, ActKind::Ask | ActKind::Steer | ActKind::Type)
}

/// From the beginning of an act with an answer to its end; of typing, from its last key.
#[must_use]
pub fn act_time(act: &Act) -> Option<u64> {
    let since = act.marks.last_keystroke.unwrap_or(act.marks.began);
    has_answer(act).then(|| act.marks.ended.saturating_sub(since))
}

/// From the words of an `ask` to the first useful output.
#[must_use]
pub fn first_output(act: &Act) -> Option<u64> {
    let since = (act.kind == ActKind::Ask).then_some(act.marks.told?)?;
    Some(act.marks.first_output?.saturating_sub(since))
}

/// Whether it stopped something: what is too late, or refused, has nothing to make quiet.
#[must_use]
pub fn stopped(act: &Act) -> bool {
    let raced = act.race.is_some_and(|race| {
        matches!(
            race,
            Race::Applied | Race::Queued | Race::Missed | Race::Lost
        )
    });
    act.kind.stops() && raced && act.marks.told.is_some()
}

/// From a stop to quiet, by one clock. What was lost never became quiet as far as anybody
/// knows; by the stream's clock it is quiet at once where nothing came any more.
#[must_use]
pub fn quiet(act: &Act, boundary: Boundary) -> Option<u64> {
    if !stopped(act) || act.race == Some(Race::Lost) {
        return None;
    }
    let ActMarks {
        told,
        last_event,
        confirmed,
        tool_gone,
        ..
    } = act.marks;
    let told = told?;
    let end = match boundary {
        Boundary::Stream => last_event.unwrap_or(told),
        Boundary::Confirmation => confirmed?,
        Boundary::Tool => tool_gone?,
    };
    Some(end.saturating_sub(told))
}

/// Whether a stop should tell of this clock.
#[must_use]
pub fn has_boundary(act: &Act, boundary: Boundary) -> bool {
    match boundary {
        Boundary::Stream => stopped(act),
        // Closing a connection is answered by nobody.
        Boundary::Confirmation => stopped(act) && act.marks.confirmed.is_some(),
        Boundary::Tool => stopped(act) && act.in_tool,
    }
}

/// From a stop or a redirection to the first output that goes the new way.
#[must_use]
pub fn redirected(act: &Act) -> Option<u64> {
    let told = act.kind.stops().then_some(act.marks.told?)?;
    Some(act.marks.redirected?.saturating_sub(told))
}

/// From the last key to the first text of the suggestion.
#[must_use]
pub fn suggestion(act: &Act) -> Option<u64> {
    let since = act.marks.last_keystroke?;
    Some(act.marks.first_output?.saturating_sub(since))
}

/// From what the developer did to the first useful output of the answer: from the words of an
/// `ask`, from a redirection, from the last key of a `type`.
#[must_use]
pub fn response(act: &Act) -> Option<u64> {
    match act.kind {
        ActKind::Ask => first_output(act),
        ActKind::Steer => redirected(act),
        ActKind::Type => suggestion(act),
        _ => None,
    }
}

/// Of the keys after which a suggestion was asked for, how many saw it before the next key,
/// and how many there are. The last key waits for as long as it takes and is left out.
#[must_use]
pub fn in_time(act: &Act) -> [u32; 2] {
    let [mut shown, mut asked] = [0, 0];
    for pair in act.keystrokes.windows(2) {
        if pair[0].asked.is_some() {
            asked += 1;
            shown += u32::from(pair[0].shown.is_some_and(|at| at <= pair[1].at));
        }
    }
    [shown, asked]
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::run::journal::Keystroke;

    fn act(kind: ActKind, race: Option<Race>, marks: ActMarks) -> Act {
        Act {
            marks,
            race,
            ..Act::begun(1, "a", kind, 0)
        }
    }

    #[test]
    fn it_is_quiet_at_once_where_nothing_came_and_never_where_the_stop_was_lost() {
        let told = ActMarks {
            told: Some(100),
            ..ActMarks::default()
        };
        let late = ActMarks {
            last_event: Some(130),
            ..told
        };
        let of = |race, marks| quiet(&act(ActKind::Interrupt, race, marks), Boundary::Stream);
        assert_eq!(of(Some(Race::Applied), told), Some(0));
        assert_eq!(of(Some(Race::Missed), late), Some(30));
        assert_eq!(of(Some(Race::Lost), late), None);
        assert_eq!(of(Some(Race::TooLate), late), None);
        let asked = act(ActKind::Ask, None, late);
        assert_eq!(quiet(&asked, Boundary::Stream), None);
    }

    #[test]
    fn a_boundary_that_nobody_tells_of_is_not_missing() {
        let mut stop = act(ActKind::Interrupt, Some(Race::Applied), ActMarks::default());
        assert!(!has_boundary(&stop, Boundary::Stream), "never told");
        stop.marks.told = Some(5);
        let has = |act: &Act| Boundary::ALL.map(|boundary| has_boundary(act, boundary));
        assert_eq!(has(&stop), [true, false, false]);
        stop.in_tool = true;
        stop.marks.confirmed = Some(9);
        assert_eq!(has(&stop), [true, true, true]);
        assert_eq!(quiet(&stop, Boundary::Tool), None);
        assert_eq!(quiet(&stop, Boundary::Confirmation), Some(4));
    }

    #[test]
    fn a_suggestion_is_in_time_before_the_next_key_and_the_last_key_does_not_count() {
        let key = |at, asked, shown| Keystroke {
            at,
            asked,
            shown,
            ..Keystroke::default()
        };
        let mut typed = act(ActKind::Type, None, ActMarks::default());
        typed.keystrokes = vec![
            key(0, Some(5), Some(9)),
            key(10, Some(15), None),
            key(20, None, None),
            key(30, Some(35), Some(90)),
        ];
        assert_eq!(in_time(&typed), [1, 2]);
    }
}
