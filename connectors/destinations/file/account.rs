//! `[destinations.X]` and `[into]` of `type = "file"`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, Span};
use backhaul_kit::nested::Nest;
use backhaul_kit::{
    Account, AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, Operation, Order, Prepared, Removed, Session,
    SyncShape,
};

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
        FileSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        false
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
        let before = into.problems().errors();
        let format = required_choice(into, "format", &[("jsonl", Format::Jsonl), ("csv", Format::Csv)]);
        let set = required_choice(into, "set", &[("full", Set::Full), ("changes", Set::Changes)]);
        let (stem, stem_span) = shape.object.clone().unwrap_or_else(|| (shape.name.clone(), shape.span.clone()));
        check_stem(into, &stem, &stem_span);
        check_mode(into, shape);
        shape.refuse_conditional_writes("a file", into.problems());
        let targets: Vec<String> = shape.fields.iter().map(|field| field.target.clone()).collect();
        let nest = Nest::compile(&targets).map_err(|errors| {
            for error in errors {
                let mut problem = Problem::error("bad-target", error.message);
                if let Some(field) = shape.fields.get(error.target) {
                    problem = problem.at(&field.span);
                }
                into.problems().push(problem);
            }
        });
        if set == Some(Set::Changes)
            && let Some(span) = taken(shape)
        {
            into.problems().push(
                Problem::error("name-taken", "a file of changes has a column `op` of its own")
                    .at(&span)
                    .remedy("give the field or key column another name, or write `set = \"full\"`"),
            );
        }
        if into.problems().errors() > before {
            return None;
        }
        let layout = Layout::new(format?, set? == Set::Changes, targets, &shape.key, nest.ok()?);
        Some(Self { folder: account.path.clone(), stem, set: set?, layout })
    }
}

/// Where a field or key column is named like the column that says what became of a row.
fn taken(shape: &SyncShape) -> Option<Span> {
    let field = shape.fields.iter().find(|field| field.target == OP).map(|field| field.span.clone());
    field.or_else(|| shape.key.iter().any(|column| column == OP).then(|| shape.span.clone()))
}

fn required_choice<T: Copy>(into: &mut ConfigTable, key: &str, choices: &[(&str, T)]) -> Option<T> {
    if !into.has(key) {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        into.problems().push(
            Problem::error("missing-key", format!("`[{}]` needs `{key}`", into.path()))
                .at(into.span())
                .remedy(format!("one of: {}", words.join(", "))),
        );
        return None;
    }
    into.choice(key, choices)
}

fn check_stem(into: &ConfigTable, stem: &str, span: &Span) {
    let bad =
        stem.is_empty() || stem.starts_with('.') || stem.contains(|c: char| c.is_control() || "/\\~:".contains(c));
    if bad {
        into.problems().push(
            Problem::error("bad-file-name", format!("\"{stem}\" cannot be the name of a file here"))
                .at(span)
                .remedy("no slash, backslash, tilde or colon, and no dot at the beginning; the ending is added"),
        );
    }
}

fn check_mode(into: &ConfigTable, shape: &SyncShape) {
    let (mode, span) = &shape.mode;
    if !matches!(mode, Mode::Upsert | Mode::Append) {
        into.problems().push(
            Problem::error("mode-unsupported", format!("files know no mode \"{}\"", mode.as_str()))
                .at(span)
                .remedy("use \"upsert\" or \"append\""),
        );
    }
    let (removed, span) = &shape.removed;
    match removed {
        Removed::Archive | Removed::Clear => into.problems().push(
            Problem::error("removed-unsupported", format!("files know no `removed = \"{}\"`", removed.as_str()))
                .at(span)
                .remedy("use \"delete\" (a row leaves the full set, or is a `remove` among the changes) or \"ignore\""),
        ),
        Removed::Ignore | Removed::Delete => {}
    }
}

impl Prepared for FileSync {
    fn facts(&self, _operation: Operation) -> Facts {
        Facts {
            max_rows: MAX_ROWS,
            max_bytes: None,
            evidence: Evidence::Job,
            // The session decides: what is staged counts for nothing until it is committed.
            resend_safe: false,
            read_back: false,
            merges: false,
            address: AddressKind::None,
            order: Order::WritesFirst,
            session: Session::Ordered,
            whole_set: self.set == Set::Full,
            concurrency: 1,
            settle_after: Duration::ZERO,
            scopes: Vec::new(),
            consent: &[],
            expires: None,
        }
    }

    fn object(&self) -> String {
        self.stem.clone()
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let folder = kit.project_path(&self.folder);
        Ok(Arc::new(FileDestination::new(self.clone(), folder)))
    }
}
