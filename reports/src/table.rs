//! Figures for people in rows and columns. One table is drawn on the page, printed in the
//! terminal and shown beside its chart.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width};

use crate::format::one_line;

/// Spaces between columns.
const GAP: u16 = 2;

/// A table; its cells are text as people read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Column headings; the first column names the row.
    pub headings: Vec<String>,
    /// Rows as long as `headings`.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<H: Into<String>>(
        headings: impl IntoIterator<Item = H>,
        rows: impl IntoIterator<Item = Vec<String>>,
    ) -> Self {
        Table {
            headings: headings.into_iter().map(Into::into).collect(),
            rows: rows.into_iter().collect(),
        }
    }

    /// Plain text of at most `width` columns: the names of rows to the left, figures to the
    /// right. No cell moves the terminal's cursor.
    #[must_use]
    pub fn to_text(&self, width: u16) -> String {
        let line =
            |cells: &[String]| -> Vec<String> { cells.iter().map(|cell| one_line(cell)).collect() };
        let mut table = comfy_table::Table::new();
        table
            .load_preset(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width)
            .set_header(line(&self.headings))
            .add_rows(self.rows.iter().map(|row| line(row)));
        let last = self.headings.len().saturating_sub(1);
        // The names of rows are not broken for figures, unless they take over the line.
        let names = self.rows.iter().filter_map(|row| row.first());
        let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let kept = u16::try_from(longest).unwrap_or(width).min(width / 3) + GAP;
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { GAP }));
            if index > 0 {
                column.set_cell_alignment(CellAlignment::Right);
            } else {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(kept)));
            }
        }
        let mut out = String::new();
        for line in table.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_under_their_headings() {
        let rows = [["a", "1", "1,000"], ["a longer name", "22", "–"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let table = Table::new(["", "one", "two"], rows);
        let expected = "               one    two\n\
                        a                1  1,000\n\
                        a longer name   22      –\n";
        assert_eq!(table.to_text(80), expected);
    }

    #[test]
    fn hostile_cells_stay_in_their_line_and_width() {
        let cell = "x\u{1b}[2J\n\u{202e}".repeat(40);
        let table = Table::new(["", "one"], [vec![cell.clone(), cell]]);
        let text = table.to_text(60);
        assert!(
            text.lines().all(|line| line.chars().count() <= 60),
            "{text}"
        );
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
}
