//! Writes a part: rows in storage order go in, a folder of checksummed, synced files comes out.
//!
//! Bounds: one chunk of rows in memory, and what [`IndexBuilder`] keeps.

use super::{
    DATA_FILE, DATA_MAGIC, FILTER_FILE, FILTER_MAGIC, INDEX_FILE, Part, TABLE_FILE,
    columns::{ColumnsBuilder, encode_lengths, encode_times},
    index::{CopiedTerms, IndexBuilder},
    lines::{self, EncodedFrame, Parsed},
    reader::{ChunkReader, ReadError},
    table::{ChunkMeta, ColumnMeta, FilterMeta, FrameMeta, LevelCount, Run, Section, Table},
};
use disk::{Dir, WriteFile};
use model::{Labels, LabelsRef};
use std::{collections::HashMap, io};

/// How large the pieces of a part are; tests make them small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// A chunk ends when it has this much, or at the end of a stream when it has three quarters.
    pub(crate) chunk_bytes: usize,
    /// A chunk of short lines ends at this many rows.
    pub(crate) chunk_rows_max: usize,
    /// A frame of lines ends when it has this much: what one hit must decompress.
    pub(crate) frame_bytes: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { chunk_bytes: 2 << 20, chunk_rows_max: 1 << 17, frame_bytes: 2 << 20 }
    }
}

/// More levels than this in one run are not counted.
const LEVELS_MAX: usize = 16;
/// Level of columns, which are small.
const COLUMN_ZSTD_LEVEL: i32 = 3;
/// Level of what hardly compresses.
const DENSE_ZSTD_LEVEL: i32 = 1;
/// The metadata that says how grave a line is.
pub(crate) const LEVEL_NAME: &str = "detected_level";

/// The chunk being filled.
#[derive(Default)]
struct Chunk {
    runs: Vec<Run>,
    times: Vec<i64>,
    lengths: Vec<u32>,
    text: Vec<u8>,
    columns: ColumnsBuilder,
    metadata_bytes: usize,
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.text.len() + self.metadata_bytes
    }

    /// Forgets all rows, and keeps the memory for those of the next chunk.
    fn clear(&mut self) {
        self.runs.clear();
        self.times.clear();
        self.lengths.clear();
        self.text.clear();
        self.columns.clear();
        self.metadata_bytes = 0;
    }
}

/// Numbers for names, in order of appearance.
#[derive(Default)]
struct Numbers {
    known: HashMap<String, u32>,
    names: Vec<String>,
}

impl Numbers {
    fn of(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.known.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.known.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

/// See the module.
pub(crate) struct PartWriter {
    dir: Dir,
    shape: Shape,
    data: WriteFile,
    lines: zstd::bulk::Compressor<'static>,
    small: zstd::bulk::Compressor<'static>,
    dense: zstd::bulk::Compressor<'static>,
    streams: Vec<Labels>,
    stream_numbers: HashMap<Labels, u32>,
    /// The stream that rows belong to.
    stream: u32,
    names: Numbers,
    levels: Numbers,
    chunks: Vec<ChunkMeta>,
    chunk: Chunk,
    parsed: Parsed,
    index: IndexBuilder,
}

/// A part as written.
pub(crate) struct Written {
    /// Rows it has.
    pub(crate) rows: u64,
}

impl PartWriter {
    /// A part in the empty folder `dir`, of about `raw_bytes` of lines.
    pub(crate) fn new(dir: Dir, shape: Shape, raw_bytes: u64, zstd_level: i32) -> io::Result<Self> {
        let mut data = dir.create(DATA_FILE)?;
        data.write_all(DATA_MAGIC)?;
        let mut levels = Numbers::default();
        levels.of("");
        Ok(PartWriter {
            data,
            dir,
            shape,
            lines: zstd::bulk::Compressor::new(zstd_level)?,
            small: zstd::bulk::Compressor::new(COLUMN_ZSTD_LEVEL)?,
            dense: zstd::bulk::Compressor::new(DENSE_ZSTD_LEVEL)?,
            streams: Vec::new(),
            stream_numbers: HashMap::new(),
            stream: 0,
            names: Numbers::default(),
            levels,
            chunks: Vec::new(),
            chunk: Chunk::default(),
            parsed: Parsed::default(),
            index: IndexBuilder::new(raw_bytes),
        })
    }

    /// Goes on with a stream, the next in storage order; rows pushed from now on belong to it.
    pub(crate) fn stream(&mut self, labels: &Labels) -> io::Result<()> {
        if self.chunk.bytes() >= self.shape.chunk_bytes / 4 * 3 {
            self.end_chunk()?;
        }
        self.stream = self.stream_number(labels);
        Ok(())
    }

    fn stream_number(&mut self, labels: &Labels) -> u32 {
        if let Some(&number) = self.stream_numbers.get(labels) {
            return number;
        }
        let number = self.streams.len() as u32;
        self.stream_numbers.insert(labels.clone(), number);
        self.streams.push(labels.clone());
        number
    }

    /// How large the part's pieces are.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// What [`PartWriter::copy_chunk`] needs for those of a part's chunks that are marked.
    pub(crate) fn copied_terms(
        &mut self,
        part: &Part,
        marked: &[bool],
    ) -> Result<Vec<Option<CopiedTerms>>, ReadError> {
        match part.index().filter(|_| marked.contains(&true)) {
            Some(index) => Ok(self.index.terms_of(index, &part.table.chunks, marked)?),
            None => Ok(marked.iter().map(|_| None).collect()),
        }
    }

    /// Adds a chunk of another part as it is; the chunk being filled goes on.
    pub(crate) fn copy_chunk(
        &mut self,
        part: &Part,
        chunk: usize,
        terms: CopiedTerms,
    ) -> Result<(), ReadError> {
        let reader = ChunkReader::new(part, chunk);
        let offset = self.data.len();
        self.data.write_all(&reader.stored()?)?;
        let mut meta = ChunkMeta { offset, ..reader.meta.clone() };
        for run in &mut meta.runs {
            run.stream = self.stream_number(&part.table.streams[run.stream as usize]);
            for count in &mut run.levels {
                count.level = self.levels.of(&part.table.levels[count.level as usize]);
            }
        }
        for column in &mut meta.columns {
            column.name = self.names.of(&part.table.names[column.name as usize]);
        }
        self.chunks.push(meta);
        self.index.copied_chunk(terms);
        Ok(())
    }

    /// Adds a row of the current stream; rows come in order of time.
    pub(crate) fn row(&mut self, timestamp_ns: i64, line: &[u8], metadata: LabelsRef<'_>) -> io::Result<()> {
        let row_bytes = line.len() + metadata.as_bytes().len();
        let rows = self.chunk.times.len();
        if rows > 0
            && (self.chunk.bytes() + row_bytes > self.shape.chunk_bytes || rows >= self.shape.chunk_rows_max)
        {
            self.end_chunk()?;
        }
        let stream = self.stream;
        let chunk = &mut self.chunk;
        if chunk.runs.last().is_none_or(|run| run.stream != stream) {
            chunk.runs.push(Run {
                stream,
                rows: 0,
                bytes: 0,
                oldest_ns: timestamp_ns,
                newest_ns: timestamp_ns,
                levels: Vec::new(),
            });
        }
        if let Some(run) = chunk.runs.last_mut() {
            run.rows += 1;
            run.bytes += line.len() as u64;
            run.newest_ns = timestamp_ns;
        }
        chunk.columns.push(chunk.times.len(), metadata);
        chunk.times.push(timestamp_ns);
        chunk.lengths.push(line.len() as u32);
        chunk.text.extend_from_slice(line);
        chunk.metadata_bytes += metadata.as_bytes().len();
        Ok(())
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        if chunk.times.is_empty() {
            return Ok(());
        }
        self.count_levels(&mut chunk);
        self.parsed.parse(&chunk.text, &chunk.lengths);
        self.index.chunk(&self.parsed, &chunk.text, &chunk.columns);
        let offset = self.data.len();
        let times = self.section(&encode_times(&chunk.times, &chunk.runs))?;
        let lengths = self.section(&encode_lengths(&chunk.lengths))?;
        let mut columns = Vec::new();
        for (name, bytes) in chunk.columns.encode(chunk.times.len()) {
            let name = self.names.of(name);
            columns.push(ColumnMeta { name, section: self.section(&bytes)? });
        }
        let frames = self.frames(&chunk)?;
        self.chunks.push(ChunkMeta {
            offset,
            times,
            lengths,
            columns,
            frames,
            runs: std::mem::take(&mut chunk.runs),
            filter: FilterMeta::default(),
            flags: 0,
        });
        chunk.clear();
        self.chunk = chunk;
        Ok(())
    }

    fn section(&mut self, raw: &[u8]) -> io::Result<Section> {
        let stored = self.small.compress(raw)?;
        put_section(&mut self.data, raw.len(), &stored)
    }

    fn frames(&mut self, chunk: &Chunk) -> io::Result<Vec<FrameMeta>> {
        let mut frames = Vec::new();
        let (mut rows, mut start, mut end) = (0, 0, 0);
        for (index, &length) in chunk.lengths.iter().enumerate() {
            rows += 1;
            end += length as usize;
            let is_last = index + 1 == chunk.lengths.len();
            if end - start >= self.shape.frame_bytes || is_last {
                let first = index + 1 - rows as usize;
                let encoded = lines::encode(&self.parsed, &chunk.text, first..index + 1);
                frames.push(self.frame(&encoded, rows, (end - start) as u32)?);
                (rows, start) = (0, end);
            }
        }
        Ok(frames)
    }

    fn frame(&mut self, frame: &EncodedFrame, rows: u32, bytes: u32) -> io::Result<FrameMeta> {
        let head = frame.head();
        let stored = self.lines.compress(&head)?;
        let head = put_section(&mut self.data, head.len(), &stored)?;
        let codes = self.section(&frame.codes)?;
        let stored = self.dense.compress(&frame.dense)?;
        let dense = put_section(&mut self.data, frame.dense.len(), &stored)?;
        Ok(FrameMeta { rows, bytes, head, codes, dense })
    }

    /// Fills in rows and bytes by level of every run.
    fn count_levels(&mut self, chunk: &mut Chunk) {
        let column = chunk.columns.get(LEVEL_NAME);
        let mut row = 0;
        for run in &mut chunk.runs {
            let mut counts: Vec<LevelCount> = Vec::new();
            for index in row..row + run.rows as usize {
                let value = column.map_or(&[][..], |column| column.get(index));
                let level = self.levels.of(&String::from_utf8_lossy(value));
                let bytes = u64::from(chunk.lengths[index]);
                match counts.iter_mut().find(|count| count.level == level) {
                    Some(count) => {
                        count.rows += 1;
                        count.bytes += bytes;
                    }
                    None => counts.push(LevelCount { level, rows: 1, bytes }),
                }
                if counts.len() > LEVELS_MAX {
                    break;
                }
            }
            row += run.rows as usize;
            run.levels = if counts.len() > LEVELS_MAX { Vec::new() } else { counts };
        }
    }

    /// Writes the rest and makes every file durable.
    pub(crate) fn finish(mut self, rank: u64, replaces: Vec<u64>) -> io::Result<Written> {
        self.end_chunk()?;
        self.data.sync()?;
        let mut index = self.dir.create(INDEX_FILE)?;
        let finished_index = self.index.finish(&mut index)?;
        index.sync()?;
        let mut filter_bytes = Vec::new();
        for (chunk, finished) in self.chunks.iter_mut().zip(finished_index.chunks) {
            chunk.flags = finished.flags;
            chunk.filter = FilterMeta {
                offset: filter_bytes.len() as u64,
                fuse_bytes: finished.filter.fuse.len() as u32,
                wide_bytes: finished.filter.wide.len() as u32,
                long_bytes: finished.filter.long_ids.len() as u32,
                id_lengths: finished.filter.id_lengths,
            };
            filter_bytes.extend_from_slice(&finished.filter.fuse);
            filter_bytes.extend_from_slice(&finished.filter.wide);
            filter_bytes.extend_from_slice(&finished.filter.long_ids);
        }
        write_whole(&self.dir, FILTER_FILE, &crate::bytes::seal(FILTER_MAGIC, &filter_bytes))?;
        let rows = self.chunks.iter().map(ChunkMeta::rows).sum();
        let table = Table {
            streams: self.streams,
            names: self.names.names,
            levels: self.levels.names,
            chunks: self.chunks,
            rank,
            replaces,
            id_lengths: finished_index.id_lengths,
        };
        write_whole(&self.dir, TABLE_FILE, &table.encode()?)?;
        self.dir.sync_dir()?;
        Ok(Written { rows })
    }
}

fn put_section(data: &mut WriteFile, raw_bytes: usize, stored: &[u8]) -> io::Result<Section> {
    data.write_all(stored)?;
    data.write_all(&crc32c::crc32c(stored).to_le_bytes())?;
    Ok(Section { raw_bytes: raw_bytes as u32, stored_bytes: stored.len() as u32 })
}

fn write_whole(dir: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = dir.create(name)?;
    file.write_all(bytes)?;
    file.sync()
}
