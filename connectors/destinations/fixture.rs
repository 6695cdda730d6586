//! Syncs for tests, read from TOML as the project's reader does it.

use std::marker::PhantomData;
use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, Problems, Severity, SourceFile, parse};
use backhaul_kit::contract::{CANARY, Subject, canary_kit};
use backhaul_kit::{
    DestinationKind, FieldShape, Kit, Mode, NullPolicy, Operation, Prepared, Removed, Row, Sandbox, SyncShape,
    WritePolicy,
};
use tokio::net::TcpListener;

/// Reads `[account]` and `[into]` of a text; the common keys of `[into]` are taken first, and
/// `consent`, the signals that `[consent]` names. The sync is named
/// `customers`; its mode is `upsert` where nothing is said. A field is its name, perhaps with its `write`:
/// `plan=if_empty`.
pub(crate) fn read(
    kind: &DestinationKind,
    text: &str,
    key: &[&str],
    fields: &[&str],
) -> (Option<Arc<dyn Prepared>>, Vec<Problem>) {
    let file = Arc::new(SourceFile { path: "sync.toml".into(), text: text.into() });
    let problems = Problems::default();
    let mut root = parse(&file, &problems);
    let mut account = root.table("account").expect("the text has [account]");
    let mut into = root.table("into").expect("the text has [into]");
    root.finish();
    let shape = shape(&mut into, key, fields);
    let checked = kind.account(&mut account);
    account.finish();
    let prepared = checked.and_then(|checked| {
        let prepared = kind.sync(checked.as_ref(), &mut into, &shape);
        into.finish();
        prepared
    });
    (prepared, problems.take())
}

/// A sync that must be right; warnings are allowed.
pub(crate) fn prepared(kind: &DestinationKind, text: &str, key: &[&str], fields: &[&str]) -> Arc<dyn Prepared> {
    let (prepared, mut problems) = read(kind, text, key, fields);
    problems.retain(|problem| problem.severity == Severity::Error);
    assert_eq!(problems, [], "the configuration is right");
    prepared.expect("no problems, so there is a destination")
}

/// The stand-in of a kind, told these settings.
pub(crate) async fn stand_in(kind: &DestinationKind, settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let sandbox = kind.sandbox.expect("a kind with a stand-in")();
    sandbox.start(listener, &settings).await.expect("a running stand-in")
}

/// The first example in a module's documentation, with the destination's table as `[account]`.
pub(crate) fn example(source: &str) -> String {
    let lines = source.lines().map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default());
    let example = lines.skip_while(|line| *line != "```toml").skip(1).take_while(|line| *line != "```");
    let mut text = String::new();
    for line in example.filter(|line| !line.starts_with("type ")) {
        text.push_str(if line.starts_with("[destinations.") { "[account]" } else { line });
        text.push('\n');
    }
    text
}

fn shape(into: &mut ConfigTable, key: &[&str], fields: &[&str]) -> SyncShape {
    let span = into.span().clone();
    let names: Vec<&str> = fields.iter().map(|field| field.split('=').next().unwrap_or(field)).collect();
    let write = |field: &str| match field.split_once('=') {
        Some((_, "if_empty")) => WritePolicy::IfEmpty,
        Some((_, "on_create")) => WritePolicy::OnCreate,
        _ => WritePolicy::Always,
    };
    let field = |(target, field): (&&str, &&str)| FieldShape {
        target: (*target).into(),
        span: span.clone(),
        null: NullPolicy::Send,
        write: write(field),
    };
    SyncShape {
        operations: Vec::new(),
        name: "customers".into(),
        object: into.text_at("object"),
        mode: into.choice_at("mode", Mode::CHOICES).unwrap_or((Mode::Upsert, span.clone())),
        removed: into.choice_at("removed", Removed::CHOICES).unwrap_or((Removed::Ignore, span.clone())),
        match_field: into
            .text_at("match")
            .and_then(|(target, span)| Some((names.iter().position(|field| *field == target)?, span))),
        fields: names.iter().zip(fields).map(field).collect(),
        key: key.iter().map(|column| (*column).into()).collect(),
        consent: into.texts_at("consent").into_iter().flatten().map(|(signal, _)| signal).collect(),
        span,
    }
}

/// What the kit's suite has to know of a vendor's syncs.
pub(crate) trait Contracted: Send + Sync + Sized + 'static {
    /// The file that the secret stands in.
    const SECRET: &'static str;

    /// As [`Subject::prepare`].
    fn prepare(sync: &Subjected<Self>, url: &str) -> Arc<dyn Prepared>;

    /// As [`Subject::row`].
    fn row(sync: &Subjected<Self>, operation: Operation, op: u64) -> Row;
}

/// A sync of a vendor that the kit's suite puts its questions to.
pub(crate) struct Subjected<V> {
    /// Its `[into]`.
    pub(crate) into: String,
    pub(crate) fields: &'static [&'static str],
    operations: &'static [Operation],
    project: Arc<tempfile::TempDir>,
    vendor: PhantomData<V>,
}

impl<V> Clone for Subjected<V> {
    fn clone(&self) -> Self {
        let Self { into, fields, operations, project, vendor } = self;
        Self { into: into.clone(), fields, operations, project: project.clone(), vendor: *vendor }
    }
}

impl<V: Contracted> Subjected<V> {
    /// A sync of these operations.
    pub(crate) fn new(into: &str, fields: &'static [&'static str], operations: &'static [Operation]) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join(V::SECRET), CANARY).expect("a secret");
        Self { into: into.to_owned(), fields, operations, project: Arc::new(project), vendor: PhantomData }
    }
}

impl<V: Contracted> Subject for Subjected<V> {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        V::prepare(self, url)
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.project.path())
    }

    fn operations(&self) -> Vec<Operation> {
        self.operations.to_vec()
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
        V::row(self, operation, op)
    }
}
