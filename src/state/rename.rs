//! A sync that got another name takes over what is known of the old one (`previously`).

use super::{State, StateError};

impl State {
    /// Moves runs, rejects, raised limits and the used slot from the sync `old` to `new`. What `new` has of its own stays. Repeating
    /// it changes nothing.
    ///
    /// # Errors
    /// As any write; everything is moved or nothing.
    pub async fn rename_sync(&self, old: &str, new: &str) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        for sql in [
            "update runs set sync = ?2 where sync = ?1",
            "update or ignore rejects set sync = ?2 where sync = ?1",
            "delete from rejects where sync = ?1 and ?2 <> ?1",
            "update or ignore allowances set sync = ?2 where sync = ?1",
            "delete from allowances where sync = ?1 and ?2 <> ?1",
            "update or ignore slots set sync = ?2 where sync = ?1",
            "delete from slots where sync = ?1 and ?2 <> ?1",
        ] {
            sqlx::query(sql).bind(old).bind(new).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use backhaul_kit::{KeyHash, Reason};
    use jiff::Timestamp;

    use crate::state::store::tests::open;
    use crate::state::{NewReject, NewRun, RejectClass, Trigger};

    #[tokio::test]
    async fn a_new_name_takes_over_what_is_known_of_the_old_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a timestamp");
        let run = NewRun { sync: "old".into(), trigger: Trigger::Manual, stage: "scan".into(), config_digest: None };
        let run = state.create_run(&run, now).await.expect("made");
        let reject = |hash, code: &str| NewReject {
            key_hash: KeyHash(hash),
            key: vec![1, 1],
            fingerprint: 1,
            class: RejectClass::Mapping,
            reason: Reason::new(code, "text"),
        };
        state.record_rejects("old", &run.id, &[reject(1, "OLD"), reject(2, "OLD")], now).await.expect("kept");
        state.record_rejects("new", &run.id, &[reject(2, "NEW")], now).await.expect("kept");
        state.record_slot("old", now).await.expect("recorded");
        for _ in 0..2 {
            state.rename_sync("old", "new").await.expect("renamed");
            assert_eq!(state.latest_run("new").await.expect("read").map(|r| r.id), Some(run.id.clone()));
            let rejects = state.rejects(Some("new"), None).await.expect("read");
            let codes: Vec<&str> = rejects.iter().map(|r| r.reason.code.as_str()).collect();
            assert_eq!(codes, ["OLD", "NEW"]);
            assert_eq!(state.rejects(None, None).await.expect("read").len(), 2);
            assert_eq!(state.last_slot("new").await.expect("read"), Some(now));
            assert_eq!(state.last_slot("old").await.expect("read"), None);
        }
    }
}
