//! `[destinations.X]` and `[into]` of `type = "file"`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, Span, schema};
use backhaul_kit::{Account, Destination, Evidence, Facts, Fault, Kit, Operation, Prepared, Session, SyncShape};
use serde_json::{Value, json};

use super::format::{Format, Layout, OP};
use super::session::FileDestination;

/// Rows in one write: a few megabytes at most.
const MAX_ROWS: usize = 10_000;

/// What one run leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// One file with all rows.
    Full,
    /// One more file with the rows that changed.
    Changes,
}

/// A checked `[destinations.X]`.
#[derive(Clone, Debug)]
pub(super) struct FileAccount {
    path: PathBuf,
}

impl FileAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let (path, span) = table.required_text_at("path")?;
        if path.is_empty() {
            table.problems().push(
                Problem::error("bad-path", format!("`{}` is empty", table.path_of("path")))
                    .at(&span)
                    .remedy("name a folder, as \"exports\""),
            );
            return None;
        }
        Some(Self { path: path.into() })
    }
}

impl Account for FileAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(FileSync::read(self, into, shape)?))
    }
}

/// A checked sync.
#[derive(Clone, Debug)]
pub(super) struct FileSync {
    /// The folder, perhaps relative to the project.
    pub(super) folder: PathBuf,
    /// The file's name without its ending.
    pub(super) stem: String,
    /// What a run leaves.
    pub(super) set: Set,
    /// How rows are written.
    pub(super) layout: Layout,
}

impl FileSync {
    fn read(account: &FileAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let format = into.required_choice("format", &[("jsonl", Format::Jsonl), ("csv", Format::Csv)]);
        let set = into.required_choice("set", &[("full", Set::Full), ("changes", Set::Changes)]);
        let (stem, stem_span) = shape.object.clone().unwrap_or_else(|| (shape.name.clone(), shape.span.clone()));
        check_stem(into, &stem, &stem_span);
        let nest = shape.nest(into.problems());
        if set == Some(Set::Changes)
            && let Some(span) = taken(shape)
        {
            into.problems().push(
                Problem::error("name-taken", "a file of changes has a column `op` of its own")
                    .at(&span)
                    .remedy("give the field or key column another name, or write `set = \"full\"`"),
            );
        }
        let layout = Layout::new(format?, set? == Set::Changes, shape.targets(), &shape.key, nest?);
        Some(Self { folder: account.path.clone(), stem, set: set?, layout })
    }
}

/// Where a field or key column is named like the column that says what became of a row.
fn taken(shape: &SyncShape) -> Option<Span> {
    let field = shape.fields.iter().find(|field| field.target == OP).map(|field| field.span.clone());
    field.or_else(|| shape.key.iter().any(|column| column == OP).then(|| shape.span.clone()))
}

fn check_stem(into: &ConfigTable, stem: &str, span: &Span) {
    let bad =
        stem.is_empty() || stem.starts_with('.') || stem.contains(|c: char| c.is_control() || "/\\~:".contains(c));
    if bad {
        let message = format!("\"{stem}\" cannot be the name of a file here");
        let remedy = "no slash, backslash, tilde or colon, and no dot at the beginning; the ending is added";
        into.problems().refuse("bad-file-name", span, message, remedy);
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> Value {
    json!({ "required": ["path"], "properties": { "path": schema::text("A folder; relative to the project") } })
}

/// The keys of `[into]`, for editors.
pub(super) fn into_schema() -> Value {
    let set = "The whole set in one file, or a file of changes a run";
    json!({
        "required": ["format", "set"],
        "properties": {
            "format": schema::choice(["jsonl", "csv"], "How rows are written"),
            "set": schema::choice(["full", "changes"], set),
        },
    })
}

impl Prepared for FileSync {
    fn facts(&self, _operation: Operation) -> Facts {
        Facts {
            max_rows: MAX_ROWS,
            // The session decides: what is staged counts for nothing until it is committed.
            evidence: Evidence::Job,
            session: Session::Ordered,
            whole_set: self.set == Set::Full,
            settle_after: Duration::ZERO,
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.stem.clone()
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let folder = kit.secrets.project_path(&self.folder);
        Ok(Arc::new(FileDestination::new(self.clone(), folder)))
    }
}
