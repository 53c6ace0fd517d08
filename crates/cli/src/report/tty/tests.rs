use super::*;
use indicatif::TermLike;
use std::io;
use std::sync::Arc;

/// A terminal that keeps everything that is written to it.
#[derive(Debug, Clone)]
struct Recorder(Arc<Mutex<String>>, Arc<Mutex<u16>>);

impl Default for Recorder {
    fn default() -> Self {
        Self(Arc::default(), Arc::new(Mutex::new(160)))
    }
}

impl Recorder {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
}

impl TermLike for Recorder {
    fn width(&self) -> u16 {
        *self.1.lock().unwrap()
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text);
        self.add("\n");
        Ok(())
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text);
        Ok(())
    }
    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn draw(delay: Duration, events: Vec<Event>) -> String {
    let terminal = Recorder::default();
    let reporter = TtyReporter::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())), delay);
    for event in events {
        reporter.report(event);
    }
    drop(reporter);
    terminal.text()
}

/// Draws the same at 80 columns, with a pause before the last event.
fn rows(pause: Duration, events: Vec<Event>) -> Vec<String> {
    let terminal = Recorder::default();
    *terminal.1.lock().unwrap() = 80;
    let reporter =
        TtyReporter::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())), Duration::ZERO);
    let last = events.len() - 1;
    for (at, event) in events.into_iter().enumerate() {
        if at == last {
            std::thread::sleep(pause);
        }
        reporter.report(event);
    }
    let text = terminal.text();
    drop(reporter);
    text.split("verifying")
        .skip(1)
        .map(|row| format!("verifying{}", row.trim_end()))
        .filter(|row| row.contains('%'))
        .collect()
}

#[test]
fn a_row_has_the_meters_rate_and_keeps_the_files_name_in_80_columns() {
    let name = "model-00002-of-00003.safetensors";
    let at = |done| Event::progress(Step::Verify, name, done, 400 << 20);
    // Half of it was there before the bar: nothing is said of its rate.
    let shown = rows(Duration::ZERO, vec![at(200 << 20), at(201 << 20)]);
    assert!(!shown.is_empty());
    for row in &shown {
        assert!(!row.contains("/s") && !row.contains("to go"), "{row:?}");
        assert!(row.contains("50% of 400.0 MiB") && row.contains("model-00002"), "{row:?}");
    }
    let shown = rows(Duration::from_millis(1500), vec![at(0), at(150 << 20)]);
    let row = shown.last().unwrap();
    assert!(row.contains("37% of 400.0 MiB, ") && row.contains(" to go  model-00002"), "{row:?}");
    assert!(row.chars().count() <= 80, "{row:?}");
    let rate: f64 =
        row.split(", ").nth(1).and_then(|rate| rate.strip_suffix(" MiB/s")).unwrap().parse().unwrap();
    assert!((60.0..=101.0).contains(&rate), "{row:?}");
}

#[test]
fn a_bar_shows_bytes_and_names() {
    let text = draw(
        Duration::ZERO,
        vec![
            Event::new(EventKind::Started, Step::Verify, "a\x1b[2J.gguf"),
            Event::progress(Step::Verify, "a\x1b[2J.gguf", 1 << 30, 4 << 30),
        ],
    );
    for part in ["verifying [", "25% of 4.0 GiB  a\\u{1b}[2J.gguf"] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn what_is_over_soon_is_never_drawn() {
    let text = draw(
        Duration::from_hours(1),
        vec![
            Event::new(EventKind::Started, Step::Verify, "a"),
            Event::progress(Step::Verify, "a", 1, 2),
            Event::new(EventKind::Done, Step::Verify, "a"),
        ],
    );
    assert!(!text.contains("verifying"), "{text:?}");
}

#[test]
fn a_wait_says_what_it_waits_for_and_a_failure_stays() {
    let text = draw(
        Duration::ZERO,
        vec![
            Event::new(EventKind::Started, Step::WaitReady, "engine"),
            Event::progress(Step::WaitReady, "engine", 1000, 2000).message("503 Loading model"),
            Event::new(EventKind::Failed, Step::WaitReady, "engine").message("not ready"),
        ],
    );
    assert!(text.contains("503 Loading model"), "{text:?}");
    assert!(text.contains("waiting until ready: engine: failed: not ready"), "{text:?}");
}

#[test]
fn a_bar_never_goes_back_but_for_the_next_model() {
    let reporter = TtyReporter::new(ProgressDrawTarget::hidden(), Duration::ZERO);
    let position = || {
        let state = reporter.state.lock().unwrap();
        let bar = state.get(&(Step::Verify, String::new())).and_then(|entry| entry.bar.as_ref());
        bar.map(ProgressBar::position)
    };
    reporter.report(Event::progress(Step::Verify, "a", 7, 9));
    reporter.report(Event::progress(Step::Verify, "b", 5, 9));
    assert_eq!(position(), Some(7));
    reporter.report(Event::progress(Step::Verify, "c", 1, 20));
    assert_eq!(position(), Some(1));
    reporter.report(Event::progress(Step::Verify, "c", 20, 20));
    assert_eq!(position(), None);
}
