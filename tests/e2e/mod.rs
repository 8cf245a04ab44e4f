//! The real binaries, together.

mod access;
mod alert_crashes;
mod alerts;
mod bad_input;
mod clickhouse;
mod clients;
mod command_line;
mod dashboards;
mod differential;
mod durability;
mod egress;
mod hosts;
mod log_clients;
mod mail_tls;
mod operator;
mod page;
mod policies;
mod rule_tests;
mod scaling;
mod secrets;
mod shipping;
