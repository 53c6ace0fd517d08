//! What was measured, as a table, as JSON and as Markdown.

use crate::machine::Machine;
use crate::stats::median;
use serde::Serialize;
use std::fmt::Write as _;

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Bar {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Bar {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
            Self::Below(bar) => value < bar,
        }
    }

    fn shown(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(bar) => format!(">= {}", unit.shown(bar)),
            Self::AtMost(bar) => format!("<= {}", unit.shown(bar)),
            Self::Below(bar) => format!("< {}", unit.shown(bar)),
        }
    }
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// sovai as a multiple of the peer, or the other way round as the figure's name says.
    Ratio,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// 2^20 bytes.
    Mebibytes,
    /// 10^9 bytes a second.
    GigabytesPerSecond,
}

impl Unit {
    fn shown(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2} x"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Seconds if value < 0.1 => format!("{value:.3} s"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::GigabytesPerSecond => format!("{value:.2} GB/s"),
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    /// The part of this program that measured it.
    pub(crate) part: &'static str,
    /// What it is.
    pub(crate) name: String,
    /// The median of the samples.
    pub(crate) value: f64,
    /// What it counts.
    pub(crate) unit: Unit,
    /// What it must reach; a figure without one only informs.
    pub(crate) bar: Option<Bar>,
    /// Whether it does.
    pub(crate) met: Option<bool>,
    /// The absolute values behind it, for people.
    pub(crate) detail: String,
    /// One value a round, in the order in which they were measured.
    pub(crate) samples: Vec<f64>,
}

impl Figure {
    /// The median of `samples`, without a bar.
    pub(crate) fn new(part: &'static str, name: impl Into<String>, unit: Unit, samples: Vec<f64>) -> Self {
        let value = median(&samples);
        Self { part, name: name.into(), value, unit, bar: None, met: None, detail: String::new(), samples }
    }

    /// Sets what it must reach.
    pub(crate) fn bar(mut self, bar: Bar) -> Self {
        self.met = Some(bar.met(self.value));
        self.bar = Some(bar);
        self
    }

    /// Says what is behind it.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    const fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        }
    }
}

/// All figures of one run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Version of this object.
    pub(crate) api_version: &'static str,
    /// Day of the run, UTC.
    pub(crate) date: String,
    /// Where it ran.
    pub(crate) machine: Machine,
    /// Rounds behind each median.
    pub(crate) rounds: usize,
    /// The figures.
    pub(crate) figures: Vec<Figure>,
    /// What else must be said of them.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        let rows: Vec<[String; 5]> = self
            .figures
            .iter()
            .map(|figure| {
                [
                    format!("{}: {}", figure.part, figure.name),
                    figure.unit.shown(figure.value),
                    figure.bar.map_or(String::new(), |bar| bar.shown(figure.unit)),
                    figure.verdict().to_owned(),
                    figure.detail.clone(),
                ]
            })
            .collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2), width(3)];
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            line.push_str(&row[4]);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// For the page in the docs.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "Measured on {} on {}; median of {} rounds.\n\n| what | figure | bar | met | behind it |\n|---|---|---|---|---|\n",
            self.date, self.machine, self.rounds
        );
        for figure in &self.figures {
            let _ = writeln!(
                text,
                "| {}: {} | {} | {} | {} | {} |",
                figure.part,
                figure.name,
                figure.unit.shown(figure.value),
                figure.bar.map_or_else(|| "none".to_owned(), |bar| bar.shown(figure.unit)),
                figure.verdict(),
                figure.detail
            );
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_on_its_edge_only_where_it_says_so() {
        assert!(Bar::AtLeast(0.95).met(0.95) && !Bar::AtLeast(0.95).met(0.949));
        assert!(Bar::AtMost(1.1).met(1.1) && !Bar::AtMost(1.1).met(1.11));
        assert!(!Bar::Below(1.0).met(1.0) && Bar::Below(1.0).met(0.99));
    }

    #[test]
    fn a_short_time_is_not_shown_as_none() {
        assert_eq!(
            (Unit::Seconds.shown(0.004), Unit::Seconds.shown(2.5)),
            ("0.004 s".to_owned(), "2.50 s".to_owned())
        );
    }

    #[test]
    fn nothing_measured_meets_no_bar() {
        for bar in [Bar::AtLeast(0.0), Bar::AtMost(9.0), Bar::Below(9.0)] {
            assert_eq!(Figure::new("x", "y", Unit::Ratio, Vec::new()).bar(bar).met, Some(false));
        }
    }

    #[test]
    fn a_figure_is_the_median_and_is_judged_by_it() {
        let figure =
            Figure::new("x", "y", Unit::Ratio, vec![0.1, 0.9, 2.0, 0.85, 0.9]).bar(Bar::AtLeast(0.8));
        assert_eq!((figure.value.to_string().as_str(), figure.met), ("0.9", Some(true)));
    }

    #[test]
    fn a_missed_bar_is_seen_in_every_form() {
        let report = Report {
            api_version: "sovai-bench/v1",
            date: "2026-01-02".to_owned(),
            machine: Machine::default(),
            rounds: 5,
            figures: vec![
                Figure::new("gateway", "requests", Unit::Ratio, vec![0.5]).bar(Bar::AtLeast(0.8)).detail("d"),
            ],
            notes: vec!["busy".to_owned()],
        };
        assert_eq!(report.table(), "gateway: requests  0.50 x  >= 0.80 x  NO  d\n- busy\n");
        assert!(
            report.markdown().contains("| gateway: requests | 0.50 x | >= 0.80 x | NO | d |\n\n- busy\n")
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"][0]["met"], false);
        assert_eq!(json["figures"][0]["bar"]["atLeast"], 0.8);
    }
}
