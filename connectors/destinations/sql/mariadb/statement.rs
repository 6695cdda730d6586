//! The statements: one placeholder for each cell.

use backhaul_kit::{Reason, WritePolicy};

use super::super::database::{Action, Failure, Work};
use super::super::draft::DraftRow;
use super::super::name::quoted;
use super::super::table::Column;
use super::values::Cell;

const QUOTE: char = '`';
/// The most placeholders of a statement.
const MAX_CELLS: usize = 65_535;
/// What a message has beside its values.
const OVERHEAD: usize = 1_024;

/// The statement of `work` for that many rows; one for `Update`.
pub(super) fn of(work: &Work<'_, Cell>, rows: usize) -> String {
    let table = work.table.name.quoted(QUOTE);
    let list = |each: &dyn Fn(&str) -> String| {
        work.columns.iter().map(|column| each(&name(column))).collect::<Vec<_>>().join(", ")
    };
    let matched = work.matched.map_or_else(|| String::from("NULL"), name);
    match work.action {
        Action::Insert | Action::Upsert => {
            let row = format!("({})", vec!["?"; work.columns.len()].join(", "));
            let rows = vec![row.as_str(); rows].join(", ");
            let sql = format!("INSERT INTO {table} ({}) VALUES {rows}", list(&str::to_owned));
            if work.action == Action::Insert { sql } else { format!("{sql} ON DUPLICATE KEY UPDATE {}", changes(work)) }
        }
        Action::Update => {
            let set: Vec<String> = work
                .columns
                .iter()
                .zip(&work.writes)
                .map(|(column, write)| assigned(&name(column), "?", *write))
                .collect();
            let set = if set.is_empty() { format!("{matched} = {matched}") } else { set.join(", ") };
            format!("UPDATE {table} SET {set} WHERE {matched} = ?")
        }
        Action::Delete => format!("DELETE FROM {table} WHERE {matched} IN ({})", vec!["?"; rows].join(", ")),
        Action::Clear => {
            let set = list(&|column| format!("{column} = NULL"));
            format!("UPDATE {table} SET {set} WHERE {matched} IN ({})", vec!["?"; rows].join(", "))
        }
    }
}

/// The values of a row in the order of its placeholders.
pub(super) fn cells(action: Action, row: &DraftRow<Cell>) -> &[Cell] {
    match action {
        Action::Insert | Action::Upsert | Action::Update => &row.cells,
        Action::Delete | Action::Clear => row.address.as_slice(),
    }
}

/// How many of the next rows fit into a statement: one at least.
///
/// # Errors
/// A row that is too large for any.
pub(super) fn fitting(work: &Work<'_, Cell>, rows: &[&DraftRow<Cell>], max_packet: usize) -> Result<usize, Failure> {
    let most = MAX_CELLS / cells_of(work).max(1);
    let room = max_packet.saturating_sub(OVERHEAD);
    let (mut bytes, mut count) = (0, 0);
    for row in rows.iter().take(most) {
        // Its placeholders are in the statement's text, which is prepared alone and is shorter than this.
        bytes += cells(work.action, row).iter().map(|cell| cell.bytes() + 3).sum::<usize>();
        if bytes > room {
            break;
        }
        count += 1;
    }
    if count == 0 {
        let text = format!("the row is larger than the server's max_allowed_packet of {max_packet} bytes");
        return Err(Failure::Row(Reason::new("TOO_LARGE", text)));
    }
    Ok(count)
}

fn cells_of(work: &Work<'_, Cell>) -> usize {
    match work.action {
        Action::Insert | Action::Upsert | Action::Update => work.columns.len(),
        Action::Delete | Action::Clear => 1,
    }
}

/// What becomes of a row that is there. Any unique index leads here, not only that of the match column: there a row of
/// another match value would be overwritten, so that its match column is set to NULL, which the server refuses.
fn changes(work: &Work<'_, Cell>) -> String {
    let matched = work.matched.map(name).unwrap_or_default();
    let others = work.columns.iter().zip(&work.writes).map(|(column, write)| (name(column), *write));
    let others = others.filter(|(column, _)| *column != matched);
    let mut set: Vec<String> =
        others.map(|(column, write)| assigned(&column, &format!("VALUES({column})"), write)).collect();
    if work.table.unique_indexes > 1 {
        set.insert(0, format!("{matched} = IF({matched} = VALUES({matched}), {matched}, NULL)"));
    } else if set.is_empty() {
        set.push(format!("{matched} = VALUES({matched})"));
    }
    set.join(", ")
}

/// What a row that is there gets; every value has its placeholder, also one that stays out.
fn assigned(name: &str, given: &str, write: WritePolicy) -> String {
    match write {
        WritePolicy::Always => format!("{name} = {given}"),
        WritePolicy::IfEmpty => format!("{name} = IFNULL({name}, {given})"),
        WritePolicy::OnCreate => format!("{name} = IF(TRUE, {name}, {given})"),
    }
}

fn name(column: &Column) -> String {
    quoted(&column.name, QUOTE)
}
