//! The bytes of a connection that are not yet commands.
//!
//! While whole commands arrive nothing is kept: they are read where the engine received them. Only the
//! beginning of a command that was cut is copied, and later bytes are appended until it is whole. An
//! argument of 32 KiB or more goes straight into a vector of its own size, which the command may keep.
//!
//! ```text
//!   chunk ──► complete commands ──► burst            (nothing pending: read in place)
//!         └─► the cut rest ──► Partial.buffer ◄── later chunks      ──► burst, read from the buffer
//!                              Partial.collecting ◄── a big argument's bytes
//! ```

use crate::error::ProtocolError;
use crate::resp::args::BIG_ARGUMENT_BYTES;
use crate::resp::parse::{Limits, Progress, parse};
use crate::resp::{Args, Span};

/// How many commands are run before other connections get their turn.
pub const BURST_COMMANDS_MAX: usize = 1024;
/// A big argument's vector is made this large at once; beyond it grows with what really arrives.
const COLLECT_RESERVE_BYTES: usize = 1 << 20;

/// One complete command in a buffer: its bytes and the spans of its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Where its bytes begin in the buffer; what has not run yet can be read again from here.
    pub start: usize,
    /// Where its bytes end.
    pub end: usize,
    pub first_span: u32,
    pub arguments: u32,
}

/// What is pending; a pointer's size while nothing is.
#[derive(Default)]
pub struct Input(Option<Box<Partial>>);

/// Bytes that arrived and have not run.
#[derive(Default)]
pub struct Partial {
    pub buffer: Vec<u8>,
    progress: Progress,
    /// The arguments of the cut command so far, as spans of `buffer` or `owned`.
    spans: Vec<Span>,
    owned: Vec<Vec<u8>>,
    /// A big argument on its way, and how many bytes it will have (with its line end).
    collecting: Option<(Vec<u8>, usize)>,
}

impl Input {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn take(&mut self) -> Option<Box<Partial>> {
        self.0.take()
    }

    pub fn put(&mut self, partial: Box<Partial>) {
        self.0 = (!partial.is_empty()).then_some(partial);
    }

    /// Keeps bytes for later, behind what is pending already.
    pub fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().append(bytes);
        }
    }

    /// Bytes that wait to become commands.
    pub fn pending_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |partial| partial.pending_bytes())
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |partial| {
            size_of::<Partial>()
                + partial.buffer.capacity()
                + partial.spans.capacity() * size_of::<Span>()
                + partial.owned.iter().map(Vec::capacity).sum::<usize>()
                + partial.collecting.as_ref().map_or(0, |(bytes, _)| bytes.capacity())
        })
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.owned.is_empty() && self.collecting.is_none() && self.spans.is_empty()
    }

    fn pending_bytes(&self) -> usize {
        self.buffer.len()
            + self.owned.iter().map(Vec::len).sum::<usize>()
            + self.collecting.as_ref().map_or(0, |(bytes, _)| bytes.len())
    }

    /// Adds bytes that arrived.
    pub fn append(&mut self, mut bytes: &[u8]) {
        if let Some((collected, wanted)) = &mut self.collecting {
            let missing = *wanted - collected.len();
            let taken = missing.min(bytes.len());
            collected.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Reads the complete commands of the buffer into `frames`; stops after an error. Returns where the
    /// command begins that is not complete.
    pub fn parse(
        &mut self,
        frames: &mut Vec<Frame>,
        spans: &mut Vec<Span>,
        owned: &mut Vec<Vec<u8>>,
        limits: Limits,
    ) -> Result<usize, ProtocolError> {
        if let Some((collected, wanted)) = &self.collecting {
            if collected.len() < *wanted {
                return Ok(0);
            }
            self.finish_collecting();
        }
        spans.append(&mut self.spans);
        owned.append(&mut self.owned);
        let progress = std::mem::take(&mut self.progress);
        let rest = parse_frames(&self.buffer, progress, frames, spans, owned, limits)?;
        let start = rest.start;
        self.keep(rest, spans, owned);
        Ok(start)
    }

    /// Remembers the cut command that [`parse_frames`] ended with: `spans` and `owned` give up its part.
    fn keep(&mut self, rest: Rest, spans: &mut Vec<Span>, owned: &mut Vec<Vec<u8>>) {
        self.progress = rest.progress;
        self.spans.extend(spans.drain(rest.first_span..));
        self.owned.extend(owned.drain(rest.first_owned..));
    }

    /// Drops the bytes before `position`: they have run. What was read of the cut command stays valid.
    pub fn consume(&mut self, position: usize) {
        if position == 0 {
            return;
        }
        self.buffer.drain(..position);
        if self.progress != Progress::default() || !self.spans.is_empty() {
            self.progress.position -= position;
            self.spans.iter_mut().for_each(|span| *span = span.rebased(position));
        }
    }

    /// Forgets what was read of the cut command, to read it again from `buffer`.
    pub fn rewind(&mut self) {
        self.progress = Progress::default();
        self.spans.clear();
    }

    /// Makes the buffer a command again, from its arguments, followed by `rest`.
    pub fn put_back(&mut self, args: &Args<'_>, rest: &[u8]) {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for argument in args.iter() {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(rest);
        self.buffer = bytes;
        self.rewind();
    }

    /// Once the cut command waits for a big argument, its bytes go into a vector of their own.
    pub fn collect_big_argument(&mut self) {
        let Some(length) = self.progress.bulk.map(|length| length as usize) else { return };
        if length < BIG_ARGUMENT_BYTES || self.collecting.is_some() {
            return;
        }
        let mut bytes = Vec::with_capacity((length + 2).min(COLLECT_RESERVE_BYTES.max(self.buffer.len())));
        bytes.extend_from_slice(&self.buffer[self.progress.position..]);
        self.buffer.truncate(self.progress.position);
        self.collecting = Some((bytes, length + 2));
    }

    fn finish_collecting(&mut self) {
        let Some((mut bytes, wanted)) = self.collecting.take() else { return };
        bytes.truncate(wanted - 2);
        self.spans.push(Span::owned(self.owned.len()));
        self.owned.push(bytes);
        self.progress.bulk = None;
        self.progress.missing -= 1;
    }
}

/// Where reading stopped: at the beginning of a cut command, or at the end of the buffer.
pub struct Rest {
    pub progress: Progress,
    /// Where the cut command begins.
    pub start: usize,
    first_span: usize,
    first_owned: usize,
}

/// Reads complete commands from `data`, going on at `progress`. Spans and owned arguments beyond those of
/// the frames belong to the command that was cut.
#[inline]
fn parse_frames(
    data: &[u8],
    mut progress: Progress,
    frames: &mut Vec<Frame>,
    spans: &mut Vec<Span>,
    owned: &mut Vec<Vec<u8>>,
    limits: Limits,
) -> Result<Rest, ProtocolError> {
    // Only the first command can have been begun before, with all spans that are here already.
    let mut start = 0;
    let mut first_span = 0;
    let mut first_owned = 0;
    // Its last argument may have been a big one, which was collected apart: then nothing is left to read.
    let mut complete = !spans.is_empty() && progress.missing == 0;
    loop {
        complete = complete || parse(data, &mut progress, spans, owned, limits)?;
        if !complete {
            return Ok(Rest { progress, start, first_span, first_owned });
        }
        let arguments = (spans.len() - first_span) as u32;
        if arguments > 0 {
            frames.push(Frame { start, end: progress.position, first_span: first_span as u32, arguments });
        }
        start = progress.position;
        first_span = spans.len();
        first_owned = owned.len();
        progress = Progress::at(start);
        complete = false;
        if frames.len() == BURST_COMMANDS_MAX {
            return Ok(Rest { progress, start, first_span, first_owned });
        }
    }
}

/// Reads the complete commands of a chunk that begins at a command; the rest begins at [`Rest::start`].
#[inline]
pub fn parse_chunk(
    data: &[u8],
    frames: &mut Vec<Frame>,
    spans: &mut Vec<Span>,
    owned: &mut Vec<Vec<u8>>,
    limits: Limits,
) -> Result<Rest, ProtocolError> {
    parse_frames(data, Progress::default(), frames, spans, owned, limits)
}
