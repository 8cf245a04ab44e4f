//! The real binaries, together.

mod access;
mod alerts;
mod bad_input;
mod clients;
mod dashboards;
mod durability;
mod page;
mod policies;
mod scaling;
mod shipping;
