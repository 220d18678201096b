//! The palette: named slots with a light and a dark colour.
//!
//! plotters only knows RGB, so a slot travels through it as its light colour
//! (unique among slots) and is recognised again by the backend. Neighbours in
//! a stack differ by at least 0.1 in OKLab under simulated protanopia,
//! deuteranopia and tritanopia, and graphics have at least 3:1 contrast with
//! the surface.

use plotters::style::RGBColor;

use crate::stages::GROUPS;
use crate::stages::StageGroup;

/// A colour by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Background of a chart.
    Surface,
    /// Titles and values.
    Text,
    /// Subtitles, axis labels, notes.
    Muted,
    /// Grid lines.
    Grid,
    /// Axis lines and marks between turns.
    Axis,
    /// Text on the paler fills of the light theme.
    InkOnPale,
    /// Text on the deeper fills of the light theme; the dark theme has only pale ones.
    InkOnDeep,
    /// The lines and markers of a candidate, by its place among them; past the
    /// seventh colours come again.
    Candidate(usize),
    /// The baseline's lines and markers; lines are dashed.
    Baseline,
    /// A stage group's fill.
    Group(StageGroup),
}

struct Definition {
    slot: Slot,
    variable: &'static str,
    light: (u8, u8, u8),
    dark: (u8, u8, u8),
}

const fn define(slot: Slot, variable: &'static str, light: u32, dark: u32) -> Definition {
    const fn channels(rgb: u32) -> (u8, u8, u8) {
        ((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
    }
    Definition {
        slot,
        variable,
        light: channels(light),
        dark: channels(dark),
    }
}

/// How many candidates have a colour of their own.
const CANDIDATES: usize = 7;

const FIXED: [Definition; 8 + CANDIDATES] = [
    define(Slot::Surface, "--surface", 0xffffff, 0x141a23),
    define(Slot::Text, "--text", 0x171c24, 0xe8ecf2),
    define(Slot::Muted, "--muted", 0x565f6c, 0xa4aebb),
    define(Slot::Grid, "--grid", 0xe4e7ec, 0x29323f),
    define(Slot::Axis, "--axis", 0xa9b1bc, 0x566273),
    define(Slot::InkOnPale, "--ink-on-pale", 0x10151c, 0x0b0f15),
    define(Slot::InkOnDeep, "--ink-on-deep", 0xfefefe, 0x0b0f15),
    define(Slot::Candidate(0), "--candidate", 0x3a3fc4, 0x8ea2ff),
    define(Slot::Candidate(1), "--candidate-2", 0x00857a, 0x4fd1bd),
    define(Slot::Candidate(2), "--candidate-3", 0xc2187f, 0xff7cc8),
    define(Slot::Candidate(3), "--candidate-4", 0x4f6f00, 0xb4d65a),
    define(Slot::Candidate(4), "--candidate-5", 0x0a84c9, 0x5fc4ff),
    define(Slot::Candidate(5), "--candidate-6", 0xcf2f2a, 0xff8078),
    define(Slot::Candidate(6), "--candidate-7", 0x4b5b66, 0xc3ced8),
    define(Slot::Baseline, "--baseline", 0xa85a00, 0xf2a541),
];

/// The definitions of every slot.
fn definitions() -> impl Iterator<Item = Definition> {
    let groups = GROUPS.iter();
    let groups =
        groups.map(|row| define(Slot::Group(row.group), row.variable, row.light, row.dark));
    FIXED.into_iter().chain(groups)
}

impl Slot {
    /// The colour plotters carries for this slot.
    #[must_use]
    pub fn color(self) -> RGBColor {
        let (r, g, b) = self.definition().map_or((0, 0, 0), |d| d.light);
        RGBColor(r, g, b)
    }

    /// The stroke pattern of lines in this slot: shape beside colour.
    #[must_use]
    pub fn dash(self) -> Option<&'static str> {
        match self {
            Slot::Baseline => Some("7 4"),
            Slot::Candidate(place) => DASHES[place % CANDIDATES],
            _ => None,
        }
    }

    /// The slot for text on top of this fill.
    #[must_use]
    pub fn ink(self) -> Slot {
        match self {
            Slot::Group(group) if group.row().pale => Slot::InkOnPale,
            _ => Slot::InkOnDeep,
        }
    }

    /// The slot a colour stands for.
    #[must_use]
    pub(super) fn of_rgb(rgb: (u8, u8, u8)) -> Option<Slot> {
        definitions().find(|d| d.light == rgb).map(|d| d.slot)
    }

    /// The CSS variable of this slot, e.g. `--decode`.
    pub(super) fn variable(self) -> Option<&'static str> {
        self.definition().map(|d| d.variable)
    }

    fn definition(self) -> Option<Definition> {
        let own = match self {
            Slot::Candidate(place) => Slot::Candidate(place % CANDIDATES),
            slot => slot,
        };
        definitions().find(|d| d.slot == own)
    }
}

/// The stroke patterns of candidates; the first one's lines are whole.
const DASHES: [Option<&str>; CANDIDATES] = [
    None,
    Some("2 3"),
    Some("12 3 2 3"),
    Some("14 4"),
    Some("4 2"),
    Some("8 3 2 3 2 3"),
    Some("1 4"),
];

/// CSS declarations of every variable, for the light or the dark theme.
#[must_use]
pub fn css_variables(dark: bool) -> String {
    definitions()
        .map(|d| {
            let (r, g, b) = if dark { d.dark } else { d.light };
            format!("{}:#{r:02x}{g:02x}{b:02x};", d.variable)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_slot_survives_the_way_through_plotters() {
        for definition in definitions() {
            let color = definition.slot.color();
            assert_eq!(
                Slot::of_rgb((color.0, color.1, color.2)),
                Some(definition.slot)
            );
        }
    }

    #[test]
    fn text_on_fills_is_readable_in_both_themes() {
        for group in StageGroup::ALL {
            let fill = Slot::Group(group).definition().unwrap();
            let ink = Slot::Group(group).ink().definition().unwrap();
            assert!(contrast(fill.light, ink.light) >= 4.5, "{}", fill.variable);
            assert!(contrast(fill.dark, ink.dark) >= 4.5, "{}", fill.variable);
        }
    }

    #[test]
    fn contrast_holds_in_both_themes() {
        let pick = |slot: Slot| slot.definition().unwrap();
        let surface = pick(Slot::Surface);
        for definition in definitions() {
            let needed = match definition.slot {
                Slot::Text | Slot::Muted => 4.5,
                Slot::Group(_) | Slot::Candidate(_) | Slot::Baseline => 3.0,
                _ => continue,
            };
            assert!(
                contrast(definition.light, surface.light) >= needed,
                "{}",
                definition.variable
            );
            assert!(
                contrast(definition.dark, surface.dark) >= needed,
                "{}",
                definition.variable
            );
        }
    }
}
