//! The life of an alert: rules → alerts → route → group → inhibit → silence → compare with what
//! was told → deliver.
//!
//! * [`rules`]: rule files, evaluation in slots, the state machine of an alert, recorded series.
//! * [`config`]: Alertmanager's configuration format; [`route`], [`inhibit`], [`time_interval`] and
//!   [`silence`] are its parts at work.
//! * [`dispatch`]: a state machine that turns alerts into deliveries; [`notify`] says whether, what
//!   and how to tell.
//! * `journal`: alerts, silences, the notification log and the outbox on disk.
//! * [`Alerting`]: all of it running, behind one handle.
//!
//! Everything that decides is plain code that is told what time it is; the only thread of its own
//! is the one that owns dispatcher and journal. Query engines and stores are not linked: they come
//! in through [`Querier`] and [`SampleSink`].
//!
//! Two promises are kept everywhere: a query that fails, or data that stopped coming while this
//! server was away, never looks like recovery; and what was decided survives kill -9, so that
//! nobody is told twice by a restart or an edit of the routing, nor forgotten.

mod alert;
mod annotations;
pub mod config;
pub mod dispatch;
mod expand;
pub mod history;
pub mod inhibit;
mod journal;
pub mod matchers;
mod metrics;
pub mod notify;
mod order;
mod owner;
mod problem;
mod querier;
mod receivers;
pub mod route;
pub mod rules;
mod service;
pub mod silence;
mod stored;
pub mod time_interval;
pub mod timestamp;

pub use alert::{ALERT_NAME, Alert, Fingerprint, Measure, Rendered};
pub use annotations::Annotations;
pub use dispatch::{AlertView, Explanation, GroupView, PostError, PostedAlert};
pub use expand::{ExpandError, NotificationTemplates};
pub use history::{Event, EventFilter, EventKind, HistoryPage};
pub use journal::JournalError;
pub use owner::OwnerError;
pub use problem::{Problem, Problems};
pub use querier::{
    Condition, EventSink, ExpressionError, GraphSeries, Querier, QueryFailure, Reading, SampleSink, Source,
};
pub use rules::Offer;
pub use service::{
    Alerting, HistoryError, Parts, ReloadStatus, Revision, Settings, SilenceChangeError, StartError,
    TestError, TestOutcome, read_rules,
};
pub use silence::{Silence, SilenceMatcher, SilenceState};
