//! What the tests of both warehouses share: tables from text, whole scans.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, Problems, Secrets, SourceFile, parse};
use backhaul_kit::{
    Fault, FaultClass, Kit, Model, ModelQuery, Projection, RowDigest, Scan, Scanned, Source, SourceKind, Value, key,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

/// The text as a table, and the list its problems go to.
pub(super) fn table(text: &str) -> (ConfigTable, Problems) {
    let problems = Problems::default();
    let file = Arc::new(SourceFile { path: "backhaul.toml".into(), text: text.into() });
    (parse(&file, &problems), problems)
}

/// What is wrong with `text` as a table of `kind`.
pub(super) fn problems(kind: &dyn SourceKind, text: &str) -> Vec<Problem> {
    let (mut table, problems) = table(text);
    let parsed = kind.parse(&mut table);
    table.finish();
    let found = problems.take();
    assert_eq!(parsed.is_none(), found.iter().any(|p| p.code != "unknown-key"), "{found:?}");
    found
}

/// Asserts that the reader's keys are the schema's properties.
pub(super) fn assert_keys_match_schema(kind: &dyn SourceKind) {
    let (mut table, _) = table("");
    let _ = kind.parse(&mut table);
    let mut read = table.known().to_vec();
    read.sort_unstable();
    let schema = kind.json_schema();
    let mut described: Vec<String> =
        schema["properties"].as_object().expect("an object schema").keys().cloned().collect();
    described.sort_unstable();
    assert_eq!(read, described);
}

/// The seed of the tests' hashes.
const SEED: u64 = 42;

/// The source of a configuration, whose relative paths lie below `project`.
pub(super) fn source(kind: &dyn SourceKind, text: &str, project: &Path) -> Result<Arc<dyn Source>, Fault> {
    let (mut table, problems) = table(text);
    let config = kind.parse(&mut table).unwrap_or_else(|| panic!("{:?}", problems.take()));
    config.open(Kit::new(Secrets::from_env(project)))
}

/// A model of this SQL, without a filter or limits that matter.
pub(super) fn sql(text: &str) -> Model {
    Model {
        name: "people".into(),
        query: ModelQuery::Sql(text.into()),
        filter: None,
        since: None,
        parallel: false,
        timeout: None,
        idle_timeout: Duration::from_secs(60),
    }
}

/// All that a scan handed over.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) records: Vec<Vec<Value>>,
    pub(super) digests: Vec<RowDigest>,
    pub(super) keys: Vec<Option<String>>,
    /// The lane of every row.
    pub(super) lanes: Vec<usize>,
    pub(super) pages: usize,
}

/// The pages of some columns, the first `key` of which are the key.
pub(super) fn pages(scan: Box<dyn Scan>, columns: &[&str], key: usize) -> BoxStream<'static, Result<Scanned, Fault>> {
    let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
    scan.pages(Projection { fingerprinted: columns.len(), columns, key: (0..key).collect(), seed: SEED })
}

/// Reads a scan to its end, which must be proved.
pub(super) async fn drain(mut pages: BoxStream<'static, Result<Scanned, Fault>>) -> Result<Whole, Fault> {
    let mut whole = Whole::default();
    let mut end = None;
    while let Some(item) = pages.next().await {
        assert_eq!(end, None, "something came after the end");
        match item? {
            Scanned::Page(page) => {
                whole.pages += 1;
                page.digest(&mut whole.digests)?;
                for row in 0..page.rows() {
                    whole.lanes.push(page.lane());
                    whole.records.push(page.record(row)?);
                    let mut bytes = Vec::new();
                    whole.keys.push(page.key(row, &mut bytes).is_ok().then(|| key::display(&bytes)));
                }
            }
            Scanned::End { rows, proof } => {
                assert!(!proof.words().is_empty());
                end = Some(rows);
            }
        }
    }
    assert_eq!(end, Some(whole.records.len() as u64), "the end is missing or counts other rows");
    assert_eq!(whole.digests.len(), whole.records.len());
    Ok(whole)
}

/// A whole scan of a model.
pub(super) async fn scan(source: &dyn Source, model: &Model, columns: &[&str], key: usize) -> Result<Whole, Fault> {
    drain(pages(source.open(model).await?, columns, key)).await
}

/// The fault with which a model is refused before its first row.
pub(super) async fn refused(source: &dyn Source, model: &Model) -> Fault {
    match source.open(model).await {
        Ok(_) => panic!("taken: {:?}", model.query),
        Err(fault) => fault,
    }
}

/// Asserts that a model is refused as a mistake of configuration.
pub(super) async fn assert_refused(source: &dyn Source, text: &str) -> Fault {
    let fault = refused(source, &sql(text)).await;
    assert_eq!(fault.class, FaultClass::Config, "{text}: {fault:?}");
    assert!(fault.message.contains("people"), "{text}: {fault:?}");
    fault
}

/// Texts.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Asserts that a scan, opened before somebody else changes `blocked(id, mail)`, reads it as it was, refuses what is no
/// SELECT, and still hands over its own `people`. `change` empties the list and the table of the model.
pub(super) async fn assert_reads_another_model(source: &dyn Source, change: impl AsyncFnOnce()) {
    let mut scan = source.open(&sql("select id from people")).await.expect("a scan");
    change().await;
    let other = Model { name: "blocked".into(), ..sql("select id, mail, 1 as more from blocked -- all of them") };
    let columns = scan.other_columns(&other).await.expect("columns").expect("it can read other models");
    assert_eq!(columns.names().collect::<Vec<_>>(), ["id", "mail", "more"]);
    let (mut rows, asked) = (Vec::new(), ["mail".to_owned(), "id".to_owned()]);
    let mut take = |row: &[Value]| {
        rows.push(row.to_vec());
        Ok(())
    };
    let count = scan.other_rows(&other, &asked, &mut take).await.expect("rows");
    rows.sort_by_key(|row| format!("{:?}", row[1]));
    assert_eq!((count, rows), (2, vec![vec![text("a@x.de"), Value::Int(1)], vec![Value::Null, Value::Int(2)]]));
    assert_eq!(scan.columns().await.expect("its own columns").names().collect::<Vec<_>>(), ["id"]);
    let whole = drain(pages(scan, &["id"], 1)).await.expect("its own rows");
    assert!(!whole.records.is_empty());

    for wrong in [
        "delete from blocked",
        "select 1) as m; delete from blocked; select * from (select 1",
        "select nope from blocked",
    ] {
        let mut scan = source.open(&sql("select 1 as id")).await.expect("a scan");
        let other = Model { name: "blocked".into(), ..sql(wrong) };
        let fault = scan.other_columns(&other).await.expect_err(wrong);
        assert_eq!(fault.class, FaultClass::Config, "{wrong}: {fault:?}");
        assert!(fault.message.contains("model `blocked`"), "{wrong}: {fault:?}");
    }
    let mut scan = source.open(&sql("select 1 as id")).await.expect("a scan");
    let mut refuse = |_: &[Value]| Err(Fault::config("no more"));
    let other = Model { name: "numbers".into(), ..sql("select 1 as id") };
    let fault = scan.other_rows(&other, &["id".to_owned()], &mut refuse).await.expect_err("refused");
    assert_eq!(fault.message, "no more");
}
