//! The table of a part: its streams and, for every chunk, where its sections lie and what can be
//! known without reading them. Drawn in `docs/formats/logstore.md`; held in memory while the part
//! is open.

use crate::bytes::{Damaged, Reader, compress, decompress, put_bytes, put_signed, put_varint, seal, unseal};
use model::{Labels, TimeRange};

const MAGIC: &[u8; 8] = b"BWLTAB\0\x01";
/// A table that claims to be larger is taken for damaged.
const TABLE_BYTES_MAX: usize = 1 << 30;
const TABLE_ZSTD_LEVEL: i32 = 3;

/// A letter run too long for the index occurs: runs cannot rule this chunk out.
pub(crate) const FLAG_LONG_RUN: u64 = 1;
/// No filter could be built: ids and fields cannot rule this chunk out.
pub(crate) const FLAG_NO_FILTER: u64 = 2;
/// Not all long ids are listed.
pub(crate) const FLAG_LONG_IDS_CUT: u64 = 4;
/// The list of long ids is compressed, which those of the first builds are not.
pub(crate) const FLAG_LONG_IDS_PACKED: u64 = 8;
/// There is a second filter, of longer ids, which chunks of the first builds do not have.
pub(crate) const FLAG_WIDE_FILTER: u64 = 16;
const FLAGS_KNOWN: u64 =
    FLAG_LONG_RUN | FLAG_NO_FILTER | FLAG_LONG_IDS_CUT | FLAG_LONG_IDS_PACKED | FLAG_WIDE_FILTER;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// In order of appearance; rows name them by index.
    pub(crate) streams: Vec<Labels>,
    /// Names of structured-metadata columns.
    pub(crate) names: Vec<String>,
    /// Values of `detected_level`; index 0 is the absent one.
    pub(crate) levels: Vec<String>,
    pub(crate) chunks: Vec<ChunkMeta>,
    /// The part's rank, and the ids of the parts whose rows it has taken over: for when the manifest
    /// is lost.
    pub(crate) rank: u64,
    pub(crate) replaces: Vec<u64>,
    /// Bit n: the index has an id of n bytes in its dictionary.
    pub(crate) id_lengths: u64,
}

/// One chunk: rows of streams `runs[..]`, each run sorted by time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ChunkMeta {
    /// Where its first section begins in the data file.
    pub(crate) offset: u64,
    pub(crate) times: Section,
    pub(crate) lengths: Section,
    pub(crate) columns: Vec<ColumnMeta>,
    pub(crate) frames: Vec<FrameMeta>,
    pub(crate) runs: Vec<Run>,
    pub(crate) filter: FilterMeta,
    pub(crate) flags: u64,
}

/// A compressed stretch of the data file, followed by its CRC-32C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) raw_bytes: u32,
    pub(crate) stored_bytes: u32,
}

/// A column of structured metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnMeta {
    /// Index into the table's names.
    pub(crate) name: u32,
    pub(crate) section: Section,
}

/// A frame of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameMeta {
    pub(crate) rows: u32,
    /// Bytes of its lines.
    pub(crate) bytes: u32,
    pub(crate) head: Section,
    pub(crate) codes: Section,
    pub(crate) dense: Section,
}

impl FrameMeta {
    /// Bytes it occupies in the data file.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.head.disk_bytes() + self.codes.disk_bytes() + self.dense.disk_bytes()
    }
}

/// The rows of one stream in one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Index into the table's streams.
    pub(crate) stream: u32,
    pub(crate) rows: u32,
    /// Bytes of its lines.
    pub(crate) bytes: u64,
    pub(crate) oldest_ns: i64,
    pub(crate) newest_ns: i64,
    /// Rows and bytes by level; empty when there were too many levels to count.
    pub(crate) levels: Vec<LevelCount>,
}

/// Rows and bytes of one level in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelCount {
    /// Index into the table's levels.
    pub(crate) level: u32,
    pub(crate) rows: u32,
    pub(crate) bytes: u64,
}

/// The chunk's filter of ids that no other chunk of the part has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilterMeta {
    /// Where it begins in the filter file.
    pub(crate) offset: u64,
    /// Bytes of the binary-fuse filter; 0 when it is empty.
    pub(crate) fuse_bytes: u32,
    /// Bytes of the second filter, which follows.
    pub(crate) wide_bytes: u32,
    /// Bytes of the list of long ids, which follows.
    pub(crate) long_bytes: u32,
    /// Bit n: an id of n bytes is in the filter.
    pub(crate) id_lengths: u64,
}

impl Section {
    /// Bytes it occupies in the data file.
    pub(crate) fn disk_bytes(&self) -> u64 {
        u64::from(self.stored_bytes) + 4
    }
}

impl ChunkMeta {
    pub(crate) fn rows(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.rows)).sum()
    }

    /// Bytes of lines.
    pub(crate) fn line_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }
}

/// Oldest and newest row of some runs, closed; inverted when there are none.
pub(crate) fn range_of<'a>(runs: impl IntoIterator<Item = &'a Run>) -> TimeRange {
    runs.into_iter().fold(TimeRange::new(i64::MAX, i64::MIN), |range, run| {
        TimeRange::new(range.start.min(run.oldest_ns), range.end.max(run.newest_ns))
    })
}

impl Table {
    /// Its file's bytes.
    pub(crate) fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        put_list(&mut raw, &self.streams, |out, labels| put_bytes(out, labels.as_bytes()));
        put_list(&mut raw, &self.names, |out, name| put_bytes(out, name.as_bytes()));
        put_list(&mut raw, &self.levels, |out, level| put_bytes(out, level.as_bytes()));
        put_list(&mut raw, &self.chunks, put_chunk);
        put_varint(&mut raw, self.rank);
        put_list(&mut raw, &self.replaces, |out, &id| put_varint(out, id));
        put_varint(&mut raw, self.id_lengths);
        let mut payload = Vec::new();
        put_varint(&mut payload, raw.len() as u64);
        payload.extend_from_slice(&compress(&raw, TABLE_ZSTD_LEVEL)?);
        Ok(seal(MAGIC, &payload))
    }

    /// Reads and checks a table file.
    pub(crate) fn decode(bytes: &[u8], name: &str) -> Result<Table, Damaged> {
        let mut payload = Reader::new(unseal(MAGIC, bytes, name)?);
        let length = payload.varint()? as usize;
        if length > TABLE_BYTES_MAX {
            return Err(Damaged::new(format!("`{name}` is too large")));
        }
        let raw = decompress(payload.rest(), length)?;
        let mut reader = Reader::new(&raw);
        let table = Table {
            streams: list(&mut reader, |reader| {
                Labels::from_bytes(reader.bytes()?).ok_or_else(|| Damaged::new("bad stream labels"))
            })?,
            names: list(&mut reader, |reader| Ok(reader.text()?.to_owned()))?,
            levels: list(&mut reader, |reader| Ok(reader.text()?.to_owned()))?,
            chunks: list(&mut reader, chunk)?,
            rank: reader.varint()?,
            replaces: list(&mut reader, Reader::varint)?,
            id_lengths: reader.varint()?,
        };
        table.check()?;
        Ok(table)
    }

    /// Indexes that readers use without looking stay within bounds.
    fn check(&self) -> Result<(), Damaged> {
        for chunk in &self.chunks {
            let streams_fit = chunk.runs.iter().all(|run| (run.stream as usize) < self.streams.len());
            let levels_fit = chunk
                .runs
                .iter()
                .flat_map(|run| &run.levels)
                .all(|count| (count.level as usize) < self.levels.len());
            let names_fit = chunk.columns.iter().all(|column| (column.name as usize) < self.names.len());
            let framed: u64 = chunk.frames.iter().map(|frame| u64::from(frame.rows)).sum();
            if !(streams_fit && levels_fit && names_fit && framed == chunk.rows()) {
                return Err(Damaged::new("chunk table contradicts itself"));
            }
        }
        Ok(())
    }
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_varint(out, items.len() as u64);
    for item in items {
        put(out, item);
    }
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<Vec<T>, Damaged> {
    (0..reader.count()?).map(|_| read(reader)).collect()
}

fn put_chunk(out: &mut Vec<u8>, chunk: &ChunkMeta) {
    put_varint(out, chunk.offset);
    put_section(out, &chunk.times);
    put_section(out, &chunk.lengths);
    put_list(out, &chunk.columns, |out, column| {
        put_varint(out, u64::from(column.name));
        put_section(out, &column.section);
    });
    put_list(out, &chunk.frames, |out, frame| {
        put_varint(out, u64::from(frame.rows));
        put_varint(out, u64::from(frame.bytes));
        put_section(out, &frame.head);
        put_section(out, &frame.codes);
        put_section(out, &frame.dense);
    });
    put_list(out, &chunk.runs, put_run);
    put_varint(out, chunk.filter.offset);
    put_varint(out, u64::from(chunk.filter.fuse_bytes));
    put_varint(out, u64::from(chunk.filter.long_bytes));
    put_varint(out, chunk.filter.id_lengths);
    put_varint(out, chunk.flags);
    if chunk.flags & FLAG_WIDE_FILTER != 0 {
        put_varint(out, u64::from(chunk.filter.wide_bytes));
    }
}

fn chunk(reader: &mut Reader<'_>) -> Result<ChunkMeta, Damaged> {
    let mut chunk = ChunkMeta {
        offset: reader.varint()?,
        times: section(reader)?,
        lengths: section(reader)?,
        columns: list(reader, |reader| Ok(ColumnMeta { name: reader.u32()?, section: section(reader)? }))?,
        frames: list(reader, |reader| {
            let (rows, bytes) = (reader.u32()?, reader.u32()?);
            let (head, codes, dense) = (section(reader)?, section(reader)?, section(reader)?);
            Ok(FrameMeta { rows, bytes, head, codes, dense })
        })?,
        runs: list(reader, run)?,
        filter: FilterMeta {
            offset: reader.varint()?,
            fuse_bytes: reader.u32()?,
            wide_bytes: 0,
            long_bytes: reader.u32()?,
            id_lengths: reader.varint()?,
        },
        flags: reader.varint()?,
    };
    if chunk.flags & !FLAGS_KNOWN != 0 {
        return Err(Damaged::new("a chunk has flags of a later version"));
    }
    if chunk.flags & FLAG_WIDE_FILTER != 0 {
        chunk.filter.wide_bytes = reader.u32()?;
    }
    Ok(chunk)
}

fn put_section(out: &mut Vec<u8>, section: &Section) {
    put_varint(out, u64::from(section.raw_bytes));
    put_varint(out, u64::from(section.stored_bytes));
}

fn section(reader: &mut Reader<'_>) -> Result<Section, Damaged> {
    Ok(Section { raw_bytes: reader.u32()?, stored_bytes: reader.u32()? })
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    put_varint(out, u64::from(run.stream));
    put_varint(out, u64::from(run.rows));
    put_varint(out, run.bytes);
    put_signed(out, run.oldest_ns);
    put_varint(out, run.newest_ns.wrapping_sub(run.oldest_ns) as u64);
    put_list(out, &run.levels, |out, count| {
        put_varint(out, u64::from(count.level));
        put_varint(out, u64::from(count.rows));
        put_varint(out, count.bytes);
    });
}

fn run(reader: &mut Reader<'_>) -> Result<Run, Damaged> {
    let (stream, rows, bytes) = (reader.u32()?, reader.u32()?, reader.varint()?);
    let oldest_ns = reader.signed()?;
    let newest_ns = oldest_ns.wrapping_add(reader.varint()? as i64);
    let levels = list(reader, |reader| {
        Ok(LevelCount { level: reader.u32()?, rows: reader.u32()?, bytes: reader.varint()? })
    })?;
    Ok(Run { stream, rows, bytes, oldest_ns, newest_ns, levels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_back() {
        let section = |n| Section { raw_bytes: n, stored_bytes: n / 2 };
        let run = Run {
            stream: 0,
            rows: 3,
            bytes: 30,
            oldest_ns: i64::MIN,
            newest_ns: i64::MAX,
            levels: vec![LevelCount { level: 1, rows: 3, bytes: 30 }],
        };
        let chunk = ChunkMeta {
            offset: 8,
            times: section(10),
            lengths: section(3),
            columns: vec![ColumnMeta { name: 0, section: section(5) }],
            frames: vec![FrameMeta {
                rows: 3,
                bytes: 30,
                head: section(20),
                codes: section(7),
                dense: section(9),
            }],
            runs: vec![run],
            filter: FilterMeta {
                offset: 8,
                fuse_bytes: 9,
                wide_bytes: 7,
                long_bytes: 1,
                id_lengths: 1 << 63,
            },
            flags: FLAG_LONG_RUN | FLAG_WIDE_FILTER,
        };
        // As builds without a second filter write it: nothing stands for the filter.
        let mut older = chunk.clone();
        (older.flags, older.filter.wide_bytes) = (FLAG_LONG_RUN, 0);
        let mut table = Table {
            streams: vec![Labels::from_pairs([("app", "x")])],
            names: vec!["detected_level".into()],
            levels: vec!["".into(), "info".into()],
            chunks: vec![older, chunk],
            rank: 3,
            replaces: vec![3, 9],
            id_lengths: 1 << 32,
        };
        let bytes = table.encode().unwrap();
        assert_eq!(Table::decode(&bytes, "t").unwrap(), table);
        table.chunks[0].flags = 32;
        assert!(Table::decode(&table.encode().unwrap(), "t").is_err(), "flags of a later version");
        table.chunks[0].flags = 0;
        table.chunks[0].runs[0].stream = 1;
        assert!(Table::decode(&table.encode().unwrap(), "t").is_err());
    }
}
