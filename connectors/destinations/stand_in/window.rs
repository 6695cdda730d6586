//! The limit of a stand-in: so many calls in a window of time, and what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use backhaul_kit::Fault;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::told::Told;

/// Units of lengths, the longer endings first, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A limit, on tokio's clock.
#[derive(Debug, Default)]
pub(in crate::destinations) struct Window {
    /// 0: no limit, and nothing is counted.
    cap: usize,
    length: Duration,
    is_fixed: bool,
    /// When the calls were let through that still count.
    recent: VecDeque<Instant>,
    /// What became of the calls, window by window; windows without a call are left out.
    spans: Vec<Span>,
}

/// The calls of one window. Where the limit rolls, windows are laid end to end from the first call on.
#[derive(Debug)]
struct Span {
    began: Instant,
    let_through: u64,
    refused: u64,
}

impl Window {
    /// A window that begins with its first call, in place of one that rolls.
    pub(in crate::destinations) fn fixed() -> Self {
        Self { is_fixed: true, ..Self::default() }
    }

    /// From now on `cap` calls are let through in `length`; nothing has been counted.
    pub(in crate::destinations) fn limit(&mut self, cap: usize, length: Duration) {
        *self = Self { cap, length, is_fixed: self.is_fixed, ..Self::default() };
    }

    /// Sets the limit, as `100/10s`.
    pub(super) fn set_limit(&mut self, told: Told<'_>) -> Result<(), Fault> {
        let none = (told.value == "0").then_some((0, Duration::ZERO));
        let (cap, length) = none.or_else(|| read(told.value)).ok_or_else(|| told.wrong(told.value))?;
        self.limit(cap, length);
        Ok(())
    }

    /// Sets whether it rolls, and counts from nought.
    pub(super) fn set_kind(&mut self, told: Told<'_>) -> Result<(), Fault> {
        self.is_fixed = match told.value {
            "rolling" => false,
            "fixed" => true,
            other => return Err(told.wrong(other)),
        };
        self.limit(self.cap, self.length);
        Ok(())
    }

    /// Lets a call through, or refuses it; either is counted.
    pub(in crate::destinations) fn admit(&mut self) -> bool {
        if self.cap == 0 {
            return true;
        }
        let now = Instant::now();
        let began = self.spans.last().map_or(now, |span| span.began);
        let whole = now.duration_since(began).as_nanos() / self.length.as_nanos().max(1);
        if whole > 0 || self.spans.is_empty() {
            // A count of windows that does not fit is of no clock that anyone waits for.
            let laid = began + self.length.saturating_mul(u32::try_from(whole).unwrap_or(u32::MAX));
            let began = if self.is_fixed { now } else { laid };
            self.spans.push(Span { began, let_through: 0, refused: 0 });
            if self.is_fixed {
                self.recent.clear();
            }
        }
        while !self.is_fixed && self.recent.front().is_some_and(|call| now.duration_since(*call) >= self.length) {
            self.recent.pop_front();
        }
        let admitted = self.recent.len() < self.cap;
        if admitted {
            self.recent.push_back(now);
        }
        if let Some(span) = self.spans.last_mut() {
            *if admitted { &mut span.let_through } else { &mut span.refused } += 1;
        }
        admitted
    }

    /// Calls in a window; 0 for no limit.
    pub(in crate::destinations) fn cap(&self) -> usize {
        self.cap
    }

    /// How long a window is.
    pub(in crate::destinations) fn length(&self) -> Duration {
        self.length
    }

    /// How many calls the window had left at the last one.
    pub(in crate::destinations) fn left(&self) -> usize {
        self.cap.saturating_sub(self.recent.len())
    }

    /// How long it takes until a call leaves the window (`rolling`), or a new one begins (`fixed`).
    pub(in crate::destinations) fn resets(&self) -> Duration {
        let began = if self.is_fixed { self.spans.last().map(|span| span.began) } else { self.recent.front().copied() };
        began.map_or(Duration::ZERO, |began| self.length.saturating_sub(began.elapsed()))
    }

    /// What is used of the limit: it, the calls that were let through and refused, and these by window, of which each
    /// has the milliseconds from the first one's begin to its own.
    pub(in crate::destinations) fn usage(&self) -> Value {
        let first = self.spans.first().map(|span| span.began);
        let window = |span: &Span| {
            let since = first.map_or(Duration::ZERO, |first| span.began.duration_since(first));
            json!({ "began_ms": since.as_millis() as u64, "let_through": span.let_through, "refused": span.refused })
        };
        json!({
            "limit": self.cap,
            "window_ms": self.length.as_millis() as u64,
            "window": if self.is_fixed { "fixed" } else { "rolling" },
            "let_through": self.spans.iter().map(|span| span.let_through).sum::<u64>(),
            "refused": self.spans.iter().map(|span| span.refused).sum::<u64>(),
            "windows": self.spans.iter().map(window).collect::<Vec<_>>(),
        })
    }
}

/// Reads `100/10s`.
fn read(text: &str) -> Option<(usize, Duration)> {
    let (cap, length) = text.split_once('/')?;
    let (number, millis) = UNITS.iter().find_map(|(unit, millis)| Some((length.strip_suffix(unit)?, millis)))?;
    let length = number.parse::<u64>().ok()?.checked_mul(*millis).filter(|length| *length > 0)?;
    Some((cap.parse().ok()?, Duration::from_millis(length)))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn told<'a>(key: &'a str, value: &'a str) -> Told<'a> {
        Told { key, value, known: &[] }
    }

    fn window(limit: &str) -> Window {
        let mut window = Window::default();
        window.set_limit(told("limit", limit)).expect("a limit");
        window
    }

    #[tokio::test(start_paused = true)]
    async fn a_rolling_window_lets_a_call_through_when_one_has_left() {
        let mut calls = window("2/10s");
        assert!(calls.admit());
        advance(Duration::from_secs(6)).await;
        assert!(calls.admit());
        assert!(!calls.admit());
        assert_eq!((calls.left(), calls.resets()), (0, Duration::from_secs(4)));
        advance(Duration::from_secs(4)).await;
        assert!(calls.admit(), "the first call has left the window");
        assert!(!calls.admit(), "the second has not");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fixed_window_begins_anew_with_the_first_call_after_its_end() {
        let mut calls = window("2/500ms");
        calls.set_kind(told("window", "fixed")).expect("a kind");
        assert!(calls.admit());
        advance(Duration::from_millis(400)).await;
        assert!(calls.admit() && !calls.admit());
        assert_eq!(calls.resets(), Duration::from_millis(100));
        advance(Duration::from_millis(250)).await;
        assert!(calls.admit() && calls.admit() && !calls.admit(), "all of a new window");
        assert_eq!(calls.resets(), Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn usage_is_told_by_window() {
        let mut calls = window("2/1s");
        for _ in 0..3 {
            calls.admit();
        }
        advance(Duration::from_millis(2500)).await;
        calls.admit();
        let windows = json!([
            { "began_ms": 0, "let_through": 2, "refused": 1 },
            { "began_ms": 2000, "let_through": 1, "refused": 0 },
        ]);
        assert_eq!(
            calls.usage(),
            json!({
                "limit": 2, "window_ms": 1000, "window": "rolling", "let_through": 3, "refused": 1, "windows": windows
            })
        );
    }

    #[test]
    fn limits_are_read_in_one_form() {
        assert_eq!(read("100/10s"), Some((100, Duration::from_secs(10))));
        assert_eq!(read("7/250ms"), Some((7, Duration::from_millis(250))));
        for wrong in ["100", "100/10", "x/1s", "1/0s", "1/s", "1/1w", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(Window::default().set_kind(told("window", "sliding")).is_err());
        let mut none = window("1/1s");
        none.set_limit(told("limit", "0")).expect("no limit");
        assert!(none.admit() && none.admit());
    }
}
