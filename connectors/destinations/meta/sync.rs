//! `[into]` of a sync to Meta, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, Span, nearest};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, FieldRef, FieldValue, Kit, Mode, Operation, Order, Prepared,
    Reason, Session, SyncShape,
};

use super::account::{MetaAccount, is_number};
use super::person::{self, Column};
use super::send::MetaDestination;

/// The permission that writing takes.
pub(super) const MANAGE: &str = "ads_management";

/// A checked sync to Meta.
#[derive(Clone, Debug)]
pub(super) struct MetaSync {
    pub(super) account: MetaAccount,
    /// The audience's id.
    pub(super) audience: String,
    /// The columns, in the order of the sync's fields.
    pub(super) columns: Vec<Column>,
    /// Their names.
    pub(super) names: Vec<String>,
}

impl MetaSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &MetaAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let errors = into.problems().errors();
        let audience = into.required_text_at("audience");
        let hashed = into.texts_at("hashed").unwrap_or_default();
        let refuse = |code, message: String, span: &Span, remedy: &str| {
            into.problems().push(Problem::error(code, message).at(span).remedy(remedy.to_owned()));
        };
        if let Some((text, span)) = &audience
            && !is_number(text)
        {
            refuse(
                "bad-audience",
                format!("\"{text}\" is no audience's id"),
                span,
                "write its number, as \"23851234567890\"",
            );
        }
        if let Some((object, span)) = &shape.object {
            let message = format!("Meta has no object \"{object}\" here");
            refuse("unknown-object", message, span, "take `object` out: `audience` says where people go");
        }
        let (mode, span) = &shape.mode;
        if *mode != Mode::Audience {
            let message = format!("an audience cannot be written in mode \"{}\"", mode.as_str());
            refuse("unsupported-mode", message, span, "use mode = \"audience\"");
        }
        shape.refuse_conditional_writes("Meta", into.problems());
        let mut columns = columns(into, shape);
        for (name, span) in &hashed {
            let column = shape.fields.iter().position(|field| field.target == *name);
            match column.and_then(|place| columns.get_mut(place)) {
                Some(Column::Key(key, declared)) if key.is_hashed => *declared = true,
                _ => {
                    let message = format!("`hashed` names `{name}`, which is not a field that goes out as a hash");
                    refuse(
                        "unknown-field",
                        message,
                        span,
                        "`hashed` names fields of this sync whose columns hold SHA-256",
                    );
                }
            }
        }
        if into.problems().errors() > errors {
            return None;
        }
        let names = shape.fields.iter().map(|field| field.target.clone()).collect();
        Some(Self { account: account.clone(), audience: audience?.0, columns, names })
    }

    /// The cells of a row, in the order of the columns.
    ///
    /// # Errors
    /// Why the row cannot be sent.
    pub(super) fn cells<'a>(&self, fields: impl Iterator<Item = FieldRef<'a>>) -> Result<Vec<String>, Reason> {
        let cells: Vec<String> =
            self.columns.iter().zip(fields).map(|(column, field)| column.cell(field)).collect::<Result<_, _>>()?;
        if !person::is_somebody(&self.columns, &cells) {
            let why =
                "the row has neither an e-mail address, a number, a device or an id of its own, nor a family name";
            return Err(Reason::new("NO_IDENTIFIER", why));
        }
        Ok(cells)
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
            settle_after: self.account.timeout.max(Duration::from_secs(1)),
            scopes: vec![MANAGE.to_owned()],
            ..Facts::default()
        }
    }

    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        // A row that cannot be sent is refused when it would be.
        let cells = self.cells(fields.iter().map(FieldRef::from)).ok()?;
        Some(person::lines(&self.columns, &cells))
    }

    fn object(&self) -> String {
        format!("audience {}", self.audience)
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(MetaDestination::new(self.clone(), self.account.open(&kit)?)))
    }
}

/// The columns of the fields; problems go to the table.
fn columns(into: &ConfigTable, shape: &SyncShape) -> Vec<Column> {
    let mut columns = Vec::with_capacity(shape.fields.len());
    for field in &shape.fields {
        match Column::named(&field.target) {
            Some(column) => columns.push(column),
            None => {
                let message = format!("Meta has no key `{}`", field.target);
                let mut problem = Problem::error("unknown-field", message).at(&field.span);
                if let Some(near) = nearest(&field.target, person::names()) {
                    problem = problem.label(format!("did you mean `{near}`?"));
                }
                let known = person::names().collect::<Vec<_>>().join(", ");
                into.problems().push(problem.remedy(format!("known here: {known}")));
            }
        }
    }
    if columns.len() < shape.fields.len() {
        return columns;
    }
    if !columns.iter().any(|column| matches!(column, Column::Key(..))) {
        let problem = Problem::error("missing-field", "no field is one that a person is matched by").at(&shape.span);
        into.problems().push(problem.remedy("map one, as EMAIL = \"email\""));
    }
    let has = |wanted: fn(&Column) -> bool| columns.iter().any(wanted);
    if has(|column| matches!(column, Column::Place)) && !has(|column| matches!(column, Column::Options)) {
        let message = "a country or state of limited data use says nothing without `DATA_PROCESSING_OPTIONS`";
        into.problems().push(Problem::error("missing-field", message).at(&shape.span).remedy("map it too"));
    }
    columns
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let hashed: Vec<&str> = person::KEYS.iter().filter(|key| key.is_hashed).map(|key| key.name).collect();
    serde_json::json!({
        "properties": {
            "audience": {
                "description": "The id of the custom audience.",
                "type": "string",
                "pattern": "^[0-9]+$"
            },
            "hashed": {
                "description": "Fields whose columns hold SHA-256 already, made of Meta's form.",
                "type": "array",
                "items": { "enum": hashed }
            }
        },
        "required": ["audience"]
    })
}
