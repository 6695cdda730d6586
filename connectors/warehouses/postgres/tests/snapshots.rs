//! Snapshot tables: what a comparison notices, and how a table changes.

use backhaul_kit::{
    Address, Compared, Fault, FaultClass, Gone, Mark, Model, NewTable, Projection, Recorded, Source, TableChange,
    TableCounts, TableEffect, TableEntry, TableScan, TableState,
};
use futures_util::StreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _};

use super::super::super::testing::sql;
use super::server::Database;

/// A comparison with a table, read to its end.
#[derive(Debug, Default)]
struct Found {
    /// Canonical keys of the rows, as they are displayed, and their marks.
    rows: Vec<(Vec<u8>, Mark)>,
    gone: Vec<Gone>,
    shared: Vec<u64>,
    ended: Option<(u64, u64)>,
}

fn projection() -> Projection {
    Projection { columns: vec!["k".into(), "v".into()], fingerprinted: 2, key: vec![0], seed: 1 }
}

async fn compare(source: &dyn Source, model: &Model, state: &TableState, all: bool) -> Result<Found, Fault> {
    let table = TableScan { state: state.clone(), all, removals: true };
    let mut parts = source.open(model).await?.compared(projection(), table);
    let mut found = Found::default();
    while let Some(part) = parts.next().await {
        assert_eq!(found.ended, None, "something came after the end");
        match part? {
            Compared::Page(page) => {
                for (row, mark) in page.marks.iter().enumerate() {
                    let mut key = Vec::new();
                    page.rows.key(row, &mut key)?;
                    found.rows.push((key, mark.clone()));
                }
            }
            Compared::Gone(gone) => found.gone.extend(gone),
            Compared::Shared(claims) => found.shared.extend(claims),
            Compared::End { records, gone, proof } => {
                assert!(!proof.words().is_empty());
                found.ended = Some((records, gone));
            }
        }
    }
    assert!(found.ended.is_some(), "no end");
    Ok(found)
}

/// A table for the model that holds these records.
async fn table(source: &dyn Source, model: &Model, entries: Vec<TableEntry>) -> TableState {
    let shape = source.open(model).await.expect("open").table_shape(&projection()).expect("a shape");
    let tables = source.snapshot_tables().expect("tables");
    let fingerprints = shape.fingerprints.clone();
    let name = tables.name("people", "owner");
    let new = NewTable { name: name.clone(), sync: "people".into(), generation: "g1".into(), shape };
    let records = tables.create(&new, &mut entries.into_iter().map(Ok)).await.expect("a table");
    TableState { name, generation: "g1".into(), fingerprints, records }
}

fn record(fingerprint: u64) -> Recorded {
    Recorded { fingerprint: Some(fingerprint), check: 3, ..Recorded::default() }
}

/// A table that has every row of the model as it is.
async fn accepted(source: &dyn Source, model: &Model) -> TableState {
    let empty = table(source, model, Vec::new()).await;
    let found = compare(source, model, &empty, false).await.expect("a comparison");
    assert!(found.rows.iter().all(|(_, mark)| mark.record.is_none() && !mark.repeated));
    let insert =
        |(key, mark): (Vec<u8>, Mark)| TableEntry { key, effect: TableEffect::Insert(record(mark.fingerprint)) };
    table(source, model, found.rows.into_iter().map(insert).collect()).await
}

#[tokio::test]
async fn every_change_is_noticed_also_of_values_that_the_server_takes_for_equal() {
    let types = "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'glad'); \
        CREATE DOMAIN tag AS citext; CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    let Some(mut database) = Database::of(types).await else { return };
    let changes = [
        ("numeric", "1.0", "1.00"),
        ("numeric", "NaN", "1"),
        ("float8", "0", "-0"),
        ("float4", "0", "-0"),
        ("citext", "a", "A"),
        ("tag", "a", "A"),
        ("citext[]", "{a}", "{A}"),
        ("numeric[]", "{1.0}", "{1.00}"),
        ("interval", "1 mon", "30 days"),
        ("json", "{\"a\":1}", "{\"a\": 1}"),
        ("jsonb", "{\"a\":1.0}", "{\"a\":1.00}"),
        ("text COLLATE loose", "a", "A"),
        ("varchar(9)", "a", "a "),
        ("char(9)", "a", "b"),
        ("name", "a", "b"),
        ("mood", "sad", "glad"),
        ("xml", "<a/>", "<a />"),
        ("text", "", "x"),
        ("bytea", "\\x00", "\\x0000"),
        ("inet", "10.0.0.1/8", "10.0.0.1/9"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/9"),
        ("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:04"),
        ("bool", "true", "false"),
        ("int2", "1", "2"),
        ("oid", "1", "2"),
        ("date", "infinity", "-infinity"),
        ("time", "10:00", "10:01"),
        ("timestamp", "2026-01-01", "2026-01-02"),
        ("timestamptz", "2026-01-01 00:00Z", "2026-01-01 00:00:00.000001Z"),
        ("uuid", "00112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeefe"),
    ];
    for (kind, before, after) in changes {
        let create =
            format!("DROP TABLE IF EXISTS t; CREATE TABLE t (k int, v {kind}); INSERT INTO t VALUES (1, '{before}')");
        database.admin.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.expect("a table");
        let model = sql("select k, v from t");
        let state = accepted(&*database.source, &model).await;
        let found = compare(&*database.source, &model, &state, false).await.expect("a comparison");
        assert!(found.rows.is_empty() && found.gone.is_empty(), "{kind}: a change was made up");
        for value in [format!("'{after}'"), String::from("NULL")] {
            let update = AssertSqlSafe(format!("UPDATE t SET v = {value}"));
            database.admin.execute(update).await.expect("a change");
            let found = compare(&*database.source, &model, &state, false).await.expect("a comparison");
            assert_eq!(found.rows.len(), 1, "{kind}: {before} → {value} was missed");
            assert!(found.rows[0].1.record.is_some());
        }
    }
    database.drop().await;
}

#[tokio::test]
async fn a_key_of_any_type_finds_its_record_and_comes_back_when_the_row_is_gone() {
    let types = "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'so; \"la')";
    let Some(database) = Database::of(types).await else { return };
    let keys = [
        ("int2", vec!["1", "-32768"]),
        ("int8", vec!["9223372036854775807", "-1", "0"]),
        ("oid", vec!["4294967295"]),
        ("numeric", vec!["1.50", "100", "-0.001", "123456789012345678901234567890.5"]),
        ("text", vec!["a", "A", "a ", "", "ä\\N,\"{}", "\n\t"]),
        ("varchar(5)", vec!["ab", "ab "]),
        ("char(5)", vec!["ab", "abc"]),
        ("citext", vec!["a", "A"]),
        ("name", vec!["n"]),
        ("mood", vec!["sad", "so; \"la"]),
        ("bytea", vec!["\\x", "\\x00ff"]),
        ("date", vec!["0001-01-01", "1969-12-31", "9999-12-31"]),
        ("timestamp", vec!["1969-12-31 23:59:59.999999", "2026-01-01"]),
        ("timestamptz", vec!["1970-01-01 01:00:00.5+01", "0001-01-01 00:00Z"]),
        ("uuid", vec!["00112233-4455-6677-8899-aabbccddeeff"]),
        ("bool", vec!["true", "false"]),
        ("inet", vec!["10.0.0.1", "10.0.0.1/8", "::1"]),
        ("cidr", vec!["10.0.0.1/32", "10.0.0.0/8"]),
        ("macaddr8", vec!["08:00:2b:01:02:03:04:05"]),
    ];
    for (kind, values) in keys {
        let rows: Vec<String> =
            values.iter().map(|value| format!("('{}'::{kind})", value.replace('\'', "''"))).collect();
        let of = |rows: &[String], filter: &str| {
            sql(&format!("select k, 1 as v from (values {}) as t(k) where {filter}", rows.join(", ")))
        };
        let state = accepted(&*database.source, &of(&rows, "true")).await;
        assert_eq!(state.records, values.len() as u64);
        let same = compare(&*database.source, &of(&rows, "true"), &state, false).await.expect("a comparison");
        assert!(same.rows.is_empty() && same.gone.is_empty(), "{kind}: {same:?}");
        let all = compare(&*database.source, &of(&rows, "true"), &state, true).await.expect("a comparison");
        let mut there: Vec<Vec<u8>> = all.rows.into_iter().map(|(key, _)| key).collect();
        let none = compare(&*database.source, &of(&rows, "false"), &state, false).await.expect("a comparison");
        let mut gone: Vec<Vec<u8>> = none.gone.into_iter().map(|gone| gone.key).collect();
        there.sort_unstable();
        gone.sort_unstable();
        assert_eq!(gone, there, "{kind}");
        assert_eq!(none.ended, Some((state.records, state.records)));
    }
    database.drop().await;
}

#[tokio::test]
async fn integers_of_another_width_are_the_same_keys_with_other_fingerprints() {
    let Some(database) = Database::of("").await else { return };
    let narrow = sql("select i::int4 as k, 1 as v from generate_series(1, 3) i");
    let wide = sql("select i::int8 as k, 1 as v from generate_series(1, 3) i");
    let state = accepted(&*database.source, &narrow).await;
    let found = compare(&*database.source, &wide, &state, false).await.expect("a comparison");
    assert_eq!((found.rows.len(), found.gone.len()), (3, 0));
    for (_, mark) in &found.rows {
        // Which the table has, but made in another way.
        assert_eq!(mark.record.as_ref().expect("a record").fingerprint, None);
    }
    let other = sql("select i::text as k, 1 as v from generate_series(1, 3) i");
    let fault = compare(&*database.source, &other, &state, false).await.expect_err("another key");
    assert!(fault.remedy_text().contains("diff = \"local\""), "{fault:?}");
    database.drop().await;
}

#[tokio::test]
async fn addresses_that_a_live_record_shares_are_told() {
    let Some(database) = Database::of("").await else { return };
    let address = |remote_id: Option<&str>, match_value: Option<&str>| Address {
        remote_id: remote_id.map(str::to_owned),
        match_value: match_value.map(str::to_owned),
    };
    let records = [
        // 1 and 2 leave; 3 to 5 stay.
        (1, address(Some("r"), Some("ann"))),
        (2, address(Some("x"), Some("gone"))),
        (3, address(Some("y"), Some("ann"))),
        (4, address(Some("ann"), Some("x"))),
        (5, address(None, None)),
    ];
    let entry = |(key, address): (i64, Address)| {
        let key = backhaul_kit::key::encode(&[&backhaul_kit::Value::Int(key)]).expect("a key");
        TableEntry { key, effect: TableEffect::Insert(Recorded { address, ..record(7) }) }
    };
    let model = sql("select i as k, 1 as v from generate_series(3, 5) i");
    let state = table(&*database.source, &model, records.into_iter().map(entry).collect()).await;
    let found = compare(&*database.source, &model, &state, false).await.expect("a comparison");
    assert_eq!(found.gone.len(), 2);
    let ann = found.gone.iter().find(|gone| gone.record.address.match_value.as_deref() == Some("ann")).expect("ann");
    // A match value is no remote id, so 4 shares nothing with 1 and 2.
    assert_eq!(found.shared, [ann.claims[0].expect("a claim")]);
    database.drop().await;
}

#[tokio::test]
async fn a_change_is_made_once_and_only_from_its_state() {
    let Some(mut database) = Database::of("").await else { return };
    let model = sql("select i as k, i as v from generate_series(1, 5) i");
    let state = accepted(&*database.source, &model).await;
    let tables = database.source.snapshot_tables().expect("tables");
    let key = |key: i64| backhaul_kit::key::encode(&[&backhaul_kit::Value::Int(key)]).expect("a key");
    let entries = || {
        let doubt = Recorded { fingerprint: None, in_doubt: true, check: 3, ..Recorded::default() };
        [
            TableEntry { key: key(1), effect: TableEffect::Delete },
            TableEntry { key: key(2), effect: TableEffect::Update(doubt) },
            TableEntry { key: key(9), effect: TableEffect::Insert(Recorded { fields: Some(vec![1; 4]), ..record(9) }) },
        ]
    };
    let change = |expected| TableChange {
        from: state.clone(),
        generation: "g2".into(),
        fingerprints: state.fingerprints.clone(),
        run: "r1".into(),
        stale: false,
        fields: None,
        expected,
    };
    let expected = TableCounts { inserts: 1, updates: 1, deletes: 1 };
    // Fewer records than the entries speak of: nothing is changed.
    let fault = tables.apply(&change(TableCounts { deletes: 2, ..expected }), &mut entries().into_iter().map(Ok)).await;
    assert_eq!(fault.expect_err("other records").class, FaultClass::Config);
    // Entries that break off: nothing is changed.
    let broken = entries().into_iter().map(Ok).chain([Err(Fault::bug("the plan ends early"))]);
    assert!(tables.apply(&change(expected), &mut broken.into_iter()).await.is_err());
    assert_eq!(compare(&*database.source, &model, &state, false).await.expect("as before").rows.len(), 0);

    for again in ["g2", "g3"] {
        let change = TableChange { generation: again.into(), ..change(expected) };
        let made = tables.apply(&change, &mut entries().into_iter().map(Ok)).await.expect("changed");
        assert_eq!(made, "g2", "the second try finds the first");
    }
    let fault = compare(&*database.source, &model, &state, false).await.expect_err("the old state");
    assert!(fault.to_string().contains("another state"), "{fault}");
    let state = TableState { generation: "g2".into(), ..state.clone() };
    let found = compare(&*database.source, &model, &state, false).await.expect("a comparison");
    assert_eq!(found.rows.len(), 2, "1 is new, 2 is in doubt");
    assert_eq!(found.gone.iter().map(|gone| gone.key.clone()).collect::<Vec<_>>(), [key(9)]);

    // Another mapping: what it does not speak of equals nothing, and hashes change places.
    let remap = TableChange {
        from: state.clone(),
        generation: "g3".into(),
        run: "r2".into(),
        stale: true,
        fields: Some(vec![None, Some(0)]),
        expected: TableCounts::default(),
        ..change(expected)
    };
    tables.apply(&remap, &mut std::iter::empty()).await.expect("changed");
    let state = TableState { generation: "g3".into(), ..state };
    let mut records = tables.records(&state).await.expect("records");
    let mut all = Vec::new();
    while let Some(some) = records.next().await {
        all.extend(some.expect("records"));
    }
    drop(records);
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|gone| gone.record.fingerprint.is_none()));
    let nine = all.iter().find(|gone| gone.key == key(9)).expect("9");
    assert_eq!(nine.record.fields.as_deref(), Some(&[0, 0, 0, 0, 1, 1, 1, 1][..]));

    tables.remove(&state.name).await.expect("removed");
    tables.remove(&state.name).await.expect("nothing is left to remove");
    assert_eq!(database.text("select count(*) from backhaul.snapshots").await, "0");
    database.drop().await;
}

#[tokio::test]
async fn a_comparison_that_breaks_has_no_end() {
    let Some(mut database) = Database::of("").await else { return };
    let model = sql("select i as k, repeat('x', 1000) as v from generate_series(1, 1000000) as i");
    let state = table(&*database.source, &model, Vec::new()).await;
    let scan = TableScan { state, all: false, removals: true };
    let mut parts = database.source.open(&model).await.expect("open").compared(projection(), scan);
    assert!(matches!(parts.next().await, Some(Ok(Compared::Page(_)))), "a first page");
    assert_eq!(database.signal("pg_terminate_backend").await, 1);
    let mut fault = None;
    while let Some(part) = parts.next().await {
        match part {
            Ok(part) => assert!(!matches!(part, Compared::End { .. }), "an end"),
            Err(broke) => fault = Some(broke),
        }
    }
    assert_eq!(fault.expect("a fault").class, FaultClass::Transient);
    database.drop().await;
}
