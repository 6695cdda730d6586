//! `[into]` of a sync to Meta, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, nearest, schema};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, FieldRef, FieldValue, Kit, Operation, Order, Prepared, Reason,
    Session, SyncShape,
};
use serde_json::{Value, json};

use super::account::{MetaAccount, is_number};
use super::person::{self, COLUMNS, Column, OPTIONS};
use super::send::MetaDestination;
use super::session::Sessions;

/// The permission that writing takes.
pub(super) const MANAGE: &str = "ads_management";

/// The cells of a row, in the order of the columns, and the hashes that it is found by.
pub(super) type Person = (Vec<Value>, String);

/// A checked sync to Meta.
#[derive(Clone, Debug)]
pub(super) struct MetaSync {
    pub(super) account: MetaAccount,
    /// The audience's id.
    pub(super) audience: String,
    /// The columns, in the order of the sync's fields; whether each comes as hashes.
    pub(super) columns: Vec<(&'static Column, bool)>,
}

impl MetaSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &MetaAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let audience = into.required_text_at("audience");
        let hashed = into.texts_at("hashed").unwrap_or_default();
        if let Some((text, span)) = audience.as_ref().filter(|(text, _)| !is_number(text)) {
            let message = format!("\"{text}\" is no audience's id");
            into.problems().refuse("bad-audience", span, message, "write its number, as \"23851234567890\"");
        }
        let columns = columns(into, shape);
        for (name, span) in &hashed {
            if !columns.iter().any(|column| column.name == name && column.is_hashed()) {
                let message = format!("`hashed` names `{name}`, which is not a field that goes out as a hash");
                let remedy = "`hashed` names fields whose columns hold SHA-256";
                into.problems().refuse("unknown-field", span, message, remedy);
            }
        }
        let is_hashed = |column: &Column| hashed.iter().any(|(name, _)| column.name == name);
        let columns = columns.into_iter().map(|column| (column, is_hashed(column))).collect();
        Some(Self { account: account.clone(), audience: audience?.0, columns })
    }

    /// A row as a person.
    ///
    /// # Errors
    /// Why the row cannot be sent.
    pub(super) fn person<'a>(&self, fields: impl Iterator<Item = FieldRef<'a>>) -> Result<Person, Reason> {
        let cells = self.columns.iter().zip(fields).map(|((column, hashed), field)| column.cell(field, *hashed));
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        let lines = person::lines(self.columns.iter().map(|(column, _)| *column).zip(&cells))?;
        Ok((cells, lines))
    }
}

impl Prepared for MetaSync {
    fn facts(&self, operation: Operation) -> Facts {
        if !matches!(operation, Operation::AudienceAdd | Operation::AudienceRemove | Operation::Move) {
            return Facts { max_rows: 0, ..Facts::default() };
        }
        Facts {
            max_rows: self.account.rows_per_call,
            evidence: Evidence::Count,
            // Members are a set.
            resend_safe: true,
            address: AddressKind::Hashes,
            // Whoever takes over what another row gave up must come after its removal.
            order: Order::RemovalsFirst,
            session: Session::Ordered,
            settle_after: self.account.http.settle_after(),
            scopes: vec![MANAGE.to_owned()],
            ..Facts::default()
        }
    }

    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        // A row that cannot be sent is refused when it would be.
        self.person(fields.iter().map(FieldRef::from)).ok().map(|(_, lines)| lines)
    }

    fn object(&self) -> String {
        format!("audience {}", self.audience)
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let (sync, graph) = (self.clone(), self.account.open(&kit)?);
        Ok(Arc::new(MetaDestination { sync, graph, sessions: Sessions::default() }))
    }
}

/// The columns of the fields; problems go to the table.
fn columns(into: &ConfigTable, shape: &SyncShape) -> Vec<&'static Column> {
    let mut columns = Vec::with_capacity(shape.fields.len());
    for field in &shape.fields {
        let names = || COLUMNS.iter().map(|column| column.name);
        if let Some(column) = COLUMNS.iter().find(|column| column.name == field.target) {
            columns.push(column);
            continue;
        }
        let (message, near) = (format!("Meta has no key `{}`", field.target), nearest(&field.target, names()));
        let remedy = format!("known here: {}", names().collect::<Vec<_>>().join(", "));
        into.problems().refuse_near("unknown-field", &field.span, message, near, &remedy);
    }
    let lacks = |message: &str, remedy| into.problems().refuse("missing-field", &shape.span, message, remedy);
    if columns.len() == shape.fields.len() && !columns.iter().any(|column| column.is_key()) {
        lacks("no field is one that a person is matched by", "map one, as EMAIL = \"email\"");
    }
    let limits = columns.iter().filter(|column| !column.is_key());
    if limits.clone().next().is_some() && !limits.into_iter().any(|column| column.name == OPTIONS) {
        lacks("a country or state says nothing without `DATA_PROCESSING_OPTIONS`", "map that too");
    }
    columns
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> Value {
    let keys: Vec<&str> = COLUMNS.iter().filter(|column| column.is_hashed()).map(|column| column.name).collect();
    let mut audience = schema::text("The audience's id.");
    audience["pattern"] = "^[0-9]+$".into();
    let hashed = schema::words(keys, "Fields whose columns hold SHA-256 of Meta's form already.");
    json!({ "properties": { "audience": audience, "hashed": hashed }, "required": ["audience"] })
}
