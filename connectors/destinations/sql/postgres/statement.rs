//! The statements. Each column is one array of text; the server makes rows of them.

use backhaul_kit::WritePolicy;

use super::super::database::{Action, Work};
use super::super::name::quoted;
use super::super::table::Column;

const QUOTE: char = '"';

/// The statement of `work`. Those that change or remove rows return the numbers, from 1, of the rows that were found.
pub(super) fn of(work: &Work<'_, Option<String>>) -> String {
    let table = work.table.name.quoted(QUOTE);
    let name = |column: &Column| quoted(&column.name, QUOTE);
    let list = |each: &dyn Fn(usize, &Column) -> String| {
        work.columns.iter().enumerate().map(|(at, column)| each(at, column)).collect::<Vec<_>>().join(", ")
    };
    match (work.action, work.matched) {
        (Action::Insert | Action::Upsert, matched) => {
            let mut sql = format!(
                "INSERT INTO {table} AS t ({}) SELECT {} FROM {}",
                list(&|_, column| name(column)),
                list(&value),
                unnested(work.columns.len(), false)
            );
            if let Some(matched) = matched.filter(|_| work.action == Action::Upsert) {
                let others = work.columns.iter().zip(&work.writes).filter(|(column, _)| column.name != matched.name);
                let given = |column: &Column| format!("EXCLUDED.{}", name(column));
                let mut set: Vec<String> =
                    others.filter_map(|(column, write)| assigned(&name(column), &given(column), *write)).collect();
                if set.is_empty() {
                    // Every row is counted, also one that is there and has nothing to change.
                    set.push(format!("{} = {}", name(matched), given(matched)));
                }
                sql.push_str(&format!(" ON CONFLICT ({}) DO UPDATE SET {}", name(matched), set.join(", ")));
            }
            sql
        }
        (Action::Delete, matched) => {
            format!("DELETE FROM {table} AS t USING {}{}", unnested(1, true), found(0, matched))
        }
        (Action::Update, matched) => {
            let columns = work.columns.iter().zip(&work.writes).enumerate();
            let mut set: Vec<String> = columns
                .filter_map(|(at, (column, write))| assigned(&name(column), &value(at, column), *write))
                .collect();
            if let (true, Some(matched)) = (set.is_empty(), matched) {
                set.push(format!("{0} = t.{0}", name(matched)));
            }
            let set = set.join(", ");
            let at = work.columns.len();
            format!("UPDATE {table} AS t SET {set} FROM {}{}", unnested(at + 1, true), found(at, matched))
        }
        (Action::Clear, matched) => {
            let set = list(&|_, column| format!("{} = NULL", name(column)));
            format!("UPDATE {table} AS t SET {set} FROM {}{}", unnested(1, true), found(0, matched))
        }
    }
}

/// The arrays of its parameters: the columns', then the match values.
pub(super) fn arrays(work: &Work<'_, Option<String>>) -> Vec<Vec<Option<String>>> {
    let cells = if work.action == Action::Clear { 0 } else { work.columns.len() };
    let mut arrays: Vec<Vec<Option<String>>> =
        (0..cells).map(|at| work.rows.iter().map(|row| row.cells.get(at).cloned().flatten()).collect()).collect();
    match work.action {
        Action::Insert | Action::Upsert => {}
        // A removal has no values.
        Action::Delete => arrays = vec![addresses(work)],
        Action::Update | Action::Clear => arrays.push(addresses(work)),
    }
    arrays
}

fn addresses(work: &Work<'_, Option<String>>) -> Vec<Option<String>> {
    work.rows.iter().map(|row| row.address.clone().flatten()).collect()
}

/// What a row that is there gets, if anything.
fn assigned(name: &str, given: &str, write: WritePolicy) -> Option<String> {
    match write {
        WritePolicy::Always => Some(format!("{name} = {given}")),
        WritePolicy::IfEmpty => Some(format!("{name} = COALESCE(t.{name}, {given})")),
        WritePolicy::OnCreate => None,
    }
}

/// The value of the array at that place.
fn value(at: usize, column: &Column) -> String {
    match column.cast.as_str() {
        "" => format!("r.c{at}"),
        cast => format!("r.c{at}::{cast}"),
    }
}

fn unnested(arrays: usize, numbered: bool) -> String {
    let list = |each: &dyn Fn(usize) -> String| (0..arrays).map(each).collect::<Vec<_>>().join(", ");
    let (ordinality, number) = if numbered { (" WITH ORDINALITY", ", n") } else { ("", "") };
    let parameters = list(&|at| format!("${}::pg_catalog.text[]", at + 1));
    format!("UNNEST({parameters}){ordinality} AS r({}{number})", list(&|at| format!("c{at}")))
}

fn found(at: usize, matched: Option<&Column>) -> String {
    let condition = matched.map(|column| format!("t.{} = {}", quoted(&column.name, QUOTE), value(at, column)));
    // Without a match column there is nothing to find.
    format!(" WHERE {} RETURNING r.n", condition.unwrap_or_else(|| String::from("false")))
}
