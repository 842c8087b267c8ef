//! A bar per stage on a terminal; a line per finished stage elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use weir_operate::progress::Progress;

use crate::output::say;

/// Draws on standard error.
pub struct Bars {
    terminal: bool,
    current: Mutex<Option<(&'static str, ProgressBar, Instant)>>,
}

impl Bars {
    /// Finds out whether standard error is a terminal.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), current: Mutex::new(None) }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<(&'static str, ProgressBar, Instant)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn begin(&self, stage: &'static str, total: Option<u64>) {
        let bar = match (self.terminal, total) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(total)) => {
                ProgressBar::new(total).with_style(style("{prefix:<12} {bar:30} {human_pos}/{human_len} {per_sec}"))
            }
            (true, None) => ProgressBar::new_spinner().with_style(style("{prefix:<12} {spinner} {elapsed}")),
        };
        bar.set_prefix(stage);
        if self.terminal {
            bar.enable_steady_tick(std::time::Duration::from_millis(120));
        }
        *self.current() = Some((stage, bar, Instant::now()));
    }

    fn at(&self, done: u64) {
        if let Some((_, bar, _)) = self.current().as_ref() {
            bar.set_position(done);
        }
    }

    fn end(&self) {
        if let Some((stage, bar, since)) = self.current().take() {
            bar.finish_and_clear();
            say(&format!("{stage:<12} {:.1} s", since.elapsed().as_secs_f64()));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; one that does not parse gives the plain bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
