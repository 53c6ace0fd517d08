//! The gateway against nginx as a plain proxy, in front of the same server.

mod client;
mod load;
pub(crate) mod proxies;
pub(crate) mod upstream;

use crate::error::{BenchError, io};
use crate::process::check_signals;
use crate::report::{Bar, Figure, Unit};
use crate::stats::{differences, median, ratios};
use crate::{Measured, Setting};
use load::{Flow, Plan};
use proxies::Server;
use std::time::Duration;
use tokio::runtime::Runtime;

pub(crate) use client::{Client, Target};
pub(crate) use proxies::free_port;

/// This part's name.
pub(crate) const PART: &str = "gateway";

/// The bars: throughput against nginx, and what may be added to a direct connection.
const MIN_RATIO: f64 = 0.8;
const MAX_ADDED_MS: f64 = 1.0;

const PLAN: Plan =
    Plan { connections: 32, streams: 64, chunks: 200, pace: 20, rate: 500, time: Duration::from_secs(4) };
const QUICK: Plan =
    Plan { connections: 4, streams: 4, chunks: 20, pace: 20, rate: 40, time: Duration::from_millis(500) };

/// A runtime of one thread, as the gateway's.
pub(crate) fn runtime() -> Result<Runtime, BenchError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io("the asynchronous runtime"))
}

/// What one gateway gave, a value for each round.
#[derive(Debug, Default)]
struct Column {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Column {
    /// Measures one round of a load that goes as fast as it can.
    fn take(
        &mut self,
        server: &Server,
        run: impl FnOnce() -> Result<Flow, BenchError>,
    ) -> Result<(), BenchError> {
        check_signals()?;
        let before = server.process.cpu();
        let flow = run()?;
        let cpu = server.process.cpu().saturating_sub(before);
        self.rate.push(flow.per_second);
        self.p50.push(flow.delays.percentile(500));
        self.p99.push(flow.delays.percentile(990));
        self.cpu_us.push(cpu.as_secs_f64() * 1e6 / flow.count);
        Ok(())
    }
}

/// 99th percentiles of a load that is paced, a value for each round.
#[derive(Debug, Default)]
struct Paced {
    direct: Vec<f64>,
    nginx: Vec<f64>,
    sovai: Vec<f64>,
}

/// Measures.
pub(crate) fn measure(setting: &Setting) -> Result<Measured, BenchError> {
    let plan = if setting.quick { QUICK } else { PLAN };
    let work = setting.temp()?;
    let upstream = proxies::upstream(work.path())?;
    let nginx = proxies::nginx(work.path(), upstream.target.address)?;
    let sovai = proxies::gateway(setting, work.path(), upstream.target.address)?;
    let runtime = runtime()?;

    let requests = |server: &Server| runtime.block_on(load::requests(&server.target, plan));
    let streams = |server: &Server| runtime.block_on(load::streams(&server.target, plan));
    let (mut ours, mut theirs) =
        ([Column::default(), Column::default()], [Column::default(), Column::default()]);
    let mut paced = [Paced::default(), Paced::default()];
    for round in 0..setting.rounds {
        setting.begin(PART, round)?;
        // Who goes first changes from round to round.
        let order = if round % 2 == 0 { [&nginx, &sovai] } else { [&sovai, &nginx] };
        for server in order {
            let columns = if std::ptr::eq(server, &raw const sovai) { &mut ours } else { &mut theirs };
            columns[0].take(server, || requests(server))?;
            columns[1].take(server, || streams(server))?;
        }
        for [one, two, three] in [[&upstream, &nginx, &sovai]] {
            for (server, kind) in [(one, 0), (two, 1), (three, 2)] {
                check_signals()?;
                let chunks = runtime.block_on(load::paced_streams(&server.target, plan))?.percentile(990);
                let answers = runtime.block_on(load::paced_requests(&server.target, plan))?.percentile(990);
                for (paced, value) in paced.iter_mut().zip([chunks, answers]) {
                    [&mut paced.direct, &mut paced.nginx, &mut paced.sovai][kind].push(value);
                }
            }
        }
    }
    Ok((figures(plan, &ours, &theirs, &paced), Vec::new()))
}

fn figures(plan: Plan, ours: &[Column; 2], theirs: &[Column; 2], paced: &[Paced; 2]) -> Vec<Figure> {
    let throughput = |name: &str, unit: &str, ours: &Column, theirs: &Column| {
        let side = |column: &Column| {
            format!(
                "{:.0} {unit}/s, p50 {:.2} ms, p99 {:.2} ms",
                median(&column.rate),
                median(&column.p50),
                median(&column.p99)
            )
        };
        Figure::new(PART, name, Unit::Ratio, ratios(&ours.rate, &theirs.rate))
            .bar(Bar::AtLeast(MIN_RATIO))
            .detail(format!("sovai {}; nginx {}", side(ours), side(theirs)))
    };
    let cost = |name: &str, ours: &Column, theirs: &Column| {
        Figure::new(PART, name, Unit::Ratio, ratios(&theirs.cpu_us, &ours.cpu_us)).detail(format!(
            "sovai {:.1} us, nginx {:.1} us of a core for each",
            median(&ours.cpu_us),
            median(&theirs.cpu_us)
        ))
    };
    let added = |name: &str, paced: &Paced| {
        Figure::new(PART, name, Unit::Milliseconds, differences(&paced.sovai, &paced.direct))
            .bar(Bar::Below(MAX_ADDED_MS))
            .detail(format!(
                "p99 direct {:.2} ms, through sovai {:.2} ms, through nginx {:.2} ms",
                median(&paced.direct),
                median(&paced.sovai),
                median(&paced.nginx)
            ))
    };
    vec![
        throughput(
            &format!("streamed chunks a second, {} streams, sovai : nginx", plan.streams),
            "chunks",
            &ours[1],
            &theirs[1],
        ),
        throughput(
            &format!("answers a second, {} connections, sovai : nginx", plan.connections),
            "answers",
            &ours[0],
            &theirs[0],
        ),
        added(
            &format!("p99 added to a chunk, {} streams of {} a second", plan.streams, plan.pace),
            &paced[0],
        ),
        added(&format!("p99 added to an answer, {} a second", plan.rate), &paced[1]),
        cost("time on a core for a chunk, nginx : sovai", &ours[1], &theirs[1]),
        cost("time on a core for an answer, nginx : sovai", &ours[0], &theirs[0]),
    ]
}
