//! A table for people: columns as wide as their widest cell.

use std::io::Write;

/// See the module.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Table { rows: vec![head.map(str::to_owned).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| plain(&cell)).to_vec());
    }

    /// Writes to standard output; `when_empty` when there are no rows.
    pub(crate) fn show(&self, when_empty: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.rows.len() == 1 { writeln!(out, "{when_empty}") } else { write!(out, "{}", self.text()) }
    }

    fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// One line, and nothing that a terminal would obey: labels come from strangers.
fn plain(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_gone() {
        let mut table = Table::new(["A", "LONG"]);
        table.row(["größer".into(), "x\u{1b}[2J\n".into()]);
        assert_eq!(table.text(), "A       LONG\ngrößer  x [2J\n");
    }
}
