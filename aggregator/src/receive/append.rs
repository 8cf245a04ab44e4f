//! Appends a decoded batch to its store.

use super::{counters::Protocol, failure::Failure, receivers::Scratch};
use crate::app::App;
use model::{BatchId, LogBatch};
use store::{Commit, Receipt, Rejection};
use wire::DecodeReport;

/// What a decoder left in the scratch buffers.
pub(super) enum Decoded {
    Metrics(DecodeReport),
    Logs(DecodeReport),
}

/// A batch that is in its store, and durable once `commit` completes.
pub(super) struct Appended {
    pub(super) report: DecodeReport,
    pub(super) stored: u64,
    pub(super) duplicate: bool,
    /// What the store refused; what the decoder did is in `report`.
    pub(super) rejections: Vec<Rejection>,
    /// Samples or entries refused, by the decoder or by the store.
    pub(super) rejected: u64,
    /// Why, on one line; "" when nothing was refused.
    pub(super) message: String,
    pub(super) commit: Commit,
    /// The lines, when somebody follows them.
    pub(super) for_tail: Option<LogBatch>,
}

impl Decoded {
    pub(super) fn append(
        self,
        app: &App,
        protocol: Protocol,
        scratch: &mut Scratch,
        id: Option<&BatchId>,
        now_ns: i64,
    ) -> Result<Appended, Failure> {
        let (report, receipt, for_tail) = match self {
            Decoded::Metrics(report) => {
                let receipt = app.metrics.append(&scratch.metrics, id, now_ns / 1_000_000)?;
                app.receivers.early_samples.look(protocol, &scratch.metrics);
                (report, receipt, None)
            }
            Decoded::Logs(report) => {
                let receipt = app.logs.append(&scratch.logs, id, now_ns)?;
                app.receivers.early_samples.look_at_lines(protocol, &scratch.logs);
                let is_followed = !receipt.duplicate && app.tail.is_followed();
                let for_tail = is_followed.then(|| std::mem::take(&mut scratch.logs));
                (report, receipt, for_tail)
            }
        };
        Ok(summarize(report, receipt, for_tail))
    }
}

fn summarize(report: DecodeReport, receipt: Receipt, for_tail: Option<LogBatch>) -> Appended {
    let mut message = report.to_string();
    for rejection in &receipt.rejected {
        let separator = if message.is_empty() { "" } else { "; " };
        let (count, reason) = (rejection.count, rejection.reason.as_str());
        message.push_str(&format!("{separator}{count} x {reason}: {}", rejection.example));
    }
    Appended {
        rejected: report.rejected_count()
            + receipt.rejected.iter().map(|rejected| rejected.count).sum::<u64>(),
        stored: receipt.stored,
        duplicate: receipt.duplicate,
        commit: receipt.commit,
        rejections: receipt.rejected,
        report,
        message,
        for_tail,
    }
}
