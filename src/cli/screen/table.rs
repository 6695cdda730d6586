//! Tables without borders, for people, and the same in Markdown.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table as Grid};

use super::Format;

/// Which side a column keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has one cell a column. Control characters are dropped: they could rewrite the terminal.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let clean = cells.map(|cell| cell.chars().filter(|c| !c.is_control()).collect());
        self.rows.push(clean.into());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, without a line break at its end.
    pub fn render(&self, format: Format) -> String {
        if format == Format::Markdown { self.markdown() } else { self.plain() }
    }

    fn plain(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(NOTHING);
        grid.set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(self.columns.iter().map(|(name, _)| name.to_uppercase()));
        for row in &self.rows {
            grid.add_row(row);
        }
        for (column, (_, align)) in grid.column_iter_mut().zip(&self.columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        grid.trim_fmt()
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let mut lines = vec![line(self.columns.iter().map(|(name, _)| (*name).to_owned()).collect())];
        let rule = |align: &Align| String::from(if *align == Align::Right { "---:" } else { "---" });
        lines.push(line(self.columns.iter().map(|(_, align)| rule(align)).collect()));
        for row in &self.rows {
            lines.push(line(row.iter().map(|cell| cell.replace('\\', "\\\\").replace('|', "\\|")).collect()));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("sync", Align::Left), ("rows", Align::Right), ("note", Align::Left)]);
        table.row(["vip-crm".into(), "20,000".into(), "a|b".into()]);
        table.row(["李小龙".into(), "7".into(), "\u{1b}[31mred\n".into()]);
        table
    }

    #[test]
    fn columns_line_up_whatever_the_script() {
        insta::assert_snapshot!(table().render(Format::Human));
    }

    #[test]
    fn markdown_cells_stay_in_their_columns() {
        insta::assert_snapshot!(table().render(Format::Markdown));
    }
}
