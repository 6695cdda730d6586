//! Rows that refer to rows of the same sync: parents go first, their children in the run after it.
//!
//! A wave is a run like any other: it scans, is judged and settles, so that a crash between two leaves nothing that the
//! next run of the sync would not do. It has the ids of the wave before out of the snapshot.

use backhaul_kit::Fault;
use jiff::Timestamp;

use super::connect::Connected;
use super::stage::Stage;
use super::{Ground, RunError, RunOptions, Runs};
use crate::state::{NewRun, RunRecord};

impl Runs {
    /// A new run, another where it delivered only what does not wait for the rest of its plan, and others behind it as
    /// long as rows wait for rows that the last one has had accepted. The records are added to those that have ended.
    pub(super) async fn waves(
        &self,
        ground: &Ground<'_>,
        options: &RunOptions,
        connected: Option<Connected>,
        ended: &mut Vec<RunRecord>,
    ) -> Result<(), RunError> {
        let (mut options, mut connected, mut waited) = (options.clone(), connected, u64::MAX);
        let mut may_cut = true;
        loop {
            let new = NewRun {
                sync: ground.sync.name.clone(),
                trigger: options.trigger,
                stage: Stage::Scan.to_string(),
                config_digest: None,
            };
            let mut record = self.state.create_run(&new, Timestamp::now()).await?;
            let result = self.fresh(ground, &mut record, &options, connected.take(), may_cut).await;
            let cut = matches!(result, Ok(true));
            self.close(ground.site, &mut record, result.map(drop)).await?;
            if cut && record.status.terminal() && record.error.is_none() && !*ground.cancel.borrow() {
                // What does not wait is done: now the rest, as it is now.
                ended.push(record);
                may_cut = false;
                continue;
            }
            let waits = record.counts.next_wave;
            // With fewer each time there is an end, whatever the model does meanwhile.
            let another = waits < waited && is_followed(&record)? && is_whole(&options) && !*ground.cancel.borrow();
            ended.push(record);
            if !another {
                return Ok(());
            }
            waited = waits;
            // Who was sent already is not sent again.
            options.full = false;
        }
    }
}

/// Whether the run has had rows accepted that others wait for, or may have.
fn is_followed(record: &RunRecord) -> Result<bool, Fault> {
    let stage: Stage = record.stage.parse().map_err(Fault::bug)?;
    let counts = &record.counts;
    Ok(stage == Stage::Done && record.error.is_none() && counts.next_wave > 0 && counts.accepted > 0)
}

/// Whether the model is sent as a whole.
fn is_whole(options: &RunOptions) -> bool {
    options.only.is_empty() && options.max_rows.is_none()
}
