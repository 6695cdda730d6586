//! The model of most tests: a table `customers` that changes, and the history of what it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::judge::{Judgement, Version};
use super::sink_process::Sink;
use super::warehouse::Warehouse;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    /// May be NULL.
    pub(crate) email: Option<String>,
    /// May hold any text.
    pub(crate) name: String,
    /// The column that tests change.
    pub(crate) plan: String,
}

/// The table as the test wants it, and the versions that it has had in the warehouse.
#[derive(Clone)]
pub(crate) struct Customers {
    /// The rows by `id`: change them, then [`publish`](Self::publish).
    pub(crate) rows: BTreeMap<i64, Customer>,
    published: BTreeMap<i64, Customer>,
    history: Vec<Version>,
}

impl Customers {
    /// Rows 1 to `count`, with some of what real tables have: NULL, accents, quotes, text that looks like JSON.
    pub(crate) fn new(count: i64) -> Self {
        Self {
            rows: (1..=count).map(|id| (id, customer(id))).collect(),
            published: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    /// Sets the plan of these rows.
    pub(crate) fn set_plan(&mut self, ids: impl IntoIterator<Item = i64>, plan: &str) {
        for id in ids {
            self.rows.get_mut(&id).expect("a row of the table").plan = plan.to_owned();
        }
    }

    /// Adds rows as [`new`](Self::new) makes them.
    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = i64>) {
        self.rows.extend(ids.into_iter().map(|id| (id, customer(id))));
    }

    /// Removes rows.
    pub(crate) fn remove(&mut self, ids: impl IntoIterator<Item = i64>) {
        for id in ids {
            self.rows.remove(&id).expect("a row of the table");
        }
    }

    /// Brings the warehouse's table to the rows, and notes the new version in the sink's journal.
    pub(crate) fn publish(&mut self, warehouse: &Warehouse, sink: Option<&Sink>) {
        let mut sql = String::from("begin;\n");
        if self.history.is_empty() {
            sql +=
                "create table customers (id bigint primary key, email text, name text not null, plan text not null);\n";
        }
        for id in self.published.keys().filter(|id| !self.rows.contains_key(id)) {
            writeln!(sql, "delete from customers where id = {id};").expect("text");
        }
        let mut version = self.history.last().cloned().unwrap_or_default();
        version.retain(|id, _| id.parse().is_ok_and(|id| self.rows.contains_key(&id)));
        let mut added = Vec::new();
        for (id, row) in self.rows.iter().filter(|(id, row)| self.published.get(id) != Some(row)) {
            version.insert(id.to_string(), record(*id, row));
            match self.published.get(id) {
                None => added.push(format!("({id}, {})", literals(row))),
                Some(_) => {
                    let values = literals(row);
                    writeln!(sql, "update customers set (email, name, plan) = ({values}) where id = {id};")
                        .expect("text");
                }
            }
        }
        for rows in added.chunks(500) {
            writeln!(sql, "insert into customers (id, email, name, plan) values {};", rows.join(", ")).expect("text");
        }
        sql += "commit;";
        warehouse.execute(&sql);
        self.published.clone_from(&self.rows);
        self.history.push(version);
        if let Some(sink) = sink {
            sink.version(self.history.len() - 1);
        }
    }

    /// What the sink's journal says of the published versions.
    pub(crate) fn judge(&self, sink: &Sink) -> Judgement {
        Judgement::of(sink, &self.history)
    }

    /// All published versions, in order.
    pub(crate) fn history(&self) -> &[Version] {
        &self.history
    }

    /// The records of the version in force, by key.
    pub(crate) fn records(&self) -> &Version {
        self.history.last().expect("a published version")
    }
}

fn customer(id: i64) -> Customer {
    let name = match id % 5 {
        0 => format!("Zoë Ångström {id}"),
        1 => format!("O'Neil \"{id}\""),
        2 => format!(r#"{{"id": {id}}}"#),
        3 => format!("line\nbreak\t{id}"),
        _ => format!("客户 {id}"),
    };
    Customer { email: (id % 7 != 0).then(|| format!("c{id}@example.com")), name, plan: "free".to_owned() }
}

/// The record that the destination gets for a row.
fn record(id: i64, row: &Customer) -> serde_json::Value {
    json!({ "id": id, "email": row.email, "name": row.name, "plan": row.plan })
}

fn literals(row: &Customer) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let email = row.email.as_deref().map_or_else(|| "null".to_owned(), quoted);
    format!("{email}, {}, {}", quoted(&row.name), quoted(&row.plan))
}

#[cfg(test)]
mod tests {
    use crate::support::warehouse::{Warehouse, on_each_warehouse};

    use super::*;

    on_each_warehouse!(the_table_is_what_was_published);

    fn the_table_is_what_was_published(warehouse: &Warehouse) {
        let mut customers = Customers::new(1_001);
        customers.publish(warehouse, None);
        customers.set_plan([1, 6], "pro");
        customers.remove([2]);
        customers.add([2_000]);
        customers.publish(warehouse, None);
        warehouse.assert_count("select * from customers", 1_001);
        for (id, row) in customers.rows.iter().filter(|(id, _)| [1, 3, 6, 7, 2_000].contains(*id)) {
            let [email, name, plan] = [row.email.as_deref(), Some(&*row.name), Some(&*row.plan)].map(|text| {
                text.map_or_else(|| "is null".to_owned(), |text| format!("= '{}'", text.replace('\'', "''")))
            });
            let query =
                format!("select * from customers where id = {id} and email {email} and name {name} and plan {plan}",);
            warehouse.assert_count(&query, 1);
        }
    }
}
