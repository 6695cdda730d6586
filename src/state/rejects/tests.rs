use super::*;
use crate::state::store::tests::open;
use backhaul_kit::Value;

fn row(id: i64, fingerprint: u64) -> NewReject {
    let key = backhaul_kit::key::encode(&[&Value::Int(id)]).expect("a key");
    NewReject {
        key_hash: KeyHash::of(&key, 9),
        key,
        fingerprint,
        class: RejectClass::Destination,
        reason: Reason {
            code: "INVALID_EMAIL".into(),
            text: format!("Email address {id} is invalid"),
            field: Some("email".into()),
        },
    }
}

fn hours(n: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(jiff::SignedDuration::from_hours(n)).expect("in range")
}

async fn withheld(state: &State, now: Timestamp) -> bool {
    !state.withheld("vip", now).await.expect("read").is_empty()
}

#[tokio::test]
async fn the_same_values_are_tried_three_times_then_ever_more_rarely() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let mut waits = Vec::new();
    for run in 1..=11 {
        state.record_rejects("vip", &format!("r{run}"), &[row(1, 7)], hours(0)).await.expect("kept");
        let wait = (0..100).find(|h| next_try(run, hours(0)).is_none_or(|next| next <= hours(*h)));
        waits.push(wait.expect("due at some time"));
        let stored = state.rejects(Some("vip"), None).await.expect("read").remove(0);
        assert_eq!((stored.attempts, stored.next_at), (run, next_try(run, hours(0))));
    }
    assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 24, 24, 24]);
    assert!(withheld(&state, hours(23)).await);
    assert!(!withheld(&state, hours(24)).await);
}

#[tokio::test]
async fn new_values_start_afresh_and_a_repeated_settling_counts_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    for run in ["a", "b", "c", "d", "d"] {
        state.record_rejects("vip", run, &[row(1, 7)], hours(0)).await.expect("kept");
    }
    let kept = state.withheld("vip", hours(0)).await.expect("read");
    assert_eq!(kept, [Withheld { key_hash: row(1, 7).key_hash, fingerprint: Some(7) }]);
    assert_eq!(state.rejects(None, None).await.expect("read")[0].attempts, 4);
    state.record_rejects("vip", "e", &[row(1, u64::MAX)], hours(5)).await.expect("kept");
    let stored = state.rejects(None, None).await.expect("read").remove(0);
    assert_eq!((stored.attempts, stored.fingerprint), (1, u64::MAX));
    assert_eq!((stored.first_seen, stored.last_seen), (hours(0), hours(5)));
    assert!(!withheld(&state, hours(5)).await);
}

#[tokio::test]
async fn kept_rows_come_back_and_are_found_by_key_or_reference() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    state.record_rejects("vip", "r1", &[row(41, 1), row(42, 1)], hours(1)).await.expect("kept");
    state.record_rejects("other", "r2", &[row(42, 1)], hours(2)).await.expect("kept");
    let found = state.find_rejects("vip", "42").await.expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reason, row(42, 1).reason);
    assert_eq!(found[0].key, row(42, 1).key);
    let by_reference = state.find_rejects("vip", &found[0].reference()[..6]).await.expect("read");
    assert_eq!(by_reference, found);
    assert_eq!(state.find_rejects("vip", "43").await.expect("read"), []);
    assert_eq!(
        state.reject_counts().await.expect("read"),
        BTreeMap::from([("other".to_owned(), 1), ("vip".to_owned(), 2)])
    );
    let codes = state.reject_codes(Some("vip")).await.expect("read");
    assert_eq!((codes.len(), codes[0].rows, codes[0].code.as_str()), (1, 2, "INVALID_EMAIL"));
    let kept = state.reject_keys("vip").await.expect("read");
    assert_eq!(kept, HashSet::from([row(41, 1).key_hash, row(42, 1).key_hash]));
    let hashes = [row(41, 1).key_hash, row(1, 1).key_hash];
    assert_eq!(state.clear_rejects("vip", &hashes).await.expect("cleared"), 1);
    assert_eq!(state.rejects(Some("vip"), None).await.expect("read").len(), 1);
    assert_eq!(state.rejects(None, Some(1)).await.expect("read")[0].sync, "other");
}

#[tokio::test]
async fn a_row_in_doubt_waits_for_a_person() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let doubtful = NewReject { class: RejectClass::InDoubt, ..row(1, 7) };
    state.record_rejects("vip", "r1", &[doubtful.clone(), row(2, 7)], hours(0)).await.expect("kept");
    let kept = state.withheld("vip", hours(1000)).await.expect("read");
    assert_eq!(kept, [Withheld { key_hash: doubtful.key_hash, fingerprint: None }]);
    let both = [doubtful.key_hash, row(2, 7).key_hash];
    assert_eq!(state.resolve_rejects("vip", &both, Resolution::Absent).await.expect("resolved"), 1);
    assert_eq!(state.withheld("vip", hours(0)).await.expect("read"), []);
    let in_doubt = state.in_doubt("vip").await.expect("read");
    assert_eq!(in_doubt, [(doubtful.key_hash, doubtful.fingerprint, Some(Resolution::Absent))]);
}

#[tokio::test]
async fn retrying_makes_a_row_due_without_forgetting_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    for run in ["a", "b", "c", "d"] {
        state.record_rejects("vip", run, &[row(1, 7)], hours(0)).await.expect("kept");
    }
    assert!(withheld(&state, hours(0)).await);
    assert_eq!(state.retry_rejects("vip", &[row(1, 7).key_hash]).await.expect("due"), 1);
    assert!(!withheld(&state, hours(0)).await);
    assert_eq!(state.rejects(None, None).await.expect("read")[0].attempts, 4);
}

#[tokio::test]
async fn neither_keys_nor_vendor_texts_stand_readable_on_disk() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    let canary = "canary-anna@example.com";
    let mut reject = row(1, 7);
    reject.key = backhaul_kit::key::encode(&[&Value::Text(canary.into())]).expect("a key");
    reject.reason.text = format!("{canary} is not an address");
    state.record_rejects("vip", "r1", &[reject], hours(0)).await.expect("kept");
    let scan = || {
        let mut seen_code = false;
        for entry in std::fs::read_dir(dir.path()).expect("a folder") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("readable");
            assert!(!bytes.windows(6).any(|w| w == b"canary"));
            seen_code |= bytes.windows(13).any(|w| w == b"INVALID_EMAIL");
        }
        assert!(seen_code, "the row was not on disk: the test looked in the wrong place");
    };
    scan();
    state.close().await;
    scan();
}

#[tokio::test]
async fn a_foreign_key_is_named_as_the_cause() {
    struct Other;
    impl Sealer for Other {
        fn seal(&self, _: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
            Some(plain.to_vec())
        }
        fn open(&self, _: &[u8], _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let state = open(dir.path()).await;
    state.record_rejects("vip", "r1", &[row(1, 7)], hours(0)).await.expect("kept");
    let other = State::open(dir.path(), std::sync::Arc::new(Other)).await.expect("opens");
    assert!(matches!(other.rejects(None, None).await, Err(StateError::Sealed)));
}
