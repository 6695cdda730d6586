//! What the server says of a table, and what is wrong with it for a sync.

use backhaul_kit::config::nearest;
use backhaul_kit::{Fault, ObjectField, ObjectSchema, TypeClass};

use super::account::Dialect;
use super::name::TableName;
use super::sync::SqlSync;

/// What kind of values a column holds, as far as it matters for how they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Text, and whatever is written as text: enumerations, UUIDs, addresses.
    Text,
    /// Whole and other numbers.
    Number,
    /// Booleans.
    Bool,
    /// Raw bytes.
    Binary,
    /// Dates, times, moments.
    Time,
    /// JSON.
    Json,
    /// Bits.
    Bits,
    /// Lists.
    Array(Box<Class>),
    /// What nobody can write as text or bytes.
    Opaque,
}

/// A column of the table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type as the server prints it.
    pub(super) native: String,
    /// The type that its values are cast to, quoted; empty where they need no cast.
    pub(super) cast: String,
    pub(super) class: Class,
    pub(super) nullable: bool,
    /// Whether a new row without it is complete.
    pub(super) has_default: bool,
    /// Whether the server computes it.
    pub(super) computed: bool,
    /// Whether it alone has a unique index that finds conflicts.
    pub(super) unique: bool,
    /// Whether the user may write it in a new row, change it, read it.
    pub(super) may: May,
}

/// What the user may do with a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct May {
    pub(super) insert: bool,
    pub(super) update: bool,
    pub(super) select: bool,
}

/// A table of the server.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// With the schema that it is in.
    pub(super) name: TableName,
    pub(super) columns: Vec<Column>,
    /// How many unique indexes it has.
    pub(super) unique_indexes: usize,
    /// Whether the user may delete rows; `None` where it cannot be known.
    pub(super) may_delete: Option<bool>,
}

impl Table {
    /// A table that nobody has looked at: columns of text.
    pub(super) fn unseen(sync: &SqlSync) -> Self {
        let column = |name: &String| Column {
            name: name.clone(),
            native: String::new(),
            cast: String::new(),
            class: Class::Text,
            nullable: true,
            has_default: true,
            computed: false,
            unique: false,
            may: May::default(),
        };
        Self {
            name: sync.table.clone(),
            columns: sync.columns.iter().map(column).collect(),
            unique_indexes: 0,
            may_delete: None,
        }
    }

    /// The column of that name.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that a sync writes, in the order of its fields.
    ///
    /// # Errors
    /// `Config` where one is not there: it was when the run began.
    pub(super) fn columns_of(&self, sync: &SqlSync) -> Result<Vec<&Column>, Fault> {
        let column = |name: &String| {
            self.column(name).ok_or_else(|| Fault::config(format!("table {} has no column `{name}`", self.name)))
        };
        sync.columns.iter().map(column).collect()
    }

    /// The rights on the table that the sync needs and the user lacks.
    pub(super) fn missing_rights(&self, sync: &SqlSync) -> Vec<&'static str> {
        let mapped = || self.columns.iter().filter(|column| sync.columns.contains(&column.name) && !column.computed);
        let matched = sync.match_place.and_then(|place| sync.columns.get(place)).and_then(|name| self.column(name));
        let lacks = |right: &&str| match *right {
            "SELECT" => matched.is_some_and(|column| !column.may.select),
            "INSERT" => mapped().any(|column| !column.may.insert),
            "UPDATE" => mapped().any(|column| !column.may.update),
            _ => self.may_delete == Some(false),
        };
        sync.needed_rights().into_iter().filter(lacks).collect()
    }

    /// What keeps the sync from writing here, beyond fields that are not there.
    ///
    /// # Errors
    /// `Config`, with every column that is in the way.
    pub(super) fn check(&self, sync: &SqlSync) -> Result<(), Fault> {
        let mapped = |column: &&Column| sync.columns.contains(&column.name);
        let names = |columns: Vec<&Column>| {
            columns.iter().map(|column| format!("`{}`", column.name)).collect::<Vec<_>>().join(", ")
        };
        let needed: Vec<&Column> =
            self.columns.iter().filter(|c| !mapped(c) && !c.nullable && !c.has_default && !c.computed).collect();
        if sync.inserts() && !needed.is_empty() {
            let message = format!("new rows of {} would lack {}: NOT NULL without a default", self.name, names(needed));
            return Err(
                Fault::config(message).remedy("map these columns, give them a default, or use mode = \"update\"")
            );
        }
        let matched = sync.match_place.and_then(|place| sync.columns.get(place));
        let clears = sync.removed == backhaul_kit::Removed::Clear;
        let kept: Vec<&Column> =
            self.columns.iter().filter(|c| mapped(c) && !c.nullable && Some(&c.name) != matched).collect();
        if clears && !kept.is_empty() {
            let message = format!("removed rows of {} cannot be cleared: {} is NOT NULL", self.name, names(kept));
            return Err(Fault::config(message).remedy("use removed = \"delete\" or \"ignore\""));
        }
        // There an upsert meets every unique index, and what tells them apart rests on this.
        let dialect = sync.account.dialect;
        let nullable = matched.and_then(|name| self.column(name)).filter(|column| column.nullable);
        if let Some(column) = nullable.filter(|_| dialect == Dialect::MariaDb && self.unique_indexes > 1) {
            let message =
                format!("{} has other unique indexes, so `{}` must be NOT NULL to match by", self.name, column.name);
            return Err(Fault::config(message).remedy("declare the column NOT NULL, or match by the primary key"));
        }
        let opaque: Vec<&Column> = self.columns.iter().filter(|c| mapped(c) && c.class == Class::Opaque).collect();
        if !opaque.is_empty() {
            let message = format!("{} of {} has a type that backhaul cannot write", names(opaque), self.name);
            return Err(Fault::config(message).remedy("leave it out, or map to a column of text"));
        }
        Ok(())
    }

    /// For the engine's own check of the fields.
    pub(super) fn schema(&self) -> ObjectSchema {
        let field = |column: &Column| ObjectField {
            name: column.name.clone(),
            native: column.native.clone(),
            accepts: accepted(&column.class),
            choices: Vec::new(),
            writable: !column.computed,
            unique: column.unique,
        };
        ObjectSchema { fields: self.columns.iter().map(field).collect() }
    }
}

/// The fault of a table that is not there, with the nearest that is.
pub(super) fn no_table(name: &TableName, known: &[String]) -> Fault {
    let fault = Fault::config(format!("there is no table {name}"));
    match nearest(&name.table, known.iter().map(String::as_str)) {
        Some(near) => fault.remedy(format!("did you mean `{near}`?")),
        None => fault.remedy("create it, or let the user see it; write `object` as \"schema.table\""),
    }
}

/// The types of columns that fit: all where the server reads any text.
fn accepted(class: &Class) -> Vec<TypeClass> {
    use TypeClass as T;
    match class {
        Class::Number | Class::Bits => vec![T::Integer, T::Decimal, T::Float, T::Bool],
        Class::Bool => vec![T::Bool, T::Integer],
        Class::Time => vec![T::Date, T::Time, T::Timestamp, T::LocalTimestamp, T::Interval],
        Class::Array(_) => vec![T::Array(Box::new(T::Any))],
        Class::Binary => vec![T::Bytes],
        Class::Text | Class::Json | Class::Opaque => Vec::new(),
    }
}
