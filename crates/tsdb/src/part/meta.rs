//! The `meta` file: what a part is, in lines that a person can read.

use super::{META, PartError, damaged, name_of};
use disk::Dir;
use model::TimeRange;

/// Version of the whole part. Those of version 1 lack columns in pages and are read as well.
const VERSION: u32 = 2;

/// Where a part's samples come from, for recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Segments of the write-ahead log below this one are in parts.
    pub(crate) wal_before: u64,
    /// Parts whose samples it holds: leftovers of a merge that a crash cut short.
    pub(crate) replaces: Vec<u64>,
    /// Raw parts whose samples a tier's part holds, with others of the same fold.
    pub(crate) folds: Vec<u64>,
    /// How often its samples were merged.
    pub(crate) level: u32,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) id: u64,
    pub(crate) origin: Origin,
    /// Oldest and newest sample.
    pub(crate) time_range: TimeRange,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    pub(crate) data_bytes: u64,
    pub(crate) index_bytes: u64,
}

impl Meta {
    pub(super) fn encode(&self) -> Vec<u8> {
        let list = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let mut text = format!(
            "bellwether-metric-part {VERSION}\nid {}\nwal_before {}\nreplaces {}\nlevel {}\noldest_ms {}\n\
             newest_ms {}\nseries {}\nsamples {}\ndata_bytes {}\nindex_bytes {}\n",
            self.id,
            self.origin.wal_before,
            list(&self.origin.replaces),
            self.origin.level,
            self.time_range.start,
            self.time_range.end,
            self.series,
            self.samples,
            self.data_bytes,
            self.index_bytes,
        );
        if !self.origin.folds.is_empty() {
            text.push_str(&format!("folds {}\n", list(&self.origin.folds)));
        }
        text.push_str(&format!("crc32c {:08x}\n", crc32c::crc32c(text.as_bytes())));
        text.into_bytes()
    }

    pub(super) fn read(dir: &Dir, id: u64) -> Result<Meta, PartError> {
        let bytes = dir.read(META)?;
        let text = String::from_utf8_lossy(&bytes);
        let meta = decode(&text).map_err(|error| match error {
            Unreadable::Newer(version) => PartError::NewerVersion { part: name_of(id), version },
            Unreadable::Damaged => damaged(id, "`meta` is unreadable".to_owned()),
        })?;
        if meta.id == id { Ok(meta) } else { Err(damaged(id, format!("`meta` is of part {}", meta.id))) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.data_bytes + self.index_bytes
    }
}

enum Unreadable {
    Newer(u32),
    Damaged,
}

fn decode(text: &str) -> Result<Meta, Unreadable> {
    let first = text.lines().next().and_then(|line| line.strip_prefix("bellwether-metric-part "));
    let version: u32 = first.and_then(|version| version.parse().ok()).ok_or(Unreadable::Damaged)?;
    if version > VERSION {
        return Err(Unreadable::Newer(version));
    }
    decode_fields(text).ok_or(Unreadable::Damaged)
}

fn decode_fields(text: &str) -> Option<Meta> {
    let (body, crc) = text.split_once("crc32c ")?;
    if u32::from_str_radix(crc.trim_end(), 16).ok()? != crc32c::crc32c(body.as_bytes()) {
        return None;
    }
    let field = |name: &str| body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let number = |name: &str| field(name)?.parse::<u64>().ok();
    let time = |name: &str| field(name)?.parse::<i64>().ok();
    let list = |text: &str| {
        text.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().ok()).collect::<Option<Vec<u64>>>()
    };
    Some(Meta {
        id: number("id")?,
        origin: Origin {
            wal_before: number("wal_before")?,
            replaces: list(field("replaces")?)?,
            folds: list(field("folds").unwrap_or_default())?,
            level: field("level")?.parse().ok()?,
        },
        time_range: TimeRange::new(time("oldest_ms")?, time("newest_ms")?),
        series: number("series")?,
        samples: number("samples")?,
        data_bytes: number("data_bytes")?,
        index_bytes: number("index_bytes")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Meta {
        Meta {
            id: 7,
            origin: Origin { wal_before: 3, replaces: vec![5, 6], folds: vec![8], level: 1 },
            time_range: TimeRange::new(i64::MIN, -5),
            series: 2,
            samples: 9,
            data_bytes: 100,
            index_bytes: 50,
        }
    }

    #[test]
    fn older_versions_are_read_and_newer_ones_are_not() {
        let of_version = |version: u32| {
            let text = String::from_utf8(example().encode()).unwrap();
            let (_, rest) = text.split_once('\n').unwrap();
            let (rest, _) = rest.split_once("crc32c ").unwrap();
            let body = format!("bellwether-metric-part {version}\n{rest}");
            decode(&format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())))
        };
        assert_eq!(of_version(1).ok(), Some(example()));
        assert_eq!(of_version(VERSION).ok(), Some(example()));
        assert!(matches!(of_version(VERSION + 1), Err(Unreadable::Newer(_))));
    }

    #[test]
    fn round_trip_and_every_flipped_byte_is_noticed() {
        let meta = example();
        let bytes = meta.encode();
        assert_eq!(decode(std::str::from_utf8(&bytes).unwrap()).ok(), Some(meta.clone()));
        for i in 0..bytes.len() - 1 {
            let mut broken = bytes.clone();
            broken[i] ^= 1;
            assert!(decode(&String::from_utf8_lossy(&broken)).is_err(), "byte {i}");
        }
    }
}
