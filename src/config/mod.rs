//! Configuration: redis.conf's directives, Polder's own, and the commands that show and change them.
//!
//! ```text
//!  command line ─┐                            ┌─ CONFIG GET      get
//!  file, stdin  ─┴─ load ──▶ Config (fields) ─┼─ CONFIG SET      set ──▶ Changes ──▶ each shard's copy
//!                    ▲             ▲          └─ CONFIG REWRITE  rewrite ──▶ file
//!                 words.rs    directives.rs: the one table, from which all of these derive
//! ```
//! The rest of the server reads plain fields of [`Config`]. A change is validated once, as a whole, and
//! becomes a [`Changes`] that every shard applies to its copy without a way to fail.
//!
//! Nothing here puts a value into effect, reads the clock or opens a socket. Files are read in
//! `load::read_file` and written in `rewrite::write_atomically`, and nowhere else.

mod directives;
mod error;
mod help;
mod load;
mod rewrite;
mod set;
mod special;
mod value;
mod words;

pub use directives::{Change, Config, DIRECTIVES, Directive, FILE_ONLY, FileAction, FileOnly, Status, find};
pub use error::{NO_CONFIG_FILE, REDIS_VERSION, SetError, SetFailure, SourceLine, StartError, ValueError};
pub use help::{help, version};
pub use load::{Launch, NamedLine, Startup, load};
pub use rewrite::{rewrite, rewrite_file_at, write_atomically};
pub use set::Changes;
pub use special::{
    BindAddresses, ClientClass, ClientMemoryLimit, CpuList, EventClasses, OutputBufferLimit, Percentiles,
    ReplicaOf, SavePoint, ScoreValues, ShutdownFlags, show_percentile,
};
pub use value::{
    AclPubsubDefault, AppendFsync, DisklessLoad, EndpointType, EngineChoice, Kind, LogLevel, MaxmemoryPolicy,
    OomScoreAdj, Permission, PipelineOrder, PropagationError, SanitizeDumpPayload, Source, Supervised,
    SyslogFacility, Text, TextRule, TlsAuthClients, Value,
};
pub use words::{quote, split_words};

/// The turns of background work in a second that Redis allows; it takes the nearest without a word.
const HZ_RANGE: (u32, u32) = (1, 500);

/// The smallest replication backlog; a smaller one becomes this.
const REPL_BACKLOG_BYTES_MIN: u64 = 16 << 10;

impl Config {
    /// Brings the values that Redis adjusts silently, instead of refusing them, into their limits.
    fn settle(&mut self) {
        self.hz = self.hz.clamp(HZ_RANGE.0, HZ_RANGE.1);
        self.repl_backlog_size = self.repl_backlog_size.max(REPL_BACKLOG_BYTES_MIN);
    }
}
