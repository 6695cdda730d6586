//! Progress bars.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How far something is. It is cleared when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Drawn among `bars`, or nowhere.
    pub(super) fn new(bars: Option<&MultiProgress>, label: &str, total: Option<u64>) -> Self {
        let Some(bars) = bars else { return Self(ProgressBar::hidden()) };
        let bar = bars.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = match total {
            Some(_) => "{prefix}  {human_pos}/{human_len} rows  {per_sec}  {eta} left  {msg}",
            None => "{spinner} {prefix}  {human_pos} rows  {per_sec}  {msg}",
        };
        // A template that does not parse leaves the plain style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// So many rows are done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// A word beside the bar: what is being waited for.
    pub fn message(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
