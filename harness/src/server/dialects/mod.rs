//! The wire protocols spoken here: one file each.

pub(super) mod responses;

use super::dialect::Dialect;

/// Every dialect; the first also speaks where no dialect is at home.
const DIALECTS: &[&dyn Dialect] = &[&responses::Responses];

/// The dialect in which a path is answered, if only to say that there is nothing.
pub(super) fn of_path(path: &str) -> &'static dyn Dialect {
    let taking = DIALECTS.iter().find(|dialect| dialect.takes(path));
    *taking.unwrap_or(&DIALECTS[0])
}
