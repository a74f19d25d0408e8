//! What is counted while commands run: plain numbers of one shard, added up when somebody asks.

mod histogram;
pub mod latency;
mod rate;
pub mod slowlog;

pub use histogram::Histogram;
pub use rate::Rate;

/// What INFO commandstats, latencystats and LATENCY HISTOGRAM tell of one command.
#[derive(Debug, Clone, Default)]
pub struct CommandStats {
    /// How often it ran, errors included.
    pub calls: u64,
    /// How long it ran in all, in clock ticks.
    pub ticks: u64,
    /// Refused before it ran: wrong arity, no permission, out of memory.
    pub rejected: u64,
    /// Answered with an error.
    pub failed: u64,
    /// How long single calls took, in clock ticks; made by the first call.
    pub histogram: Option<Box<Histogram>>,
}

/// How fast some counters grow.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    pub commands: Rate,
    pub input_bytes: Rate,
    pub output_bytes: Rate,
}

/// The counters of one shard.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// By position in the command table.
    pub commands: Vec<CommandStats>,
    /// How often each error code (`ERR`, `WRONGTYPE` …) was replied.
    pub errors: Vec<(String, u64)>,
    pub commands_processed: u64,
    pub connections_received: u64,
    pub connections_rejected: u64,
    /// Pieces of input received and pieces of output sent.
    pub reads: u64,
    pub writes: u64,
    pub net_input_bytes: u64,
    pub net_output_bytes: u64,
    /// Transactions over several shards that began here, and how often one of them was refused by a shard
    /// because it came late, and began again.
    pub transactions: u64,
    pub transactions_refused: u64,
    /// Commands that met the lock of a transaction on this shard.
    pub commands_deferred: u64,
    pub rates: Rates,
    /// Whether [`CommandStats::histogram`] is kept (`latency-tracking`).
    pub track_latency: bool,
}

/// Different error codes that are told apart; the rest is counted under the last one.
const ERROR_CODES_MAX: usize = 128;

impl Metrics {
    /// For a table of `commands` commands.
    pub fn new(commands: usize) -> Self {
        Metrics {
            commands: vec![CommandStats::default(); commands],
            errors: Vec::new(),
            commands_processed: 0,
            connections_received: 0,
            connections_rejected: 0,
            reads: 0,
            writes: 0,
            net_input_bytes: 0,
            net_output_bytes: 0,
            transactions: 0,
            transactions_refused: 0,
            commands_deferred: 0,
            rates: Rates::default(),
            track_latency: true,
        }
    }

    /// A command ran, and did nothing but work.
    #[inline(always)]
    pub fn ran(&mut self, command: u16, ticks: u64) {
        self.worked(command, ticks);
        self.ended(command, ticks);
    }

    /// A command is over whose shares or steps have counted their work; `ticks` is how long it took, with its
    /// waiting for other shards.
    #[inline(always)]
    pub fn ended(&mut self, command: u16, ticks: u64) {
        self.commands_processed += 1;
        let stats = &mut self.commands[command as usize];
        stats.calls += 1;
        if self.track_latency {
            match &mut stats.histogram {
                Some(histogram) => histogram.record(ticks),
                None => stats.histogram.insert(Box::default()).record(ticks),
            }
        }
    }

    /// A share or a step of a command ran; the command is counted where it came from.
    #[inline(always)]
    pub fn worked(&mut self, command: u16, ticks: u64) {
        self.commands[command as usize].ticks += ticks;
    }

    /// An error was replied; `message` begins with its code.
    #[cold]
    pub fn error_replied(&mut self, message: &str) {
        let code = message.split(' ').next().unwrap_or("ERR");
        match self.errors.iter().position(|(known, _)| known == code) {
            Some(position) => self.errors[position].1 += 1,
            None if self.errors.len() < ERROR_CODES_MAX => self.errors.push((code.to_string(), 1)),
            None => self.errors[ERROR_CODES_MAX - 1].1 += 1,
        }
    }

    /// Looks how far the counters have come; call some ten times a second.
    pub fn sample(&mut self, now_ms: i64) {
        self.rates.commands.sample(self.commands_processed, now_ms);
        self.rates.input_bytes.sample(self.net_input_bytes, now_ms);
        self.rates.output_bytes.sample(self.net_output_bytes, now_ms);
    }

    /// Adds the rates of another shard.
    fn merge_rates(&mut self, other: &Rates) {
        self.rates.commands.add(&other.commands);
        self.rates.input_bytes.add(&other.input_bytes);
        self.rates.output_bytes.add(&other.output_bytes);
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Metrics { track_latency: self.track_latency, ..Metrics::new(self.commands.len()) };
    }

    /// Adds the numbers of another shard.
    pub fn merge(&mut self, other: &Metrics) {
        self.merge_rates(&other.rates);
        if self.commands.len() < other.commands.len() {
            self.commands.resize_with(other.commands.len(), CommandStats::default);
        }
        for (mine, theirs) in self.commands.iter_mut().zip(&other.commands) {
            mine.calls += theirs.calls;
            mine.ticks += theirs.ticks;
            mine.rejected += theirs.rejected;
            mine.failed += theirs.failed;
            if let Some(theirs) = &theirs.histogram {
                mine.histogram.get_or_insert_default().merge(theirs);
            }
        }
        for (code, count) in &other.errors {
            match self.errors.iter_mut().find(|(known, _)| known == code) {
                Some((_, mine)) => *mine += count,
                None => self.errors.push((code.clone(), *count)),
            }
        }
        self.commands_processed += other.commands_processed;
        self.connections_received += other.connections_received;
        self.connections_rejected += other.connections_rejected;
        self.reads += other.reads;
        self.writes += other.writes;
        self.net_input_bytes += other.net_input_bytes;
        self.net_output_bytes += other.net_output_bytes;
        self.transactions += other.transactions;
        self.transactions_refused += other.transactions_refused;
        self.commands_deferred += other.commands_deferred;
    }
}
