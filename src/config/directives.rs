//! The one table of directives, from which everything else derives: the fields of [`Config`], CONFIG GET,
//! SET and REWRITE, the file reader, the command line and `--help`.
//!
//! ```text
//!   "name" ["old name"] field: Type = default;
//!       kind, Live | StartOnly | Protected, InEffect | NotYet, "one line of help";
//! ```
//! The field is what the rest of the server reads, without a look-up; where the value is a time, its name
//! ends in the unit. `Live` can change at run time, `StartOnly` cannot, and `Protected` only as
//! `enable-protected-configs` says. `NotYet` is accepted and kept but has no effect, which the start says
//! in a warning when it was set to something else than its default.
//!
//! What a file may hold besides, because it names things rather than sets a value, is in [`FILE_ONLY`].

use super::error::ValueError;
use super::special::*;
use super::value::Kind::{Bool, Choice, Flags, Integer, Memory, MemoryOrPercent, Octal, Word, Words};
use super::value::*;

/// When a directive may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Live,
    StartOnly,
    Protected,
}

/// Whether a directive does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    InEffect,
    NotYet,
}

/// Sets a directive's field from words.
type Assign = fn(&mut Config, &[Vec<u8>], Source) -> Result<(), ValueError>;

/// One directive: its record in the table and the way to its field.
pub struct Directive {
    pub name: &'static str,
    /// Older names, which CONFIG GET shows as well.
    pub aliases: &'static [&'static str],
    pub section: &'static str,
    pub kind: Kind,
    pub change: Change,
    pub status: Status,
    pub help: &'static str,
    assign: Assign,
    show: fn(&Config) -> Vec<u8>,
    lines: fn(&Config) -> Vec<Vec<u8>>,
    same: fn(&Config, &Config) -> bool,
    copy: fn(&mut Config, &Config),
}

impl Directive {
    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Sets the field from the words that followed the name. A directive that takes several words takes
    /// them as one with spaces in it, too.
    pub fn assign(&self, config: &mut Config, words: &[Vec<u8>], source: Source) -> Result<(), ValueError> {
        match words {
            [word] if self.kind.takes_several_words() => {
                let split = word.split(|&byte| byte == b' ').map(<[u8]>::to_vec);
                let words: Vec<Vec<u8>> = split.filter(|_| !word.is_empty()).collect();
                (self.assign)(config, &words, source)
            }
            words => (self.assign)(config, words, source),
        }
    }

    /// The value as CONFIG GET shows it.
    pub fn show(&self, config: &Config) -> Vec<u8> {
        (self.show)(config)
    }

    /// What follows the name in the lines of a rewritten file.
    pub(super) fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        (self.lines)(config)
    }

    /// Whether the two have the same value.
    pub fn same(&self, left: &Config, right: &Config) -> bool {
        (self.same)(left, right)
    }

    /// Takes over the value of another configuration.
    pub(super) fn copy(&self, to: &mut Config, from: &Config) {
        (self.copy)(to, from);
    }
}

/// Finds a directive by its name or an alias, in any case.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    DIRECTIVES
        .iter()
        .find(|directive| directive.names().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
}

/// A directive that only a file or the command line may have, and that CONFIG does not know.
pub struct FileOnly {
    pub name: &'static str,
    pub action: FileAction,
    /// Least and most words after the name.
    pub words: (usize, usize),
    pub help: &'static str,
}

/// What the reader does with such a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAction {
    Include,
    User,
    RenameCommand,
    LoadModule,
    /// Had a meaning in older versions of Redis.
    Ignore,
}

pub static FILE_ONLY: &[FileOnly] = &[
    FileOnly {
        name: "include",
        action: FileAction::Include,
        words: (1, 1),
        help: "Reads another file here; its path may be a pattern.",
    },
    FileOnly { name: "user", action: FileAction::User, words: (1, usize::MAX), help: "Defines a user." },
    FileOnly {
        name: "rename-command",
        action: FileAction::RenameCommand,
        words: (2, 2),
        help: "Gives a command another name, or none with \"\".",
    },
    FileOnly {
        name: "loadmodule",
        action: FileAction::LoadModule,
        words: (1, usize::MAX),
        help: "Loads a module. Polder has no modules: the start names those asked for.",
    },
    FileOnly {
        name: "list-max-ziplist-entries",
        action: FileAction::Ignore,
        words: (1, 1),
        help: "Without a meaning since Redis 3.2.",
    },
    FileOnly {
        name: "list-max-ziplist-value",
        action: FileAction::Ignore,
        words: (1, 1),
        help: "Without a meaning since Redis 3.2.",
    },
    FileOnly {
        name: "lua-replicate-commands",
        action: FileAction::Ignore,
        words: (1, 1),
        help: "Without a meaning since Redis 7.0.",
    },
];

const fn integer(min: i128, max: i128) -> Kind {
    Integer { min, max }
}

const fn memory(min: i128, max: i128) -> Kind {
    Memory { min, max }
}

const NATURAL: Kind = integer(0, i32::MAX as i128);
const LONG: Kind = integer(0, i64::MAX as i128);
const PORT: Kind = integer(0, u16::MAX as i128);
const TEXT: Kind = Kind::Text(TextRule::Any);

fn default_save_points() -> Vec<SavePoint> {
    [(3600, 1), (300, 100), (60, 10000)].map(|(seconds, changes)| SavePoint { seconds, changes }).to_vec()
}

macro_rules! directives {
    ($($section:literal {$(
        $name:literal [$($alias:literal),*] $field:ident: $type:ty = $default:expr;
        $kind:expr, $change:ident, $status:ident, $help:literal;
    )*})*) => {
        /// The values of all directives. Each shard has a copy of its own.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $help] pub $field: $type,)*)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($($field: $default,)*)* }
            }
        }

        /// In the order in which `--help` and CONFIG GET show them.
        pub static DIRECTIVES: &[Directive] = &[$($(Directive {
            name: $name,
            aliases: &[$($alias),*],
            section: $section,
            kind: $kind,
            change: Change::$change,
            status: Status::$status,
            help: $help,
            assign: |config, words, source| config.$field.assign(words, &$kind, source),
            show: |config| config.$field.show(&$kind),
            lines: |config| config.$field.lines(&$kind),
            same: |left, right| left.$field == right.$field,
            copy: |to, from| to.$field = from.$field.clone(),
        },)*)*];
    };
}

directives! {
    "Polder's own" {
        "shards" [] shards: u16 = 0;
            integer(0, 1024), StartOnly, InEffect,
            "Partitions, each with an executor of its own; 0 is as many as there are usable cores.";
        "cpus" [] cpus: CpuList = CpuList::default();
            Word("list of cores"), StartOnly, InEffect,
            "Cores to run on, such as 0-3,6; empty is all that the process may use.";
        "engine" [] engine: EngineChoice = EngineChoice::Auto;
            Choice(EngineChoice::NAMES), StartOnly, InEffect,
            "Kernel interface for sockets; auto takes io_uring where it works and epoll elsewhere.";
        "core-cluster" [] core_cluster: bool = false;
            Bool, StartOnly, InEffect,
            "Gives each shard a port of its own and announces the shards as nodes of a cluster.";
        "core-port-base" [] core_port_base: u16 = 0;
            PORT, StartOnly, InEffect,
            "Port of the first shard under core-cluster; 0 is the port after the main one.";
        "pipeline-order" [] pipeline_order: PipelineOrder = PipelineOrder::Strict;
            Choice(PipelineOrder::NAMES), Live, InEffect,
            "Whether a pipeline over several shards keeps its order for other clients.";
    }
    "Network" {
        "port" [] port: u16 = 6379;
            PORT, Live, InEffect, "TCP port; 0 listens on none.";
        "bind" [] bind: BindAddresses = BindAddresses::default();
            Words("addresses"), Live, InEffect,
            "Addresses to listen on; a leading - allows one to be missing.";
        "bind-source-addr" [] bind_source_addr: Text = "".into();
            TEXT, Live, NotYet, "Address that outgoing connections come from.";
        "protected-mode" [] protected_mode: bool = true;
            Bool, Live, InEffect,
            "Refuses remote clients while neither a password nor a bind address is set.";
        "tcp-backlog" [] tcp_backlog: u32 = 511;
            NATURAL, StartOnly, InEffect, "Connections that may wait to be accepted.";
        "tcp-keepalive" [] tcp_keepalive_seconds: u32 = 300;
            NATURAL, Live, InEffect, "Seconds between probes of an idle connection; 0 sends none.";
        "timeout" [] timeout_seconds: u32 = 0;
            NATURAL, Live, InEffect, "Seconds after which an idle client is disconnected; 0 is never.";
        "unixsocket" [] unixsocket: Text = "".into();
            TEXT, StartOnly, InEffect, "Path of a unix socket to listen on; empty is none.";
        "unixsocketperm" [] unixsocketperm: u32 = 0;
            Octal { max: 0o777 }, StartOnly, InEffect,
            "Permissions of the unix socket; 0 leaves them to the umask.";
        "socket-mark-id" [] socket_mark_id: u32 = 0;
            integer(0, u32::MAX as i128), StartOnly, NotYet,
            "Mark put on listening sockets, for packet filters; 0 is none.";
        "maxclients" [] maxclients: u32 = 10000;
            integer(1, u32::MAX as i128), Live, InEffect, "Clients at a time.";
        "max-new-connections-per-cycle" [] max_new_connections_per_cycle: u32 = 10;
            integer(1, 1000), Live, NotYet, "Connections accepted in one turn of the event loop.";
        "max-new-tls-connections-per-cycle" [] max_new_tls_connections_per_cycle: u32 = 1;
            integer(1, 1000), Live, NotYet, "TLS connections accepted in one turn of the event loop.";
        "proto-max-bulk-len" [] proto_max_bulk_len: u64 = 512 << 20;
            memory(1 << 20, i64::MAX as i128), Live, InEffect, "Longest single argument of a command.";
        "client-query-buffer-limit" [] client_query_buffer_limit: u64 = 1 << 30;
            memory(1 << 20, i64::MAX as i128), Live, InEffect,
            "Most bytes of an incomplete command that a client may have pending.";
        "client-output-buffer-limit" [] output_buffer_limits: [OutputBufferLimit; 3] = OUTPUT_BUFFER_LIMITS;
            Words("class hard soft seconds ..."), Live, InEffect,
            "Pending replies, hard and soft with its seconds, that get a client disconnected.";
        "maxmemory-clients" [] maxmemory_clients: ClientMemoryLimit = ClientMemoryLimit::Bytes(0);
            MemoryOrPercent, Live, NotYet,
            "Memory of all clients together before the largest is disconnected; 0 is no limit.";
        "io-threads" [] io_threads: u16 = 1;
            integer(1, 128), StartOnly, NotYet,
            "Threads for reading and writing; shards take their place here.";
        "io-threads-do-reads" [] io_threads_do_reads: bool = false;
            Bool, StartOnly, NotYet, "Whether these threads read too.";
    }
    "TLS" {
        "tls-port" [] tls_port: u16 = 0;
            PORT, Live, NotYet, "TLS port; 0 listens on none.";
        "tls-cert-file" [] tls_cert_file: Text = "".into();
            TEXT, Live, NotYet, "Certificate of the server.";
        "tls-key-file" [] tls_key_file: Text = "".into();
            TEXT, Live, NotYet, "Private key of the server.";
        "tls-key-file-pass" [] tls_key_file_pass: Text = "".into();
            TEXT, Live, NotYet, "Password of the private key.";
        "tls-client-cert-file" [] tls_client_cert_file: Text = "".into();
            TEXT, Live, NotYet, "Certificate for outgoing connections.";
        "tls-client-key-file" [] tls_client_key_file: Text = "".into();
            TEXT, Live, NotYet, "Private key for outgoing connections.";
        "tls-client-key-file-pass" [] tls_client_key_file_pass: Text = "".into();
            TEXT, Live, NotYet, "Password of that key.";
        "tls-dh-params-file" [] tls_dh_params_file: Text = "".into();
            TEXT, Live, NotYet, "Diffie-Hellman parameters.";
        "tls-ca-cert-file" [] tls_ca_cert_file: Text = "".into();
            TEXT, Live, NotYet, "Certificates of trusted authorities, a file.";
        "tls-ca-cert-dir" [] tls_ca_cert_dir: Text = "".into();
            TEXT, Live, NotYet, "Certificates of trusted authorities, a directory.";
        "tls-protocols" [] tls_protocols: Text = "".into();
            TEXT, Live, NotYet, "TLS versions to allow.";
        "tls-ciphers" [] tls_ciphers: Text = "".into();
            TEXT, Live, NotYet, "Ciphers up to TLS 1.2.";
        "tls-ciphersuites" [] tls_ciphersuites: Text = "".into();
            TEXT, Live, NotYet, "Cipher suites of TLS 1.3.";
        "tls-auth-clients" [] tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes;
            Choice(TlsAuthClients::NAMES), Live, NotYet, "Whether clients must show a certificate.";
        "tls-replication" [] tls_replication: bool = false;
            Bool, Live, NotYet, "Uses TLS towards the master.";
        "tls-cluster" [] tls_cluster: bool = false;
            Bool, Live, NotYet, "Uses TLS between cluster nodes.";
        "tls-prefer-server-ciphers" [] tls_prefer_server_ciphers: bool = false;
            Bool, Live, NotYet, "Prefers the server's order of ciphers.";
        "tls-session-caching" [] tls_session_caching: bool = true;
            Bool, Live, NotYet, "Caches TLS sessions.";
        "tls-session-cache-size" [] tls_session_cache_size: u32 = 20480;
            NATURAL, Live, NotYet, "TLS sessions in the cache; 0 is no limit.";
        "tls-session-cache-timeout" [] tls_session_cache_timeout_seconds: u32 = 300;
            NATURAL, Live, NotYet, "Seconds that a TLS session stays in the cache.";
    }
    "General" {
        "daemonize" [] daemonize: bool = false;
            Bool, StartOnly, InEffect, "Runs in the background.";
        "supervised" [] supervised: Supervised = Supervised::No;
            Choice(Supervised::NAMES), StartOnly, NotYet,
            "How a supervisor is told that the server is ready.";
        "pidfile" [] pidfile: Text = "".into();
            TEXT, StartOnly, InEffect,
            "File for the process number; empty is none, or /var/run/redis.pid in the background.";
        "loglevel" [] loglevel: LogLevel = LogLevel::Notice;
            Choice(LogLevel::NAMES), Live, InEffect, "Least important messages to log.";
        "logfile" [] logfile: Text = "".into();
            TEXT, StartOnly, InEffect, "File to log to; empty is the standard output.";
        "syslog-enabled" [] syslog_enabled: bool = false;
            Bool, StartOnly, NotYet, "Logs to the system log too.";
        "syslog-ident" [] syslog_ident: Text = "redis".into();
            TEXT, StartOnly, NotYet, "Name in the system log.";
        "syslog-facility" [] syslog_facility: SyslogFacility = SyslogFacility::Local0;
            Choice(SyslogFacility::NAMES), StartOnly, NotYet, "Facility of the system log.";
        "databases" [] databases: u32 = 16;
            integer(1, i32::MAX as i128), StartOnly, InEffect, "Databases that SELECT chooses from.";
        "always-show-logo" [] always_show_logo: bool = false;
            Bool, StartOnly, NotYet, "Shows the logo when logging to a file too.";
        "set-proc-title" [] set_proc_title: bool = true;
            Bool, StartOnly, NotYet, "Shows the state of the server in its process title.";
        "proc-title-template" [] proc_title_template: Text = "{title} {listen-addr} {server-mode}".into();
            Kind::Text(TextRule::ProcessTitle), Live, NotYet, "What the process title shows.";
        "locale-collate" [] locale_collate: Text = "".into();
            TEXT, Live, NotYet, "Locale for comparing strings; empty is that of the environment.";
        "hz" [] hz: u32 = 10;
            NATURAL, Live, InEffect, "Turns of background work in a second.";
        "dynamic-hz" [] dynamic_hz: bool = true;
            Bool, Live, NotYet, "More turns when there are many clients.";
        "crash-log-enabled" [] crash_log_enabled: bool = true;
            Bool, Live, NotYet, "Logs a report on a crash.";
        "crash-memcheck-enabled" [] crash_memcheck_enabled: bool = true;
            Bool, Live, NotYet, "Checks the memory after a crash.";
        "disable-thp" [] disable_thp: bool = true;
            Bool, StartOnly, InEffect, "Keeps transparent huge pages out of the process.";
        "ignore-warnings" [] ignore_warnings: Text = "".into();
            TEXT, Live, NotYet, "Warnings of the system check not to stop for.";
        "shutdown-timeout" [] shutdown_timeout_seconds: u32 = 10;
            NATURAL, Live, NotYet, "Seconds to wait for lagging replicas on shutdown.";
        "shutdown-on-sigint" [] shutdown_on_sigint: ShutdownFlags = ShutdownFlags::default();
            Flags(ShutdownFlags::NAMES), Live, NotYet, "What SIGINT does.";
        "shutdown-on-sigterm" [] shutdown_on_sigterm: ShutdownFlags = ShutdownFlags::default();
            Flags(ShutdownFlags::NAMES), Live, NotYet, "What SIGTERM does.";
        "oom-score-adj" [] oom_score_adj: OomScoreAdj = OomScoreAdj::No;
            Choice(OomScoreAdj::NAMES), Live, NotYet, "Adjusts the kernel's out-of-memory score.";
        "oom-score-adj-values" [] oom_score_adj_values: ScoreValues = ScoreValues([0, 200, 800]);
            Words("three numbers -2000..2000"), Live, NotYet,
            "Scores of the server, of a replica and of children.";
        "server_cpulist" ["server-cpulist"] server_cpulist: Text = "".into();
            TEXT, StartOnly, NotYet, "Cores of the main thread; see cpus.";
        "bio_cpulist" ["bio-cpulist"] bio_cpulist: Text = "".into();
            TEXT, StartOnly, NotYet, "Cores of background threads.";
        "aof_rewrite_cpulist" ["aof-rewrite-cpulist"] aof_rewrite_cpulist: Text = "".into();
            TEXT, StartOnly, NotYet, "Cores that rewrite the append-only file.";
        "bgsave_cpulist" ["bgsave-cpulist"] bgsave_cpulist: Text = "".into();
            TEXT, StartOnly, NotYet, "Cores that write a snapshot.";
    }
    "Security" {
        "requirepass" [] requirepass: Text = "".into();
            TEXT, Live, InEffect, "Password of the default user; empty is none.";
        "aclfile" [] aclfile: Text = "".into();
            TEXT, StartOnly, NotYet, "File of users.";
        "acllog-max-len" [] acllog_max_len: u64 = 128;
            LONG, Live, NotYet, "Entries in the log of refused commands.";
        "acl-pubsub-default" [] acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::ResetChannels;
            Choice(AclPubsubDefault::NAMES), Live, NotYet, "Channels that a new user may use.";
        "enable-protected-configs" [] enable_protected_configs: Permission = Permission::No;
            Choice(Permission::NAMES), StartOnly, InEffect, "Who may set dir and dbfilename at run time.";
        "enable-debug-command" [] enable_debug_command: Permission = Permission::No;
            Choice(Permission::NAMES), StartOnly, InEffect, "Who may use DEBUG.";
        "enable-module-command" [] enable_module_command: Permission = Permission::No;
            Choice(Permission::NAMES), StartOnly, NotYet, "Who may use MODULE.";
        "sanitize-dump-payload" [] sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::No;
            Choice(SanitizeDumpPayload::NAMES), Live, NotYet,
            "Checks the payloads of RESTORE and of replication thoroughly.";
    }
    "Memory" {
        "maxmemory" [] maxmemory: u64 = 0;
            memory(0, u64::MAX as i128), Live, InEffect,
            "Memory for data before keys are evicted; 0 is no limit.";
        "maxmemory-policy" [] maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction;
            Choice(MaxmemoryPolicy::NAMES), Live, InEffect, "Which keys are evicted.";
        "maxmemory-samples" [] maxmemory_samples: u32 = 5;
            integer(1, i32::MAX as i128), Live, InEffect,
            "Keys that eviction looks at before it chooses one.";
        "maxmemory-eviction-tenacity" [] maxmemory_eviction_tenacity: u32 = 10;
            integer(0, 100), Live, NotYet, "How long eviction may hold up commands, from 0 to 100.";
        "lfu-log-factor" [] lfu_log_factor: u32 = 10;
            NATURAL, Live, InEffect, "How slowly the counter of uses grows.";
        "lfu-decay-time" [] lfu_decay_time_minutes: u32 = 1;
            NATURAL, Live, InEffect, "Minutes after which the counter of uses is halved.";
        "active-expire-effort" [] active_expire_effort: u32 = 1;
            integer(1, 10), Live, NotYet, "How hard expired keys are looked for.";
        "lazyfree-lazy-eviction" [] lazyfree_lazy_eviction: bool = false;
            Bool, Live, NotYet, "Frees evicted values in the background.";
        "lazyfree-lazy-expire" [] lazyfree_lazy_expire: bool = false;
            Bool, Live, NotYet, "Frees expired values in the background.";
        "lazyfree-lazy-server-del" [] lazyfree_lazy_server_del: bool = false;
            Bool, Live, NotYet, "Frees overwritten values in the background.";
        "lazyfree-lazy-user-del" [] lazyfree_lazy_user_del: bool = false;
            Bool, Live, NotYet, "Makes DEL work as UNLINK.";
        "lazyfree-lazy-user-flush" [] lazyfree_lazy_user_flush: bool = false;
            Bool, Live, NotYet, "Makes FLUSHDB and FLUSHALL asynchronous by default.";
        "activedefrag" [] activedefrag: bool = false;
            Bool, Live, NotYet, "Moves values to give memory back.";
        "active-defrag-ignore-bytes" [] active_defrag_ignore_bytes: u64 = 100 << 20;
            memory(1, i64::MAX as i128), Live, NotYet, "Wasted memory below which nothing is moved.";
        "active-defrag-threshold-lower" [] active_defrag_threshold_lower: u32 = 10;
            integer(0, 1000), Live, NotYet, "Percentage of waste at which moving starts.";
        "active-defrag-threshold-upper" [] active_defrag_threshold_upper: u32 = 100;
            integer(0, 1000), Live, NotYet, "Percentage of waste at which it works hardest.";
        "active-defrag-cycle-min" [] active_defrag_cycle_min: u32 = 1;
            integer(1, 99), Live, NotYet, "Least percentage of time spent on it.";
        "active-defrag-cycle-max" [] active_defrag_cycle_max: u32 = 25;
            integer(1, 99), Live, NotYet, "Most percentage of time spent on it.";
        "active-defrag-max-scan-fields" [] active_defrag_max_scan_fields: u64 = 1000;
            integer(1, i64::MAX as i128), Live, NotYet, "Fields of a value moved at once.";
        "jemalloc-bg-thread" [] jemalloc_bg_thread: bool = true;
            Bool, Live, NotYet, "Lets the allocator give memory back in the background.";
        "activerehashing" [] activerehashing: bool = true;
            Bool, Live, NotYet, "Grows tables in idle time too.";
    }
    "Data types" {
        "hash-max-listpack-entries" ["hash-max-ziplist-entries"] hash_max_listpack_entries: u64 = 512;
            LONG, Live, InEffect, "Most fields of a compact hash.";
        "hash-max-listpack-value" ["hash-max-ziplist-value"] hash_max_listpack_value: u64 = 64;
            memory(0, i64::MAX as i128), Live, InEffect, "Longest field or value of a compact hash.";
        "list-max-listpack-size" ["list-max-ziplist-size"] list_max_listpack_size: i32 = -2;
            integer(i32::MIN as i128, i32::MAX as i128), Live, InEffect,
            "Entries in a node of a list, or -1 to -5 for 4 to 64 KiB.";
        "list-compress-depth" [] list_compress_depth: u32 = 0;
            NATURAL, Live, NotYet,
            "Nodes at either end of a list that are never compressed; 0 compresses none.";
        "set-max-intset-entries" [] set_max_intset_entries: u64 = 512;
            LONG, Live, InEffect, "Most members of a set of integers.";
        "set-max-listpack-entries" [] set_max_listpack_entries: u64 = 128;
            LONG, Live, InEffect, "Most members of a compact set.";
        "set-max-listpack-value" [] set_max_listpack_value: u64 = 64;
            memory(0, i64::MAX as i128), Live, InEffect, "Longest member of a compact set.";
        "zset-max-listpack-entries" ["zset-max-ziplist-entries"] zset_max_listpack_entries: u64 = 128;
            LONG, Live, InEffect, "Most members of a compact sorted set.";
        "zset-max-listpack-value" ["zset-max-ziplist-value"] zset_max_listpack_value: u64 = 64;
            memory(0, i64::MAX as i128), Live, InEffect, "Longest member of a compact sorted set.";
        "hll-sparse-max-bytes" [] hll_sparse_max_bytes: u64 = 3000;
            memory(0, i64::MAX as i128), Live, InEffect, "Largest sparse HyperLogLog.";
        "stream-node-max-bytes" [] stream_node_max_bytes: u64 = 4096;
            memory(0, i64::MAX as i128), Live, InEffect, "Largest block of a stream; 0 is 64 KiB, the most.";
        "stream-node-max-entries" [] stream_node_max_entries: u64 = 100;
            LONG, Live, InEffect, "Most entries in a block of a stream; 0 is no limit.";
    }
    "Observation" {
        "slowlog-log-slower-than" [] slowlog_log_slower_than_us: i64 = 10000;
            integer(-1, i64::MAX as i128), Live, InEffect,
            "Microseconds from which a command is logged; negative logs none.";
        "slowlog-max-len" [] slowlog_max_len: u64 = 128;
            LONG, Live, InEffect, "Entries in the slow log.";
        "latency-monitor-threshold" [] latency_monitor_threshold_ms: u64 = 0;
            LONG, Live, InEffect, "Milliseconds from which an event is recorded; 0 records none.";
        "latency-tracking" [] latency_tracking: bool = true;
            Bool, Live, InEffect, "Keeps a histogram of the latency of each command.";
        "latency-tracking-info-percentiles" [] latency_tracking_info_percentiles: Percentiles
            = Percentiles(vec![50.0, 99.0, 99.9]);
            Words("percentiles"), Live, InEffect, "Percentiles that INFO latencystats shows.";
        "notify-keyspace-events" [] notify_keyspace_events: EventClasses = EventClasses::NONE;
            Word("letters of Ag$lshzxeKEtmdn"), Live, NotYet, "Classes of events to publish.";
        "tracking-table-max-keys" [] tracking_table_max_keys: u64 = 1000000;
            LONG, Live, NotYet, "Keys remembered for client-side caching; 0 is no limit.";
    }
    "Scripts" {
        "busy-reply-threshold" ["lua-time-limit"] busy_reply_threshold_ms: u64 = 5000;
            LONG, Live, NotYet, "Milliseconds after which a script makes the server answer BUSY; 0 is never.";
    }
    "Snapshots" {
        "save" [] save: Vec<SavePoint> = default_save_points();
            Words("seconds changes ..."), Live, NotYet,
            "Snapshot after these seconds if at least so many writes were made; \"\" for never.";
        "dbfilename" [] dbfilename: Text = "dump.rdb".into();
            Kind::Text(TextRule::SnapshotFile), Protected, NotYet, "Name of the snapshot.";
        "dir" [] dir: Text = ".".into();
            TEXT, Protected, InEffect,
            "Directory of the snapshot and of the append-only file; the server works in it.";
        "stop-writes-on-bgsave-error" [] stop_writes_on_bgsave_error: bool = true;
            Bool, Live, NotYet, "Refuses writes after a failed snapshot.";
        "rdbcompression" [] rdbcompression: bool = true;
            Bool, Live, InEffect, "Compresses what DUMP answers.";
        "rdbchecksum" [] rdbchecksum: bool = true;
            Bool, StartOnly, NotYet, "Ends the snapshot with a checksum.";
        "rdb-del-sync-files" [] rdb_del_sync_files: bool = false;
            Bool, Live, NotYet, "Deletes snapshots made for replicas.";
        "rdb-save-incremental-fsync" [] rdb_save_incremental_fsync: bool = true;
            Bool, Live, NotYet, "Syncs the snapshot to disk as it is written.";
    }
    "Append-only file" {
        "appendonly" [] appendonly: bool = false;
            Bool, Live, NotYet, "Logs every write to a file.";
        "appendfilename" [] appendfilename: Text = "appendonly.aof".into();
            Kind::Text(TextRule::AppendFile), StartOnly, NotYet,
            "Beginning of the names of the append-only files.";
        "appenddirname" [] appenddirname: Text = "appendonlydir".into();
            Kind::Text(TextRule::AppendDirectory), StartOnly, NotYet,
            "Directory of the append-only files, within dir.";
        "appendfsync" [] appendfsync: AppendFsync = AppendFsync::EverySecond;
            Choice(AppendFsync::NAMES), Live, NotYet, "When the log is synced to disk.";
        "no-appendfsync-on-rewrite" [] no_appendfsync_on_rewrite: bool = false;
            Bool, Live, NotYet, "Leaves syncing out while a snapshot or rewrite runs.";
        "auto-aof-rewrite-percentage" [] auto_aof_rewrite_percentage: u32 = 100;
            NATURAL, Live, NotYet, "Growth at which the log is rewritten; 0 is never.";
        "auto-aof-rewrite-min-size" [] auto_aof_rewrite_min_size: u64 = 64 << 20;
            memory(0, i64::MAX as i128), Live, NotYet, "Size below which the log is not rewritten.";
        "aof-load-truncated" [] aof_load_truncated: bool = true;
            Bool, Live, NotYet, "Starts even if the end of the log is cut off.";
        "aof-use-rdb-preamble" [] aof_use_rdb_preamble: bool = true;
            Bool, Live, NotYet, "Begins the log with a snapshot.";
        "aof-timestamp-enabled" [] aof_timestamp_enabled: bool = false;
            Bool, Live, NotYet, "Notes the time in the log.";
        "aof-rewrite-incremental-fsync" [] aof_rewrite_incremental_fsync: bool = true;
            Bool, Live, NotYet, "Syncs a rewritten log to disk as it is written.";
        "aof-disable-auto-gc" [] aof_disable_auto_gc: bool = false;
            Bool, Live, NotYet, "Keeps old append-only files.";
    }
    "Replication" {
        "replicaof" ["slaveof"] replicaof: ReplicaOf = ReplicaOf::default();
            Words("host port"), StartOnly, NotYet, "Master to replicate.";
        "masteruser" [] masteruser: Text = "".into();
            TEXT, Live, NotYet, "User to log in at the master as.";
        "masterauth" [] masterauth: Text = "".into();
            TEXT, Live, NotYet, "Password at the master.";
        "replica-serve-stale-data" ["slave-serve-stale-data"] replica_serve_stale_data: bool = true;
            Bool, Live, NotYet, "Serves reads while the link to the master is down.";
        "replica-read-only" ["slave-read-only"] replica_read_only: bool = true;
            Bool, Live, NotYet, "Refuses writes on a replica.";
        "replica-lazy-flush" ["slave-lazy-flush"] replica_lazy_flush: bool = false;
            Bool, Live, NotYet, "Empties a replica in the background before a full copy.";
        "replica-priority" ["slave-priority"] replica_priority: u32 = 100;
            NATURAL, Live, NotYet, "Order in which replicas are promoted; 0 is never.";
        "replica-announced" [] replica_announced: bool = true;
            Bool, Live, NotYet, "Whether sentinels are told of this replica.";
        "replica-announce-ip" ["slave-announce-ip"] replica_announce_ip: Text = "".into();
            TEXT, Live, NotYet, "Address that a replica announces.";
        "replica-announce-port" ["slave-announce-port"] replica_announce_port: u16 = 0;
            PORT, Live, NotYet, "Port that a replica announces; 0 is its own.";
        "replica-ignore-maxmemory" ["slave-ignore-maxmemory"] replica_ignore_maxmemory: bool = true;
            Bool, Live, NotYet, "Leaves eviction to the master.";
        "replica-ignore-disk-write-errors" [] replica_ignore_disk_write_errors: bool = false;
            Bool, Live, NotYet, "Lets a replica go on when it cannot write to disk.";
        "repl-ping-replica-period" ["repl-ping-slave-period"] repl_ping_replica_period_seconds: u32 = 10;
            integer(1, i32::MAX as i128), Live, NotYet, "Seconds between pings to replicas.";
        "repl-timeout" [] repl_timeout_seconds: u32 = 60;
            integer(1, i32::MAX as i128), Live, NotYet, "Seconds after which a replication link is given up.";
        "repl-disable-tcp-nodelay" [] repl_disable_tcp_nodelay: bool = false;
            Bool, Live, NotYet, "Sends to replicas in larger packets, later.";
        "repl-diskless-sync" [] repl_diskless_sync: bool = true;
            Bool, Live, NotYet, "Sends a full copy without a file.";
        "repl-diskless-sync-delay" [] repl_diskless_sync_delay_seconds: u32 = 5;
            NATURAL, Live, NotYet, "Seconds to wait for more replicas before a full copy.";
        "repl-diskless-sync-max-replicas" [] repl_diskless_sync_max_replicas: u32 = 0;
            NATURAL, Live, NotYet, "Replicas that end this wait; 0 is no limit.";
        "repl-diskless-load" [] repl_diskless_load: DisklessLoad = DisklessLoad::Disabled;
            Choice(DisklessLoad::NAMES), Live, NotYet, "Whether a replica loads a full copy without a file.";
        "repl-backlog-size" [] repl_backlog_size: u64 = 1 << 20;
            memory(1, i64::MAX as i128), Live, NotYet, "Stream kept for replicas that come back.";
        "repl-backlog-ttl" [] repl_backlog_ttl_seconds: u64 = 3600;
            LONG, Live, NotYet, "Seconds that it is kept without replicas; 0 is for ever.";
        "min-replicas-to-write" ["min-slaves-to-write"] min_replicas_to_write: u32 = 0;
            NATURAL, Live, NotYet, "Replicas without which writes are refused.";
        "min-replicas-max-lag" ["min-slaves-max-lag"] min_replicas_max_lag_seconds: u32 = 10;
            NATURAL, Live, NotYet, "Seconds of lag at which a replica does not count.";
        "propagation-error-behavior" [] propagation_error_behavior: PropagationError
            = PropagationError::Ignore;
            Choice(PropagationError::NAMES), Live, NotYet, "What happens when a replicated command fails.";
    }
    "Cluster" {
        "cluster-enabled" [] cluster_enabled: bool = false;
            Bool, StartOnly, NotYet, "Runs as a node of a cluster of servers.";
        "cluster-config-file" [] cluster_config_file: Text = "nodes.conf".into();
            TEXT, StartOnly, NotYet, "File of the node's view of the cluster.";
        "cluster-port" [] cluster_port: u16 = 0;
            PORT, StartOnly, NotYet, "Port for other nodes; 0 is the port plus 10000.";
        "cluster-node-timeout" [] cluster_node_timeout_ms: u64 = 15000;
            LONG, Live, NotYet, "Milliseconds after which a silent node counts as failed.";
        "cluster-replica-validity-factor" ["cluster-slave-validity-factor"]
            cluster_replica_validity_factor: u32
            = 10;
            NATURAL, Live, NotYet, "How stale a replica may be and still be promoted.";
        "cluster-migration-barrier" [] cluster_migration_barrier: u32 = 1;
            NATURAL, Live, NotYet, "Replicas that a master keeps.";
        "cluster-allow-replica-migration" [] cluster_allow_replica_migration: bool = true;
            Bool, Live, NotYet, "Lets replicas move to masters without any.";
        "cluster-require-full-coverage" [] cluster_require_full_coverage: bool = true;
            Bool, Live, NotYet, "Refuses commands while a slot has no node.";
        "cluster-replica-no-failover" ["cluster-slave-no-failover"] cluster_replica_no_failover: bool = false;
            Bool, Live, NotYet, "Keeps this node from being promoted by itself.";
        "cluster-allow-reads-when-down" [] cluster_allow_reads_when_down: bool = false;
            Bool, Live, NotYet, "Serves reads while the cluster is down.";
        "cluster-allow-pubsubshard-when-down" [] cluster_allow_pubsubshard_when_down: bool = true;
            Bool, Live, NotYet, "Serves sharded channels while the cluster is down.";
        "cluster-link-sendbuf-limit" [] cluster_link_sendbuf_limit: u64 = 0;
            memory(0, u64::MAX as i128), Live, NotYet,
            "Most bytes pending on a link between nodes; 0 is no limit.";
        "cluster-announce-ip" [] cluster_announce_ip: Text = "".into();
            TEXT, Live, InEffect, "Address announced to clients and nodes.";
        "cluster-announce-hostname" [] cluster_announce_hostname: Text = "".into();
            Kind::Text(TextRule::Hostname), Live, NotYet, "Host name announced to clients and nodes.";
        "cluster-announce-human-nodename" [] cluster_announce_human_nodename: Text = "".into();
            Kind::Text(TextRule::NodeName), Live, NotYet, "Name of the node for logs.";
        "cluster-preferred-endpoint-type" [] cluster_preferred_endpoint_type: EndpointType = EndpointType::Ip;
            Choice(EndpointType::NAMES), Live, NotYet, "What clients are told to connect to.";
        "cluster-announce-port" [] cluster_announce_port: u16 = 0;
            PORT, Live, NotYet, "Port announced; 0 is its own.";
        "cluster-announce-tls-port" [] cluster_announce_tls_port: u16 = 0;
            PORT, Live, NotYet, "TLS port announced; 0 is its own.";
        "cluster-announce-bus-port" [] cluster_announce_bus_port: u16 = 0;
            PORT, Live, NotYet, "Port for other nodes announced; 0 is its own.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_name_stands_once() {
        let mut seen = HashSet::new();
        let file_only = FILE_ONLY.iter().map(|directive| directive.name);
        for name in DIRECTIVES.iter().flat_map(Directive::names).chain(file_only) {
            assert!(seen.insert(name), "{name} stands twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn each_default_is_a_value_of_its_directive() {
        let defaults = Config::default();
        for directive in DIRECTIVES {
            let mut config = defaults.clone();
            let shown = directive.show(&defaults);
            if directive.name != "replicaof" {
                directive
                    .assign(&mut config, &[shown], Source::Set)
                    .unwrap_or_else(|error| panic!("{}: {error}", directive.name));
            }
            assert!(directive.same(&config, &defaults), "{}", directive.name);
        }
    }

    #[test]
    fn both_ends_of_each_range_fit_the_type() {
        for directive in DIRECTIVES {
            let (Integer { min, max } | Memory { min, max }) = directive.kind else { continue };
            for end in [min, max] {
                let mut config = Config::default();
                let word = end.to_string().into_bytes();
                directive.assign(&mut config, std::slice::from_ref(&word), Source::Set).unwrap();
                assert_eq!(directive.show(&config), word, "{}", directive.name);
            }
        }
    }

    #[test]
    fn a_field_can_be_read_without_a_look_up() {
        let mut config = Config::default();
        let policy = find(b"MAXMEMORY-policy").unwrap();
        policy.assign(&mut config, &[b"allkeys-lru".to_vec()], Source::Set).unwrap();
        assert_eq!(config.maxmemory_policy, MaxmemoryPolicy::AllkeysLru);
        assert!(!policy.same(&config, &Config::default()));
    }
}
