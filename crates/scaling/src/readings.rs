//! What scaling needs of the query engine; wired up by the aggregator.

/// One element of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Its value.
    pub value: f64,
    /// When the newest sample that contributed was taken, where the engine knows.
    pub sampled_at_ms: Option<i64>,
}

/// Evaluates expressions. Calls are synchronous and may take long.
pub trait Readings: Send + Sync {
    /// Every element of the value of `expr` at `at_ms`; a scalar is one element.
    ///
    /// # Errors
    /// When the query fails; the text is shown.
    fn read(&self, expr: &str, at_ms: i64) -> Result<Vec<Reading>, String>;

    /// Whether `expr` parses and yields a vector or a scalar.
    ///
    /// # Errors
    /// Line and column within the expression, from 1, and what is wrong.
    fn check(&self, expr: &str) -> Result<(), (usize, usize, String)>;

    /// The names of alerts that fire now, for guards.
    fn firing_alerts(&self) -> Vec<String>;
}
