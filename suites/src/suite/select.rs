//! Which tasks of a source belong to a suite.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use timeslip_datasets::text::plural;

use super::{Quarantined, SuiteFile};
use crate::formats::LoadedTask;
use crate::{Error, Result};

/// What a suite consists of.
pub(super) struct Selection {
    /// By id.
    pub(super) chosen: Vec<LoadedTask>,
    /// Of those that would belong to it, what is left out.
    pub(super) excluded: Vec<Quarantined>,
}

impl SuiteFile {
    /// Applies `include`, `exclude` and `tags`, then the quarantine, then `sample`. A
    /// name that selects nothing is an error: a typing mistake must not quietly change
    /// what is measured.
    pub(super) fn select(
        &self,
        candidates: Vec<LoadedTask>,
        quarantine: Vec<Quarantined>,
    ) -> Result<Selection> {
        let wanted = self.wanted(candidates.iter().map(|(id, _)| id.as_str()).collect())?;
        let tagged = |candidate: &LoadedTask| match &candidate.1 {
            Ok(task) => self.tags.is_empty() || self.tags.iter().any(|tag| task.tags.contains(tag)),
            // Its tags are not known; it can be excluded by its id.
            Err(_) => true,
        };
        let mut chosen: Vec<LoadedTask> = candidates
            .into_iter()
            .filter(|candidate| wanted.contains(&candidate.0) && tagged(candidate))
            .collect();
        if chosen.is_empty() {
            let field = if self.tags.is_empty() {
                "exclude"
            } else {
                "tags"
            };
            return Err(self.lines.error(field, "leaves no task"));
        }
        let known: BTreeMap<String, Quarantined> = quarantine
            .into_iter()
            .map(|entry| (entry.task.clone(), entry))
            .collect();
        let excluded: Vec<Quarantined> = chosen
            .iter()
            .filter_map(|(id, _)| known.get(id).cloned())
            .collect();
        chosen.retain(|(id, _)| !known.contains_key(id));
        if chosen.is_empty() {
            return Err(self.lines.error("quarantine", "leaves no task"));
        }
        if let Some(sample) = self.sample {
            if sample.count > chosen.len() {
                let (count, left) = (plural(sample.count, "task"), chosen.len());
                let message = format!("asks for {count}, but there are {left}");
                return Err(self.lines.error("sample.count", &message));
            }
            // Each task has a place of its own, whatever others there are.
            chosen.sort_by_cached_key(|(id, _)| Sha256::digest(format!("{}/{id}", sample.seed)));
            chosen.truncate(sample.count);
        }
        chosen.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Selection { chosen, excluded })
    }

    /// The ids that `include` and `exclude` leave.
    fn wanted(&self, ids: Vec<&str>) -> Result<BTreeSet<String>> {
        let matching = |field: &str, patterns: &[String]| -> Result<BTreeSet<String>> {
            let mut found = BTreeSet::new();
            for (index, pattern) in patterns.iter().enumerate() {
                let fits = ids.iter().filter(|id| matches(pattern, id));
                let fits: Vec<String> = fits.map(|id| (*id).to_owned()).collect();
                if fits.is_empty() {
                    let message = format!(
                        "{pattern:?} fits no task of {}; there are {}",
                        self.source,
                        shortened(&ids)
                    );
                    return Err(self.lines.error(&format!("{field}[{index}]"), &message));
                }
                found.extend(fits);
            }
            Ok(found)
        };
        let included = match &self.include {
            Some(patterns) => matching("include", patterns)?,
            None => ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let excluded = matching("exclude", &self.exclude)?;
        Ok(included.difference(&excluded).cloned().collect())
    }
}

fn shortened(ids: &[&str]) -> String {
    const SHOWN: usize = 20;
    let mut text = ids[..ids.len().min(SHOWN)].join(", ");
    if ids.len() > SHOWN {
        text += &format!(" and {} more", ids.len() - SHOWN);
    }
    text
}

/// What cannot be used, as one error.
pub(super) fn unusable(mut errors: Vec<(String, Error)>) -> Option<Error> {
    let more = errors.len().saturating_sub(1);
    let (_, first) = errors.drain(..).next()?;
    Some(match more {
        0 => first,
        more => Error::Unusable {
            first: Box::new(first),
            more,
        },
    })
}

/// Whether a pattern with `*` (anything) and `?` (one character) fits a whole id.
fn matches(pattern: &str, id: &str) -> bool {
    let (pattern, id): (Vec<char>, Vec<char>) = (pattern.chars().collect(), id.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last star stands, and what it began to take.
    let mut star: Option<(usize, usize)> = None;
    while place < id.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == id[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((back, taken)) = star else {
                    return false;
                };
                star = Some((back, taken + 1));
                (at, place) = (back + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_whole_ids() {
        for (pattern, id, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("django__*-1?", "django__django-12", true),
            ("django__*-1?", "django__django-123", false),
            ("*a*a*a", "aa", false),
            ("?", "é", true),
        ] {
            assert_eq!(matches(pattern, id), fits, "{pattern} {id}");
        }
    }

    proptest! {
        #[test]
        fn an_id_fits_itself_and_its_beginning_with_a_star(id in "[a-z-]{0,20}", cut in 0_usize..20) {
            prop_assert!(matches(&id, &id));
            let beginning = &id[..cut.min(id.len())];
            let pattern = format!("{beginning}*");
            prop_assert!(matches(&pattern, &id));
        }

        #[test]
        fn patterns_never_panic_or_hang(pattern in "[*?ab]{0,30}", id in "[ab]{0,60}") {
            let _ = matches(&pattern, &id);
        }
    }
}
