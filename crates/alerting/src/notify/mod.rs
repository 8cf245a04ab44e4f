//! Telling: whether ([`dedup`]), what ([`message`]), how ([`webhook`], [`email`]) and how often it
//! is tried ([`retry`]).

pub(crate) mod dedup;
pub(crate) mod deliver;
pub(crate) mod email;
pub(crate) mod http;
pub(crate) mod message;
pub(crate) mod retry;
pub(crate) mod sparkline;
pub(crate) mod telling;
pub(crate) mod webhook;

pub use message::{Message, NotifiedAlert, Reason};
