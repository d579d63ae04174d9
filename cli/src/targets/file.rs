//! The lines of a file, each by its number.

use super::lines::{LONGEST_LINE, encoding, not_utf8};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// It is remembered where one line in so many begins.
const MARKED: usize = 64;

/// Octets of a line that are kept: one too many, so that a line which is too long is seen to be.
const KEPT: u64 = LONGEST_LINE as u64 + 1;

/// A file and where its lines are.
pub(super) struct Lines {
    file: File,
    count: usize,
    /// Where each 64th line begins.
    marks: Vec<u64>,
    /// The line behind the last that was read, and where it begins.
    next: (usize, u64),
}

impl Lines {
    /// Looks for the lines of a file, from where it stands.
    pub(super) fn new(mut file: File) -> io::Result<Self> {
        let start = file.stream_position()?;
        let mut reader = BufReader::with_capacity(65_536, &file);
        if let Some(encoding) = encoding(reader.fill_buf()?) {
            return Err(not_utf8(encoding));
        }
        let (mut count, mut marks, mut at) = (0, Vec::new(), start);
        loop {
            let octets = reader.skip_until(b'\n')?;
            if octets == 0 {
                return Ok(Self {
                    file,
                    count,
                    marks,
                    next: (0, start),
                });
            }
            if count % MARKED == 0 {
                marks.push(at);
            }
            count += 1;
            at += octets as u64;
        }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// A line, without its end; lines count from 0. Of one that is very long only the beginning.
    pub(super) fn line(&mut self, number: usize) -> io::Result<Vec<u8>> {
        let marked = number / MARKED;
        let (mut at, mut offset) = match self.next {
            (next, offset) if (marked * MARKED..=number).contains(&next) => (next, offset),
            _ => (marked * MARKED, self.marks[marked]),
        };
        self.file.seek(SeekFrom::Start(offset))?;
        let mut reader = BufReader::with_capacity(4096, &self.file);
        while at < number {
            offset += reader.skip_until(b'\n')? as u64;
            at += 1;
        }
        let mut line = Vec::new();
        reader.by_ref().take(KEPT).read_until(b'\n', &mut line)?;
        offset += line.len() as u64;
        match line.pop_if(|last| *last == b'\n') {
            Some(_) => {}
            None => offset += reader.skip_until(b'\n')? as u64,
        }
        self.next = (number + 1, offset);
        Ok(line)
    }
}
