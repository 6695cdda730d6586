//! What a sync asks of its destination: the words of `[into]` and of fields.

use crate::batch::Operation;
use crate::config::{Problem, Problems, Span};
use crate::nested::{Nest, PathError};

words! {
    /// `[into] mode`.
    #[expect(missing_docs, reason = "each says what it is; the words are explained in docs and `About`")]
    pub enum Mode {
        Upsert = "upsert",
        Update = "update",
        Create = "create",
        Audience = "audience",
        Append = "append",
    }
}

impl Mode {
    /// The operation for rows that are in the model.
    pub fn write_operation(self) -> Operation {
        match self {
            Self::Upsert => Operation::Upsert,
            Self::Update => Operation::Update,
            Self::Create => Operation::Create,
            Self::Audience => Operation::AudienceAdd,
            Self::Append => Operation::Append,
        }
    }
}

words! {
    /// `[into] removed`: what happens to a row that left the model.
    #[expect(missing_docs, reason = "each says what it is")]
    pub enum Removed {
        Ignore = "ignore",
        Archive = "archive",
        Delete = "delete",
        Clear = "clear",
    }
}

impl Removed {
    /// The operation for removed rows, if any. An audience removes members whatever this says.
    pub fn operation(self) -> Option<Operation> {
        match self {
            Self::Ignore => None,
            Self::Archive => Some(Operation::Archive),
            Self::Delete => Some(Operation::Delete),
            Self::Clear => Some(Operation::Clear),
        }
    }
}

/// `null` of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum NullPolicy {
    Send,
    Skip,
    Clear,
}

words! {
    /// `write` of a field.
    pub enum WritePolicy {
        /// With every write of its record.
        Always = "always",
        /// Where the record has no value there: what somebody put there stays.
        IfEmpty = "if_empty",
        /// With the write that makes the record, and never again.
        OnCreate = "on_create",
    }
}

/// One mapped field as a destination sees it.
#[derive(Clone, Debug)]
pub struct FieldShape {
    /// Its target as written, perhaps a path: `email`, `address.city`, `items[].sku`.
    pub target: String,
    /// Where it stands in the sync's file.
    pub span: Span,
    /// What a NULL does.
    pub null: NullPolicy,
    /// When it is written.
    pub write: WritePolicy,
}

/// What a destination may know of a sync when it parses `[into]`.
#[derive(Clone, Debug)]
pub struct SyncShape {
    /// The sync's name.
    pub name: String,
    /// `[into] object` and where it stands.
    pub object: Option<(String, Span)>,
    /// `[into] mode` and where it stands.
    pub mode: (Mode, Span),
    /// `[into] removed` and where it stands (the table where it is the default); where that is `ignore`, the way of
    /// the sync's `on_ineligible`, which then concerns people who may not be sent alone.
    pub removed: (Removed, Span),
    /// The operations that the object is offered for; known once its kind has checked the sync.
    pub operations: Vec<Operation>,
    /// Place in `fields` of the match field, and where `match` stands.
    pub match_field: Option<(usize, Span)>,
    /// The fields, in the order of [`Row::fields`](crate::Row::fields).
    pub fields: Vec<FieldShape>,
    /// The model's key columns.
    pub key: Vec<String>,
    /// The signals of consent that `[consent]` names: only rows that have them all granted are sent.
    pub consent: Vec<String>,
    /// `[into]` itself.
    pub span: Span,
}

impl SyncShape {
    /// The match field's name, and where `match` stands.
    pub fn matched(&self) -> Option<(&str, &Span)> {
        let (place, span) = self.match_field.as_ref()?;
        Some((self.fields.get(*place)?.target.as_str(), span))
    }

    /// The place of the field of that name.
    pub fn place_of(&self, target: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.target == target)
    }

    /// How the fields make a nested object; `None` where their paths do not, which goes to `problems`.
    pub fn nest(&self, problems: &Problems) -> Option<Nest> {
        let refuse = |errors: Vec<PathError>| {
            for error in errors {
                let span = self.fields.get(error.target).map_or(&self.span, |field| &field.span);
                problems.push(Problem::error("bad-path", error.message).at(span));
            }
        };
        Nest::compile(&self.targets()).map_err(refuse).ok()
    }

    /// The names of the fields, in their order.
    pub fn targets(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.target.clone()).collect()
    }
}
