//! The progress of a run: a bar on stderr, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress bar.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        Self(ProgressBar::new(1))
    }

    /// Begins a new part of the run, of `of` connections or milliseconds.
    pub(super) fn begin(&self, what: &'static str, of: u64) {
        // The template is a constant; if it were wrong, the plain bar would do.
        if let Ok(style) = ProgressStyle::with_template("{prefix:<12} [{bar:40}] {msg}") {
            self.0.set_style(style.progress_chars("=> "));
        }
        self.0.set_prefix(what);
        self.0.set_length(of);
        self.0.set_position(0);
    }

    pub(super) fn show(&self, position: u64, words: String) {
        self.0.set_position(position);
        self.0.set_message(words);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// A length of time as the bar counts it.
pub(super) fn ticks(time: Duration) -> u64 {
    time.as_millis() as u64
}
