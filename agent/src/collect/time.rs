//! The host's clock and where it gets its time from.

use super::{CollectError, Collector, Roots, Sink};
use jiff::tz::TimeZone;
use std::{fs, path::PathBuf};

/// No host has more than one, but the kernel's folder is made for several.
const CLOCK_SOURCES_MAX: usize = 16;

/// The zone is read again this often; it is a file that hardly ever changes.
const ZONE_REFRESH_MS: i64 = 600_000;

pub(crate) struct Time {
    clock_sources: PathBuf,
    /// The host's zone, and when it was read.
    zone: Option<(TimeZone, i64)>,
}

impl Time {
    pub(crate) fn new(roots: &Roots) -> Self {
        Time { clock_sources: roots.sysfs.join("devices/system/clocksource"), zone: None }
    }

    fn zone(&mut self, now_ms: i64) -> TimeZone {
        let is_fresh = |read_at: i64| (read_at..read_at + ZONE_REFRESH_MS).contains(&now_ms);
        match &self.zone {
            Some((zone, read_at)) if is_fresh(*read_at) => zone.clone(),
            _ => {
                let zone = TimeZone::system();
                self.zone = Some((zone.clone(), now_ms));
                zone
            }
        }
    }

    /// Number, current source and available sources of each clock.
    fn sources(&self) -> Vec<(String, String, String)> {
        let read = |device: &str, file: &str| {
            fs::read_to_string(self.clock_sources.join(format!("clocksource{device}")).join(file))
                .unwrap_or_default()
        };
        let folders =
            fs::read_dir(&self.clock_sources).into_iter().flatten().flatten().take(CLOCK_SOURCES_MAX);
        folders
            .filter_map(|folder| Some(folder.file_name().to_str()?.strip_prefix("clocksource")?.to_owned()))
            .map(|device| {
                let current = read(&device, "current_clocksource");
                let available = read(&device, "available_clocksource");
                (device, current, available)
            })
            .collect()
    }
}

impl Collector for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let now_ms = out.timestamp_ms();
        out.gauge("node_time_seconds", "The host's clock, in seconds since 1970.")
            .value(now_ms as f64 / 1000.0);
        if let Ok(now) = jiff::Timestamp::from_millisecond(now_ms) {
            let system = self.zone(now_ms);
            let zone = system.to_offset_info(now);
            let offset = f64::from(zone.offset().seconds());
            out.gauge("node_time_zone_offset_seconds", "The host's time zone, as its distance from UTC.")
                .sample(&[("time_zone", zone.abbreviation())], offset);
        }
        let sources = self.sources();
        let mut family = out
            .gauge("node_time_clocksource_available_info", "Clock sources that the kernel offers; always 1.");
        for (device, _, available) in &sources {
            for source in available.split_ascii_whitespace() {
                family.sample(&[("clocksource", source), ("device", device)], 1.0);
            }
        }
        let mut family =
            out.gauge("node_time_clocksource_current_info", "The clock source in use; always 1.");
        for (device, current, _) in &sources {
            family.sample(&[("clocksource", current.trim()), ("device", device)], 1.0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, TICK_MS, lines};
    use super::*;

    #[test]
    fn clock_and_sources() {
        let fixture = Fixture::new();
        fixture.sys("devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet\n");
        fixture.sys("devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        let lines = lines(&mut Time::new(&fixture.roots()));
        assert_eq!(lines[0], format!("node_time_seconds{{}} {}", TICK_MS as f64 / 1000.0));
        assert!(lines[1].starts_with("node_time_zone_offset_seconds{time_zone="));
        assert_eq!(lines[2], r#"node_time_clocksource_available_info{clocksource="tsc", device="0"} 1"#);
        assert_eq!(lines[4], r#"node_time_clocksource_current_info{clocksource="tsc", device="0"} 1"#);
    }
}
