//! Bars as an inline drawing.

use super::shown;
use maud::{Markup, html};

/// Width of the drawing, and of the column of labels, in its own units.
const WIDTH: u64 = 680;
const LABELS: u64 = 200;
/// Longest bar; what is right of it is for its figure.
const LONGEST: u64 = 350;
const ROW: u64 = 22;
/// Most characters of a label.
const LABEL: usize = 26;

/// One bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What it is of; text from outside.
    pub label: String,
    /// Its length, in whatever unit all bars share.
    pub value: u64,
    /// The value for people: `93.8 MiB`.
    pub text: String,
}

/// Bars, one below the other, the longest as long as the drawing is wide. `title` says to those who cannot see what is
/// drawn. Nothing where there are no bars.
pub fn bars(title: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or_default().max(1);
    let height = bars.len() as u64 * ROW + 4;
    html! {
        @if !bars.is_empty() {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(shown(title)) {
                @for (bar, row) in bars.iter().zip(0u64..) {
                    @let y = row * ROW + 2;
                    @let long = length(bar.value, most);
                    text x=(LABELS - 8) y=(y + 14) class="label" { (shown(&cut(&bar.label))) }
                    rect x=(LABELS) y=(y + 3) width=(long) height=(ROW - 8) rx="2" class="bar" {}
                    text x=(LABELS + long + 6) y=(y + 14) class="figure" { (shown(&bar.text)) }
                }
            }
        }
    }
}

/// At least one unit, so that a small thing beside a large one is seen to be there.
fn length(value: u64, most: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(LONGEST) / u128::from(most.max(1));
    u64::try_from(scaled).unwrap_or(LONGEST).clamp(1, LONGEST)
}

/// The end of a long label tells more than its beginning: paths and versions.
pub(crate) fn cut(text: &str) -> String {
    let length = text.chars().count();
    if length <= LABEL {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(length - (LABEL - 1)).collect();
    format!("…{tail}")
}
