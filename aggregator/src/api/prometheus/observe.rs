//! Counts and times queries, and logs the slow ones.
//!
//! A query is slow when it took longer than `query.slow_log`, its wait in the queue included,
//! whether it succeeded or not.

use super::{
    answer::{ApiError, ErrorKind, Success},
    params::Params,
};
use crate::{app::App, query};
use daemon::{Pool, metrics::Metrics};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
};
use std::time::{Duration, Instant};
use store::{QueryContext, QueryUsage, StopReason};

/// Longest query text in the log, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByEndpoint {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    endpoint: &'static str,
    outcome: &'static str,
}

/// Own metrics of queries.
pub(crate) struct QueryMetrics {
    queries: Family<ByOutcome, Counter>,
    seconds: Family<ByEndpoint, Histogram>,
}

/// The length of the queue at the moment somebody asks.
#[derive(Debug)]
struct QueueLength(Pool);

impl Collector for QueueLength {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let waiting = ConstGauge::new(self.0.waiting() as i64);
        let help = "Queries that wait for a place on the query pool";
        let encoder =
            encoder.encode_descriptor("bellwether_query_queue_length", help, None, waiting.metric_type())?;
        waiting.encode(encoder)
    }
}

impl QueryMetrics {
    /// Registers them; `pool` is where queries wait.
    pub(crate) fn new(own: &Metrics, pool: &Pool) -> Self {
        // 1 ms to 65 s.
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 9));
        let metrics =
            QueryMetrics { queries: Family::default(), seconds: Family::new_with_constructor(seconds) };
        own.register(|registry| {
            registry.register(
                "bellwether_query",
                "Queries of the HTTP API by how they ended; those of LogQL have an endpoint that begins with `loki_`",
                metrics.queries.clone(),
            );
            registry.register(
                "bellwether_query_duration_seconds",
                "Time from a query's arrival to its answer",
                metrics.seconds.clone(),
            );
            registry.register_collector(Box::new(QueueLength(pool.clone())));
        });
        metrics
    }
}

/// The grain of the timer: time that is shorter than this is up before a query begins.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// A query under way. Dropped before its end, it counts as canceled: its caller has gone.
pub(crate) struct Watch<'a> {
    app: &'a App,
    endpoint: &'static str,
    begun: Instant,
    outcome: &'static str,
}

impl<'a> Watch<'a> {
    pub(crate) fn begin(app: &'a App, endpoint: &'static str) -> Self {
        Watch { app, endpoint, begun: Instant::now(), outcome: "canceled" }
    }

    /// Ends a query that ran; `tags` are what its caller says of itself.
    pub(crate) fn end(mut self, outcome: &'static str, query: &str, tags: &str, usage: Option<QueryUsage>) {
        self.outcome = outcome;
        let took = self.begun.elapsed();
        let threshold = Duration::from_millis(self.app.config.query.slow_log.0);
        if let Some(usage) = usage.filter(|_| !threshold.is_zero() && took > threshold) {
            tracing::warn!(
                endpoint = self.endpoint,
                query = shortened(query),
                tags = shortened(tags),
                seconds = took.as_secs_f64(),
                samples = usage.samples_read,
                bytes = usage.bytes_read,
                outcome,
                "slow query"
            );
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let (endpoint, outcome) = (self.endpoint, self.outcome);
        let metrics = &self.app.query_metrics;
        metrics.queries.get_or_create(&ByOutcome { endpoint, outcome }).inc();
        metrics.seconds.get_or_create(&ByEndpoint { endpoint }).observe(self.begun.elapsed().as_secs_f64());
    }
}

/// Runs `work` as [`query::run`] does, and counts, times and, if need be, logs it.
pub(super) async fn run(
    app: &App,
    endpoint: &'static str,
    params: &Params,
    work: impl FnOnce(&QueryContext) -> Result<Success, ApiError> + Send + 'static,
) -> Result<Success, ApiError> {
    let timeout = params.timeout()?;
    let watch = Watch::begin(app, endpoint);
    if timeout.is_some_and(|timeout| timeout < TIMEOUT_MIN) {
        let result = Err(StopReason::Timeout("0s".to_owned()).into());
        watch.end(outcome(&result), params.get("query"), "", None);
        return result;
    }
    let done = query::run(app, timeout, move |context| (work(context), context.usage())).await;
    let (result, usage) = match done {
        Ok((result, usage)) => (result, Some(usage)),
        Err(busy) => (Err(busy.into()), None),
    };
    watch.end(outcome(&result), params.get("query"), "", usage);
    result
}

fn outcome(result: &Result<Success, ApiError>) -> &'static str {
    match result {
        Ok(_) => "success",
        Err(error) => match error.kind {
            ErrorKind::Canceled => "canceled",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Unavailable => "busy",
            ErrorKind::Execution => "execution",
            _ => "error",
        },
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
