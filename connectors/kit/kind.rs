//! Kinds of destinations: what each writes, and the checks of a sync that follow from it.

use std::sync::Arc;

use crate::batch::Operation;
use crate::config::{ConfigTable, nearest};
use crate::destination::{Account, Prepared, SandboxKind};
use crate::shape::{Mode, Removed, SyncShape, WritePolicy};

/// A kind of destination (`type = "hubspot"`); static, listed once in the registry. What it says of itself is what
/// `backhaul connectors` prints, and what syncs are checked against.
pub struct DestinationKind {
    /// The `type` in `backhaul.toml`.
    pub name: &'static str,
    /// The vendor's name.
    pub title: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it writes.
    pub objects: &'static [Object],
    /// How it is proved: `spec` (the vendor's own API description), `docs only`, `live` with a date, or, where there
    /// is no vendor, what the tests run it against.
    pub proof: &'static str,
    /// The operations of that description, one a line as `POST /v1/customers`, of which tests hold every request and every
    /// answer of the stand-in against it.
    pub validated: &'static str,
    /// What the vendor refuses rows and calls with: a code or status, and what to do about it.
    pub errors: &'static [(&'static str, &'static str)],
    /// A project that uses it, for its manual: the project's files, each below a line `# its/path.toml`, of which the
    /// first is `backhaul.toml`; models stand in the syncs.
    pub example: &'static str,
    /// Reads `[destinations.X]` (without `type`). Problems go to the table; `None` where nothing can be made of it. No I/O.
    pub read: fn(&mut ConfigTable) -> Option<Box<dyn Account>>,
    /// JSON Schemas of the keys that this kind adds.
    pub schema: fn() -> KindSchema,
    /// Its stand-in, where it has one.
    pub sandbox: Option<fn() -> &'static dyn SandboxKind>,
}

/// JSON Schemas of a destination kind: object schemas with `properties`.
#[derive(Clone, Debug)]
pub struct KindSchema {
    /// Keys of `[destinations.X]` besides `type`.
    pub account: serde_json::Value,
    /// Keys of a sync's `[into]` besides the common ones.
    pub into: serde_json::Value,
}

/// What a kind writes, and what it can do with it.
#[derive(Clone, Debug)]
pub struct Object {
    /// What `[into] object` says.
    pub name: ObjectName,
    /// The modes it is written in.
    pub modes: &'static [Mode],
    /// What can be done with removed rows. An audience removes members whatever this says.
    pub removed: &'static [Removed],
    /// The fields that find a record, where there are few; the kind checks others itself. One that is alone needs no
    /// `match`.
    pub matched: &'static [&'static str],
    /// Whether names of fields are flat: neither `address.city` nor `items[]`.
    pub flat: bool,
    /// When fields can be written, besides always.
    pub writes: &'static [WritePolicy],
    /// A key of `[into]` that must be true for `removed = "delete"`, and what a deletion does that wants to be confirmed.
    pub confirm: Option<(&'static str, &'static str)>,
    /// What to do instead of a mode or a removal (by its word in TOML) that is not offered.
    pub instead: &'static [(&'static str, &'static str)],
}

/// What `[into] object` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectName {
    /// This name.
    Is(&'static str),
    /// Names that look like this, which the kind checks.
    Like(&'static str),
    /// The same, or nothing.
    Perhaps(&'static str),
    /// Nothing: what says it instead.
    None(&'static str),
}

impl ObjectName {
    /// As manuals have it.
    pub fn as_str(self) -> &'static str {
        let (Self::Is(text) | Self::Like(text) | Self::Perhaps(text) | Self::None(text)) = self;
        text
    }
}

impl Object {
    /// An object of whatever name, without modes and removals: to be completed.
    pub const PLAIN: Self = Self {
        name: ObjectName::Like("any"),
        modes: &[],
        removed: &[Removed::Ignore],
        matched: &[],
        flat: false,
        writes: &[],
        confirm: None,
        instead: &[],
    };

    /// The operations that it is offered for.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        let removals = self.removed.iter().filter_map(|removed| removed.operation());
        let leaves = self.modes.contains(&Mode::Audience).then_some(Operation::AudienceRemove);
        self.modes.iter().map(|mode| mode.write_operation()).chain(removals).chain(leaves)
    }

    fn instead_of(&self, word: &str) -> Option<&'static str> {
        self.instead.iter().find(|(own, _)| *own == word).map(|(_, text)| *text)
    }
}

impl DestinationKind {
    /// Reads `[destinations.X]` (without `type`). Problems go to the table; `None` when there were any. No I/O.
    pub fn account(&self, table: &mut ConfigTable) -> Option<Box<dyn Account>> {
        let errors = table.problems().errors();
        (self.read)(table).filter(|_| table.problems().errors() == errors)
    }

    /// Reads the rest of a sync's `[into]`. Problems go to the table; `None` when there were any. No I/O.
    pub fn sync(&self, account: &dyn Account, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        let errors = into.problems().errors();
        let mut shape = shape.clone();
        if let Some(object) = self.object(into, &shape) {
            if let ([only], None) = (object.matched, &shape.match_field) {
                shape.match_field = shape.place_of(only).map(|place| (place, shape.span.clone()));
            }
            self.check(object, into, &shape);
            shape.operations = object.operations().collect();
        }
        // So that all problems are told at once.
        let known = account.sync(into, &shape);
        known.filter(|_| into.problems().errors() == errors)
    }

    /// The object of a sync.
    fn object(&self, into: &ConfigTable, shape: &SyncShape) -> Option<&'static Object> {
        let is_unnamed = |object: &&Object| matches!(object.name, ObjectName::None(_) | ObjectName::Perhaps(_));
        let unnamed = self.objects.iter().find(is_unnamed);
        let Some((name, span)) = &shape.object else {
            if unnamed.is_none() {
                into.missing("object");
            }
            return unnamed;
        };
        if let Some(ObjectName::None(instead)) = unnamed.map(|object| object.name) {
            let message = format!("{} has no object \"{name}\" here", self.title);
            let remedy = format!("take `object` out: {instead}");
            into.problems().refuse("unknown-object", span, message, &remedy);
            return unnamed;
        }
        let is = |object: &&Object| match object.name {
            ObjectName::Is(own) => own == name,
            _ => true,
        };
        let object = self.objects.iter().find(is);
        if object.is_none() {
            let names = || self.objects.iter().map(|object| object.name.as_str());
            let known = names().collect::<Vec<_>>().join(", ");
            let message = format!("{} has no object \"{name}\" that can be written here", self.title);
            into.problems().refuse_near(
                "unknown-object",
                span,
                message,
                nearest(name, names()),
                &format!("one of {known}"),
            );
        }
        object
    }

    /// Refuses what the object is not offered for.
    fn check(&self, object: &Object, into: &mut ConfigTable, shape: &SyncShape) {
        let confirmed = object.confirm.map(|(key, _)| into.bool(key) == Some(true));
        let problems = into.problems();
        let whose = match object.name {
            ObjectName::Is(name) => format!("{}'s {name}", self.title),
            _ => format!("what goes to {}", self.title),
        };
        let ((mode, at_mode), (removed, at_removed)) = (&shape.mode, &shape.removed);
        if !object.modes.contains(mode) {
            let modes: Vec<&str> = object.modes.iter().map(|mode| mode.as_str()).collect();
            let message = format!("{whose} cannot be written in mode \"{}\"", mode.as_str());
            let remedy = format!("use mode = \"{}\"", modes.join("\" or \""));
            problems.refuse("unsupported-mode", at_mode, message, object.instead_of(mode.as_str()).unwrap_or(&remedy));
        }
        let is_audience = *mode == Mode::Audience;
        if !is_audience && !object.removed.contains(removed) {
            let ways: Vec<&str> = object.removed.iter().map(|removed| removed.as_str()).collect();
            let message = format!("removed = \"{}\" is not offered for {whose}", removed.as_str());
            let remedy = format!("use removed = \"{}\"", ways.join("\" or \""));
            let remedy = object.instead_of(removed.as_str()).unwrap_or(&remedy);
            problems.refuse("unsupported-removed", at_removed, message, remedy);
        } else if *removed == Removed::Clear && shape.fields.len() <= usize::from(shape.match_field.is_some()) {
            let message = "there is nothing to clear: the sync writes only what finds the record";
            problems.refuse("unsupported-removed", at_removed, message, "map more fields, or use another way");
        }
        if let (Removed::Delete, Some((key, why)), Some(false)) = (removed, object.confirm, confirmed) {
            let remedy = format!("say that this is meant with {key} = true in [into], or use another way");
            problems.refuse("unconfirmed-removal", at_removed, why, &remedy);
        }
        for field in &shape.fields {
            if object.flat && field.target.contains(['.', '[']) {
                let message = format!("`{}` is nested, and {}'s fields are flat", field.target, self.title);
                problems.refuse("nested-target", &field.span, message, "name the field itself, as \"city\"");
            }
            if field.write != WritePolicy::Always && !object.writes.contains(&field.write) {
                let word = field.write.as_str();
                let message = format!("{} cannot write `{}` with write = \"{word}\"", self.title, field.target);
                let remedy = "every field that is sent is written: use write = \"always\"";
                problems.refuse("unsupported-write", &field.span, message, remedy);
            } else if field.write == WritePolicy::OnCreate && *mode == Mode::Update {
                let message = format!("`{}` is never written: mode \"update\" creates no record", field.target);
                problems.refuse(
                    "unsupported-write",
                    &field.span,
                    message,
                    "use mode = \"upsert\", or take the field out",
                );
            }
        }
        match (object.matched, shape.matched()) {
            ([], _) => {}
            ([only], None) => {
                let message = format!("{whose} are found by `{only}`, and no field is mapped to it");
                let remedy = format!("add \"{only}\" = \"COLUMN\" to [fields]");
                problems.refuse("unsupported-match", &shape.span, message, &remedy);
            }
            (_, None) => into.missing("match"),
            (known, Some((target, _))) if known.contains(&target) => {}
            (known, Some((target, span))) => {
                let message = format!("{whose} are not matched by `{target}`");
                problems.refuse("unsupported-match", span, message, &format!("match by {}", known.join(" or ")));
            }
        }
    }
}
