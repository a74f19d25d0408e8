//! Reads commands as a connection does (`net/connection.rs`), without the connection: bytes in, commands
//! out. What runs them may stop anywhere, as it does while other shards work, and go on later.

use polder::resp::parse::Limits;
use polder::resp::{Args, Span};
use polder::session::{BURST_COMMANDS_MAX, Frame, Input, parse_chunk};

pub type Command = Vec<Vec<u8>>;

/// How much more than what arrived may be kept: vectors grow by doubling, and a span takes 8 bytes.
const MEMORY_FACTOR: usize = 6;
/// A big argument's vector is made this large at once.
const BIG_ARGUMENT_RESERVE_BYTES: usize = 1 << 20;
const MEMORY_SLACK_BYTES: usize = BIG_ARGUMENT_RESERVE_BYTES + 4096;

/// How many of so many commands run before the session waits; `None`: all of them.
pub type Stop<'a> = Box<dyn FnMut(usize) -> Option<usize> + 'a>;

pub struct Reader<'a> {
    input: Input,
    limits: Limits,
    frames: Vec<Frame>,
    spans: Vec<Span>,
    owned: Vec<Vec<u8>>,
    stop: Stop<'a>,
    waits: bool,
    arrived: usize,
    pub commands: Vec<Command>,
    pub error: Option<String>,
}

impl<'a> Reader<'a> {
    pub fn new(limits: Limits, stop: Stop<'a>) -> Self {
        Reader {
            input: Input::default(),
            limits,
            frames: Vec::new(),
            spans: Vec::new(),
            owned: Vec::new(),
            stop,
            waits: false,
            arrived: 0,
            commands: Vec::new(),
            error: None,
        }
    }

    /// All commands of a stream that arrives in these pieces, and the error it ends with, if any.
    pub fn read<'c>(mut self, pieces: impl IntoIterator<Item = &'c [u8]>) -> (Vec<Command>, Option<String>) {
        for piece in pieces {
            self.receive(piece);
        }
        while self.waits {
            self.resume();
        }
        (self.commands, self.error)
    }

    fn receive(&mut self, chunk: &[u8]) {
        if self.error.is_some() {
            return;
        }
        self.arrived += chunk.len();
        if self.waits || !self.input.is_empty() {
            self.input.append(chunk);
            // The answer that is waited for may come now or later.
            if !self.waits || (self.stop)(1).is_none() {
                self.resume();
            }
        } else {
            self.run_chunk(chunk);
        }
        let (memory, arrived) = (self.input.memory_bytes(), self.arrived);
        assert!(
            memory <= arrived * MEMORY_FACTOR + MEMORY_SLACK_BYTES,
            "{memory} bytes are held for {arrived} that arrived"
        );
    }

    fn resume(&mut self) {
        self.waits = false;
        self.run_pending();
    }

    /// Runs the frames of `bytes` up to a stop; where it stopped.
    fn serve(&mut self, bytes: &[u8]) -> Option<usize> {
        let stop = (self.stop)(self.frames.len()).map(|count| count.min(self.frames.len()));
        for frame in &self.frames[..stop.unwrap_or(self.frames.len())] {
            let spans = &self.spans[frame.first_span as usize..][..frame.arguments as usize];
            let mut args = Args::new(bytes, spans, &mut self.owned);
            // Taking what was collected apart is what SET does.
            self.commands.push((0..args.len()).map(|position| args.take(position)).collect());
        }
        self.waits = stop.is_some();
        stop
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.spans.clear();
        self.owned.clear();
    }

    fn run_chunk(&mut self, bytes: &[u8]) {
        self.clear();
        let parsed = parse_chunk(bytes, &mut self.frames, &mut self.spans, &mut self.owned, self.limits);
        let complete_end = self.frames.last().map_or(0, |frame| frame.end);
        let stop = if self.frames.is_empty() { None } else { self.serve(bytes) };
        let rest = match (stop, &parsed) {
            (Some(index), _) if index < self.frames.len() => self.frames[index].start,
            (Some(_), Err(_)) => complete_end,
            (_, Ok(rest)) => rest.start,
            (None, Err(error)) => return self.error = Some(error.message().to_string()),
        };
        self.input.append(&bytes[rest..]);
        if self.frames.len() == BURST_COMMANDS_MAX && stop.is_none() {
            self.run_pending();
        }
    }

    fn run_pending(&mut self) {
        loop {
            let Some(mut partial) = self.input.take() else { return };
            self.clear();
            let parsed = partial.parse(&mut self.frames, &mut self.spans, &mut self.owned, self.limits);
            if self.frames.is_empty() {
                match parsed {
                    Err(error) => return self.error = Some(error.message().to_string()),
                    Ok(start) => {
                        partial.consume(start);
                        partial.collect_big_argument();
                    }
                }
                return self.input.put(partial);
            }
            let complete_end = self.frames.last().map_or(0, |frame| frame.end);
            let bytes = std::mem::take(&mut partial.buffer);
            let stop = self.serve(&bytes);
            partial.buffer = bytes;
            match (stop, parsed) {
                (Some(0), _) if !self.owned.is_empty() => {
                    let bytes = std::mem::take(&mut partial.buffer);
                    let spans = &self.spans[..self.frames[0].arguments as usize];
                    let args = Args::new(&bytes, spans, &mut self.owned);
                    partial.put_back(&args, &bytes[self.frames[0].end..]);
                }
                (Some(index), _) if index < self.frames.len() => {
                    partial.rewind();
                    partial.consume(self.frames[index].start);
                }
                (_, Ok(start)) => partial.consume(start),
                (Some(_), Err(_)) => {
                    partial.rewind();
                    partial.consume(complete_end);
                }
                (None, Err(error)) => return self.error = Some(error.message().to_string()),
            }
            self.input.put(partial);
            if stop.is_some() {
                return;
            }
        }
    }
}
