//! What a person sees while a run is at work.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::Screen;
use crate::cli::screen::{Progress, number};
use crate::deliver::{Counts, ProgressSink};
use crate::run::{Event, Watch};

/// A progress bar on a terminal; nothing elsewhere.
pub(super) struct Bars<'a> {
    screen: &'a Screen,
    sync: &'a str,
    scanning: Mutex<Option<Progress>>,
}

impl<'a> Bars<'a> {
    pub(super) fn new(screen: &'a Screen, sync: &'a str) -> Self {
        Self { screen, sync, scanning: Mutex::new(None) }
    }
}

impl Watch for Bars<'_> {
    fn event(&self, event: Event<'_>) {
        let mut scanning = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Scanned { rows } => {
                let label = format!("{}: comparing", self.sync);
                scanning.get_or_insert_with(|| self.screen.progress(&label, None)).set(rows);
            }
            Event::Stage { .. } => *scanning = None,
        }
    }

    fn delivery(&self, rows: u64) -> Arc<dyn ProgressSink> {
        Arc::new(Sending(self.screen.progress(&format!("{}: sending", self.sync), Some(rows))))
    }
}

struct Sending(Progress);

impl ProgressSink for Sending {
    fn progress(&self, counts: Counts) {
        self.0.set(counts.accepted + counts.rejected + counts.deferred + counts.unknown);
        if counts.rejected > 0 {
            self.0.message(format!("{} rejected", number(counts.rejected)));
        }
    }
}

/// Watches nothing: for `serve`, which logs.
pub(super) struct Silent;

impl Watch for Silent {
    fn event(&self, event: Event<'_>) {
        if let Event::Stage { run, status } = event {
            tracing::info!(run, %status, "run");
        }
    }

    fn delivery(&self, _rows: u64) -> Arc<dyn ProgressSink> {
        Arc::new(Unseen)
    }
}

struct Unseen;

impl ProgressSink for Unseen {
    fn progress(&self, _counts: Counts) {}
}
