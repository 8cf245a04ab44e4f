mod bridge;
mod conformance;
mod failures;
