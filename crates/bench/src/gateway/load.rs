//! What is asked of a server: as much as goes, or so much a second.

use super::client::{Client, Target};
use super::upstream::{Ask, Message, now};
use crate::error::BenchError;
use crate::stats::{Delays, float, length};
use bytes::Bytes;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// The name that both gateways serve.
pub(crate) const MODEL: &str = "assistant";

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Connections of the loads that ask for whole answers.
    pub(crate) connections: u32,
    /// Streams at once.
    pub(crate) streams: u32,
    /// Chunks of a stream that goes as fast as it can.
    pub(crate) chunks: u32,
    /// Chunks a second of a stream that is paced.
    pub(crate) pace: u32,
    /// Requests a second, all connections together, of the load that is paced.
    pub(crate) rate: u32,
    /// How long each load lasts.
    pub(crate) time: Duration,
}

/// What a load that goes as fast as it can came to.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Answers or chunks.
    pub(crate) count: f64,
    /// The same, a second.
    pub(crate) per_second: f64,
    /// Of each, from sending to the whole answer, or from the server to here.
    pub(crate) delays: Delays,
}

fn body(stream: bool, chunks: u32, period: Duration, offset: Duration) -> Result<Bytes, BenchError> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let ask = Ask {
        model: MODEL.to_owned(),
        messages: vec![Message {
            role: "user".to_owned(),
            content: "What is the capital of Malaysia?".to_owned(),
        }],
        stream,
        chunks,
        period_us: micros(period),
        offset_us: micros(offset),
    };
    serde_json::to_vec(&ask)
        .map(Bytes::from)
        .map_err(|error| BenchError::Unfit(format!("a request is no JSON: {error}")))
}

/// Runs `work` for each number below `count` at once, on connections that are open before the first begins.
async fn all<F>(
    target: &Target,
    count: u32,
    work: impl Fn(u32, Client) -> F,
) -> Result<(Delays, Duration), BenchError>
where
    F: Future<Output = Result<Delays, BenchError>> + Send + 'static,
{
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(target).await?;
        // The gateway's own connection to the server is made now, too.
        client.ask(&body(false, 0, Duration::ZERO, Duration::ZERO)?).await?;
        clients.push(client);
    }
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, client) in (0..count).zip(clients) {
        tasks.spawn(work(number, client));
    }
    let mut delays = Delays::default();
    while let Some(done) = tasks.join_next().await {
        delays.append(done.map_err(|error| target.failed(error))??);
    }
    Ok((delays, start.elapsed()))
}

fn flow((delays, time): (Delays, Duration)) -> Flow {
    let count = length(delays.len());
    Flow { count, per_second: count / time.as_secs_f64(), delays }
}

/// Whole answers, each connection asking again as soon as it has its answer.
pub(crate) async fn requests(target: &Target, plan: Plan) -> Result<Flow, BenchError> {
    let body = body(false, 0, Duration::ZERO, Duration::ZERO)?;
    all(target, plan.connections, |_, mut client| {
        let body = body.clone();
        async move {
            let (end, mut delays) = (Instant::now() + plan.time, Delays::default());
            while Instant::now() < end {
                let sent = now();
                client.ask(&body).await?;
                delays.push(now().saturating_sub(sent));
            }
            Ok(delays)
        }
    })
    .await
    .map(flow)
}

/// Streams, each connection asking for the next as soon as one is over.
pub(crate) async fn streams(target: &Target, plan: Plan) -> Result<Flow, BenchError> {
    let body = body(true, plan.chunks, Duration::ZERO, Duration::ZERO)?;
    all(target, plan.streams, |_, mut client| {
        let body = body.clone();
        async move {
            let (end, mut delays) = (Instant::now() + plan.time, Delays::default());
            while Instant::now() < end {
                let seen = client.stream(&body).await?;
                expect(&client, seen.len(), plan.chunks)?;
                delays.append(seen);
            }
            Ok(delays)
        }
    })
    .await
    .map(flow)
}

/// Whole answers at a rate that does not follow the server. A request that has to wait for its connection counts from
/// when it was due; the lateness of this program's own clock is left out.
pub(crate) async fn paced_requests(target: &Target, plan: Plan) -> Result<Delays, BenchError> {
    let body = body(false, 0, Duration::ZERO, Duration::ZERO)?;
    let period = Duration::from_secs_f64(float(plan.connections.into()) / float(plan.rate.into()));
    let (delays, _) = all(target, plan.connections, |number, mut client| {
        let body = body.clone();
        async move {
            let begin = tokio::time::Instant::now();
            let mut due = begin + period * number / plan.connections;
            let mut delays = Delays::default();
            while due < begin + plan.time {
                let late = due.elapsed();
                sleep_until(due).await;
                let sent = now();
                client.ask(&body).await?;
                let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
                delays.push(now().saturating_sub(sent).saturating_add(late));
                due += period;
            }
            Ok(delays)
        }
    })
    .await?;
    Ok(delays)
}

/// Streams whose chunks the server sends at a pace of its own, spread evenly; the way of each chunk from server to client.
pub(crate) async fn paced_streams(target: &Target, plan: Plan) -> Result<Delays, BenchError> {
    let period = Duration::from_secs(1) / plan.pace;
    let chunks = u32::try_from(plan.time.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
    let bodies: Vec<Bytes> = (0..plan.streams)
        .map(|number| body(true, chunks, period, period * number / plan.streams))
        .collect::<Result<_, _>>()?;
    let (delays, _) = all(target, plan.streams, |number, mut client| {
        let body = bodies.get(number as usize).cloned().unwrap_or_default();
        async move {
            let seen = client.stream(&body).await?;
            expect(&client, seen.len(), chunks)?;
            Ok(seen)
        }
    })
    .await?;
    Ok(delays)
}

fn expect(client: &Client, seen: usize, chunks: u32) -> Result<(), BenchError> {
    if u32::try_from(seen) == Ok(chunks) {
        return Ok(());
    }
    Err(client.failed(format!("a stream of {seen} chunks in the place of {chunks}")))
}
