//! The agent as a whole, against a receiver that misbehaves on demand.

mod delivery;
mod golden;
mod receiver;
mod rotation;
