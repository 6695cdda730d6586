//! `[into]` of a sync to a table, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Span, schema};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, Operation, Order, Prepared, Removed, SyncShape,
    WritePolicy,
};
use serde_json::json;

use super::account::SqlAccount;
use super::name::TableName;

/// Rows of a transaction where the operator says nothing.
const BATCH_SIZE: usize = 1_000;
/// The most rows of a transaction.
const MAX_BATCH_SIZE: u64 = 10_000;
/// The most bytes of values of a transaction: all of them are in memory at once.
const MAX_BYTES: usize = 16 << 20;

/// A checked sync to a table.
#[derive(Clone, Debug)]
pub(super) struct SqlSync {
    pub(super) account: SqlAccount,
    pub(super) table: TableName,
    pub(super) mode: Mode,
    pub(super) removed: Removed,
    /// Place in `columns` of the one that finds rows.
    pub(super) match_place: Option<usize>,
    /// The columns written, in the order of the sync's fields.
    pub(super) columns: Vec<String>,
    /// When each of them is written.
    pub(super) writes: Vec<WritePolicy>,
    /// Where delivered operations are written down, if they are to be.
    pub(super) operations: Option<TableName>,
    batch_size: usize,
}

impl SqlSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &SqlAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let table = match &shape.object {
            Some((text, span)) => table_name(into, text, span),
            None => None,
        };
        let operations = into.text_at("operations").and_then(|(text, span)| table_name(into, &text, &span));
        let batch_size = into.size_to("batch_size", MAX_BATCH_SIZE).unwrap_or(BATCH_SIZE);
        let (removed, span) = &shape.removed;
        if shape.mode.0 == Mode::Append && *removed != Removed::Ignore {
            let remedy = "use removed = \"ignore\", or mode = \"upsert\"";
            into.problems().refuse("unsupported-removed", span, "rows that were appended are not found again", remedy);
        }
        if shape.mode.0 != Mode::Append && shape.match_field.is_none() {
            into.missing("match");
        }
        Some(Self {
            account: account.clone(),
            table: table?,
            mode: shape.mode.0,
            removed: shape.removed.0,
            match_place: shape.match_field.as_ref().map(|(place, _)| *place).filter(|_| shape.mode.0 != Mode::Append),
            columns: shape.targets(),
            writes: shape.fields.iter().map(|field| field.write).collect(),
            operations,
            batch_size,
        })
    }

    /// Whether rows can be made.
    pub(super) fn inserts(&self) -> bool {
        matches!(self.mode, Mode::Upsert | Mode::Append)
    }

    /// Whether rows that are there can be changed.
    pub(super) fn updates(&self) -> bool {
        matches!(self.mode, Mode::Upsert | Mode::Update) || self.removed == Removed::Clear
    }

    /// Whether rows can be deleted.
    pub(super) fn deletes(&self) -> bool {
        self.removed == Removed::Delete
    }

    /// The rights on the table that the sync needs, in the order in which they are granted.
    pub(super) fn needed_rights(&self) -> Vec<&'static str> {
        let finds = self.match_place.is_some();
        let rights =
            [("SELECT", finds), ("INSERT", self.inserts()), ("UPDATE", self.updates()), ("DELETE", self.deletes())];
        rights.into_iter().filter_map(|(right, needed)| needed.then_some(right)).collect()
    }

    /// The rights on the table that the operation needs.
    fn rights(&self, operation: Operation) -> Vec<String> {
        let rights: &[&str] = match operation {
            Operation::Upsert => &["SELECT", "INSERT", "UPDATE"],
            Operation::Move if self.mode == Mode::Upsert => &["SELECT", "INSERT", "UPDATE"],
            Operation::Append => &["INSERT"],
            Operation::Delete => &["SELECT", "DELETE"],
            _ => &["SELECT", "UPDATE"],
        };
        rights.iter().map(|right| format!("{right} on {}", self.table)).collect()
    }
}

impl Prepared for SqlSync {
    fn facts(&self, operation: Operation) -> Facts {
        let offered = match operation {
            Operation::Upsert | Operation::Update | Operation::Append => operation == self.mode.write_operation(),
            Operation::Move => self.mode != Mode::Append,
            Operation::Delete | Operation::Clear => Some(operation) == self.removed.operation(),
            Operation::Create | Operation::AudienceAdd | Operation::AudienceRemove | Operation::Archive => false,
        };
        let appends = operation == Operation::Append;
        Facts {
            max_rows: if offered { self.batch_size } else { 0 },
            max_bytes: Some(MAX_BYTES),
            // COMMIT settles the whole batch.
            evidence: Evidence::Call,
            resend_safe: offered && !appends,
            read_back: appends && self.operations.is_some(),
            address: if appends { AddressKind::None } else { AddressKind::MatchValue },
            // A unique value is free again once its row is deleted or moved.
            order: Order::RemovalsFirst,
            concurrency: self.account.concurrency,
            // The server ends a statement after that time, COMMIT among them.
            settle_after: self.account.timeout,
            scopes: if offered { self.rights(operation) } else { Vec::new() },
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.table.to_string()
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        self.account.open(self.clone(), &kit)
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let operations = "A table, `schema.table`, in which each transaction writes down what it delivered: a lost answer can then be settled. Made where it is missing.";
    json!({
        "properties": {
            "operations": schema::text(operations),
            "batch_size": schema::count_to(MAX_BATCH_SIZE, "Rows of a transaction. Default 1000."),
        }
    })
}

fn table_name(into: &ConfigTable, text: &str, span: &Span) -> Option<TableName> {
    let name = TableName::parse(text);
    if name.is_none() {
        let message = format!("\"{text}\" is not the name of a table");
        into.problems().refuse("bad-table-name", span, message, "write it as \"schema.table\", without quotes inside");
    }
    name
}
