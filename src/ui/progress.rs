//! Shows how far something long is, where somebody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Ui;

/// How long something may take before it is said what is waited for.
const MOMENT: Duration = Duration::from_secs(1);

/// Is a bar on stderr, or nothing where nobody watches.
pub struct Bar(ProgressBar);

impl Bar {
    /// Says how much is done.
    pub fn at(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    /// Takes the bar away.
    pub fn end(self) {
        self.0.finish_and_clear();
    }
}

impl Ui {
    /// Begins something of a known length, with its rate and the time that is left.
    pub fn bar(&self, what: &str, all: usize) -> Bar {
        let form = "{msg} {bar:30} {human_pos} of {human_len}, {per_sec:.1}, {eta} left";
        self.begin(what, Some(all), form)
    }

    /// Begins something of which nobody knows how long it is.
    pub fn spinner(&self, what: &str) -> Bar {
        self.begin(what, None, "{spinner} {msg} {human_pos}")
    }

    /// Waits for something, and says for what where that takes longer than a moment.
    pub async fn wait<T>(
        &self,
        what: impl FnOnce() -> Option<&'static str>,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(MOMENT, &mut work).await {
            return done;
        }
        if let Some(what) = what().filter(|_| self.watched()) {
            self.note(what);
        }
        work.await
    }

    fn begin(&self, what: &str, all: Option<usize>, form: &str) -> Bar {
        let target = match self.watched() {
            true => ProgressDrawTarget::stderr_with_hz(5),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(all.map(|all| all as u64), target);
        let style = ProgressStyle::with_template(form).expect("the form is known to be right");
        bar.set_style(style.progress_chars("━╸ "));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }
}
