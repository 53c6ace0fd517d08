use super::*;
use indicatif::TermLike;
use std::io;
use std::sync::Arc;

/// A terminal that keeps everything that is written to it.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<String>>);

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
        160
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

#[test]
fn a_bar_shows_bytes_and_rate_and_time_to_go() {
    let text = draw(
        Duration::ZERO,
        vec![
            Event::new(EventKind::Started, Step::Verify, "a\x1b[2J.gguf"),
            Event::progress(Step::Verify, "a\x1b[2J.gguf", 1 << 30, 4 << 30),
        ],
    );
    for part in ["verifying [", "1.00 GiB of 4.00 GiB", "/s, ", " to go", "a\\u{1b}[2J.gguf"] {
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
