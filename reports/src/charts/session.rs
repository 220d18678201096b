//! One session per endpoint on a shared time axis: what the developer did above, what came
//! below.

use timeslip_datasets::run::journal::{Act, ActKind};

use super::axis::Axis;
use super::canvas::{CONTENT_TOP, Canvas, Look, draw, stroke};
use super::plot::{Insets, Plot, axis_name};
use super::{Arm, ChartData, ChartError, ChartKind, Drawing};
use crate::acts::stopped;
use crate::data::TrialData;
use crate::format::{NS_PER_MS, nanoseconds, one_line, or_absent, plural};
use crate::pairing::{paired_tasks, sides};
use crate::stages::StageGroup;
use crate::svg::Slot;
use crate::table::Table;

pub(super) static CHART: ChartKind = ChartKind {
    name: "session",
    title: "One session, act by act",
    section: "real-time",
    per_candidate: true,
    draw: chart,
};

const ROW: f64 = 20.0;
const BAR: f64 = 13.0;
const LANE: f64 = 24.0 + 3.0 * ROW + 18.0;
const NAMES: f64 = 84.0;
const RIGHT: f64 = 28.0;
const MIN_BAR_PX: f64 = 1.0;
/// A name is written on its bar where there is room for it.
const NAME_INSET: f64 = 4.0;

/// Below the acts: what came, by the groups of stages that it is made of.
const BELOW: [(&str, StageGroup); 2] =
    [("output", StageGroup::Decode), ("tools", StageGroup::Tool)];

fn chart(source: ChartData) -> Result<Option<Drawing>, ChartError> {
    let Some(lanes) = choose(source) else {
        return Ok(None);
    };
    let task = Look::MUTED.fit(&one_line(&lanes[0].1.task), 300.0);
    let subtitle = source.subtitle(&format!(
        "{task}: of the sessions with most stops, the first; a line marks a stop or a redirection"
    ));
    let description = lanes
        .iter()
        .map(|(arm, trial)| {
            format!(
                "{}: {} in {}.",
                arm.name,
                plural(trial.acts.len(), "act"),
                nanoseconds(trial.wall_ns)
            )
        })
        .collect::<Vec<_>>()
        .join(" ");
    let heading = source.heading(&CHART, &subtitle, &description);
    let height = CONTENT_TOP + LANE * lanes.len() as f64 + 42.0;
    let document = draw(&heading, height, |canvas| {
        let longest = lanes.iter().map(|(_, trial)| trial.wall_ns).max();
        let insets = Insets {
            top: CONTENT_TOP,
            right: RIGHT,
            bottom: 22.0,
            left: NAMES,
        };
        let axis = Axis::linear_ms(longest.unwrap_or(0) as f64 / NS_PER_MS);
        let plot = Plot::new(canvas, insets, axis, Axis::rows(1.0))?;
        for (index, (arm, trial)) in lanes.iter().enumerate() {
            let lane = Lane {
                canvas,
                plot: &plot,
                arm: *arm,
                trial,
                top: CONTENT_TOP + LANE * index as f64,
            };
            lane.draw()?;
        }
        axis_name(canvas, "time since the session began", RIGHT, height - 9.0)
    })?;
    Ok(Some(Drawing {
        document,
        table: table(&lanes),
    }))
}

/// Of the sessions that both sides held, the first of those with most stops.
fn choose<'a>(source: ChartData<'a>) -> Option<Vec<(Arm<'a>, &'a TrialData)>> {
    let held = |trial: &TrialData| !trial.failed() && !trial.acts.is_empty();
    let sessions: Vec<Vec<&TrialData>> = match sides(source.run).into_iter().nth(source.candidate) {
        Some(pair) => {
            let [candidate, baseline] = pair.names();
            let tasks = paired_tasks(&source.run.trials, candidate, baseline);
            let pairs = tasks.iter().flat_map(|task| &task.pairs);
            pairs.map(|pair| pair.trials().to_vec()).collect()
        }
        None => source.run.trials.iter().map(|trial| vec![trial]).collect(),
    };
    let stops = |session: &[&TrialData]| {
        let acts = session.iter().flat_map(|trial| &trial.acts);
        acts.filter(|act| stopped(act)).count()
    };
    let chosen = sessions
        .into_iter()
        .filter(|session| session.iter().all(|trial| held(trial)))
        // Of equals the last one wins, so the order is turned round.
        .rev()
        .max_by_key(|session| stops(session))?;
    let arms = source.endpoints();
    let arm = |name: &str| arms.iter().copied().find(|arm| arm.name == name);
    let lanes = chosen.into_iter();
    lanes
        .map(|trial| Some((arm(&trial.endpoint)?, trial)))
        .collect()
}

struct Lane<'a, 'b> {
    canvas: &'a Canvas<'b>,
    plot: &'a Plot<'b>,
    arm: Arm<'a>,
    trial: &'a TrialData,
    top: f64,
}

impl Lane<'_, '_> {
    fn draw(&self) -> Result<(), ChartError> {
        let words = format!(
            "{}, {}",
            plural(self.trial.acts.len(), "act"),
            nanoseconds(self.trial.wall_ns)
        );
        let y = self.top + 12.0;
        let name = Look::BODY.bold().fit(self.arm.name, 400.0);
        self.canvas.text(&name, (0.0, y), Look::BODY.bold())?;
        let x = Look::BODY.bold().width(&name) + 10.0;
        self.canvas.text(&words, (x, y), Look::MUTED)?;
        self.acts()?;
        for (index, (name, group)) in BELOW.into_iter().enumerate() {
            self.spans(name, group, index + 1)?;
        }
        self.stops()
    }

    fn x(&self, ns: u64) -> f64 {
        self.plot.at(ns as f64 / NS_PER_MS, 0.0).0
    }

    /// The middle of a row.
    fn row(&self, index: usize) -> f64 {
        self.top + 24.0 + ROW * (index as f64 + 0.5)
    }

    fn bar(&self, row: usize, (from, to): (u64, u64), slot: Slot) -> Result<f64, ChartError> {
        let middle = self.row(row);
        let (start, end) = (self.x(from), self.x(to));
        let end = end.max(start + MIN_BAR_PX);
        let corners = ((start, middle - BAR / 2.0), (end, middle + BAR / 2.0));
        self.canvas.rect(corners.0, corners.1, slot)?;
        Ok(end - start)
    }

    fn acts(&self) -> Result<(), ChartError> {
        let middle = self.row(0);
        let look = Look::MUTED.size(11.5);
        self.canvas.text("acts", (0.0, middle), look)?;
        let acts = self.trial.acts.iter();
        for act in acts.filter(|act| !act.kind.stops() && act.kind != ActKind::Wait) {
            let span = (act.marks.began, act.marks.ended);
            self.canvas.titled(&title(act), || {
                let room = self.bar(0, span, Slot::Grid)? - 2.0 * NAME_INSET;
                let name = one_line(&act.name);
                if Look::BODY.size(10.5).width(&name) > room {
                    return Ok(());
                }
                let at = (self.x(span.0) + NAME_INSET, middle);
                self.canvas.text(&name, at, Look::BODY.size(10.5))
            })?;
        }
        Ok(())
    }

    fn spans(&self, name: &str, group: StageGroup, row: usize) -> Result<(), ChartError> {
        let look = Look::MUTED.size(11.5);
        self.canvas.text(name, (0.0, self.row(row)), look)?;
        for span in self
            .trial
            .spans
            .iter()
            .filter(|span| span.stage.group() == group)
        {
            self.bar(row, (span.start_ns, span.end_ns), Slot::Group(group))?;
        }
        Ok(())
    }

    /// A line through the lane at each stop.
    fn stops(&self) -> Result<(), ChartError> {
        let (top, bottom) = (self.row(0) - ROW / 2.0, self.row(BELOW.len()) + ROW / 2.0);
        for act in self.trial.acts.iter().filter(|act| act.kind.stops()) {
            let x = self.x(act.marks.told.unwrap_or(act.marks.began));
            self.canvas.titled(&title(act), || {
                self.canvas
                    .line(&[(x, top), (x, bottom)], stroke(Slot::Text, 1.5))
            })?;
        }
        Ok(())
    }
}

fn title(act: &Act) -> String {
    let race = act
        .race
        .map(|race| format!(", {}", race.name().replace('_', " ")));
    format!(
        "{} ({}{})",
        one_line(&act.name),
        act.kind.name(),
        race.unwrap_or_default()
    )
}

fn table(lanes: &[(Arm, &TrialData)]) -> Table {
    let headings = ["Endpoint", "Act", "Kind", "From", "For", "Came of it"];
    let rows = lanes.iter().flat_map(|(arm, trial)| {
        trial.acts.iter().map(|act| {
            vec![
                arm.name.to_owned(),
                one_line(&act.name),
                act.kind.name().to_owned(),
                nanoseconds(act.marks.began),
                nanoseconds(act.marks.ended.saturating_sub(act.marks.began)),
                or_absent(act.race, |race| race.name().replace('_', " ")),
            ]
        })
    });
    Table::new(headings, rows)
}
