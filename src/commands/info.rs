//! INFO: the state of the server in sections of `field:value` lines.
//!
//! Every shard reports its numbers; they are added up here, and the sections are written in Redis's order
//! with Redis's names. A field is there if its value is known: what the server does not have (modules,
//! replicas, threads for input and output) counts 0, what it does not measure is left out.

use std::fmt::Display;

use super::client::gather;
use super::{Command, Group, Here, Part, Run, category, flag};
use crate::config::{REDIS_VERSION, show_percentile};
use crate::error::CommandError;
use crate::resp::Args;
use crate::runtime::{clock, process};
use crate::shard::report::Statistics;
use crate::shard::{Report, Shard};

use super::{CommandId, CommandTable};

pub const COMMANDS: &[Command] =
    &[Command::new("info", -1, Run::Gather { check: gather, part: statistics, merge: write })
        .group(Group::Server)
        .flags(flag::LOADING | flag::STALE | flag::SENTINEL)
        .categories(category::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .docs("Returns the state of the server and its statistics.", "O(1)", "[section [section ...]]")];

type SectionWriter = fn(&mut Page, &Overview<'_>);

/// Name, whether it is shown unasked, title, and what writes the lines.
const SECTIONS: &[(&str, bool, &str, SectionWriter)] = &[
    ("server", true, "Server", server),
    ("clients", true, "Clients", clients),
    ("memory", true, "Memory", memory),
    ("persistence", true, "Persistence", persistence),
    ("stats", true, "Stats", stats),
    ("replication", true, "Replication", replication),
    ("cpu", true, "CPU", cpu),
    ("modules", true, "Modules", modules),
    ("commandstats", false, "Commandstats", commandstats),
    ("errorstats", true, "Errorstats", errorstats),
    ("latencystats", false, "Latencystats", latencystats),
    ("cluster", true, "Cluster", cluster),
    ("shards", true, "Shards", shards),
    ("keyspace", true, "Keyspace", keyspace),
];

/// Each shard's numbers and their sum.
pub struct Overview<'a> {
    pub shard: &'a Shard,
    pub table: &'a CommandTable,
    pub total: Statistics,
    pub shards: Vec<Statistics>,
}

impl<'a> Overview<'a> {
    pub fn new(shard: &'a Shard, table: &'a CommandTable, reports: Vec<Report>) -> Self {
        let mut total = Statistics::default();
        let mut shards = Vec::with_capacity(reports.len());
        for report in reports {
            if let Report::Statistics(statistics) = report {
                total.merge(&statistics);
                shards.push(*statistics);
            }
        }
        shard.node.note_memory();
        Overview { shard, table, total, shards }
    }

    pub fn used_bytes(&self) -> u64 {
        let held: i64 = self.shards.iter().map(|shard| shard.held_bytes).sum();
        let other = self.shard.node.other_held_bytes.load(std::sync::atomic::Ordering::Relaxed);
        (held + other).max(0) as u64
    }
}

/// The part of a command that wants all numbers of a shard.
pub fn statistics(part: &mut Part<'_>) -> Report {
    Report::Statistics(Box::new(part.shard.statistics()))
}

/// Whether the arguments ask for a section.
fn wanted(args: &Args<'_>, name: &str, unasked: bool) -> bool {
    if args.len() == 1 {
        return unasked;
    }
    (1..args.len()).any(|index| {
        args.is(index, &name.to_uppercase())
            || args.is(index, "ALL")
            || args.is(index, "EVERYTHING")
            || (unasked && args.is(index, "DEFAULT"))
    })
}

fn write(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let overview = Overview::new(here.shard, here.table, reports);
    let mut page = Page::default();
    for (name, unasked, title, section) in SECTIONS {
        if wanted(&here.args, name, *unasked) {
            page.title(title);
            section(&mut page, &overview);
        }
    }
    here.reply.verbatim("txt", page.text.as_bytes());
    Ok(())
}

/// The text of INFO as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn title(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        self.text.push_str(&format!("# {title}\r\n"));
    }

    fn field(&mut self, name: impl Display, value: impl Display) {
        self.text.push_str(&format!("{name}:{value}\r\n"));
    }

    /// Fields of things that do not exist here.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }

    /// A number of bytes, and the same for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(format!("{name}_human"), human_bytes(bytes));
    }
}

/// `512B`, `1.50K`, `3.00G`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.2}{}", UNITS[unit])
}

fn per_cent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn server(page: &mut Page, overview: &Overview<'_>) {
    let shard = overview.shard;
    let (node, config) = (&shard.node, &shard.config);
    let (release, machine) = process::kernel();
    let uptime_seconds = ((shard.now_ms() - node.started_ms) / 1000).max(0);
    page.field("redis_version", REDIS_VERSION);
    page.field("redis_git_sha1", "00000000");
    page.field("redis_git_dirty", 0);
    page.field("redis_build_id", "0000000000000000");
    page.field("redis_mode", if node.core_ports.is_some() { "cluster" } else { "standalone" });
    page.field("polder_version", env!("CARGO_PKG_VERSION"));
    page.field("polder_shards", node.shards());
    page.field("polder_engine", node.engine);
    page.field("os", format!("Linux {release} {machine}"));
    page.field("arch_bits", usize::BITS);
    page.field("monotonic_clock", clock::NAME);
    page.field("multiplexing_api", node.engine);
    page.field("atomicvar_api", "rust-core");
    page.field("gcc_version", "0.0.0");
    page.field("process_id", std::process::id());
    page.field("process_supervised", "no");
    page.field("run_id", &node.run_id);
    page.field("tcp_port", config.port);
    page.field("server_time_usec", clock::unix_us());
    page.field("uptime_in_seconds", uptime_seconds);
    page.field("uptime_in_days", uptime_seconds / 86400);
    page.field("hz", config.hz);
    page.field("configured_hz", config.hz);
    page.field("lru_clock", (shard.now_ms() / 1000) & 0xff_ffff);
    page.field("executable", node.executable.display());
    let config_file = node.config_file.as_ref().map(|path| path.display().to_string());
    page.field("config_file", config_file.unwrap_or_default());
    page.field("io_threads_active", 0);
    let binds =
        config.bind.0.iter().map(|word| format!(",bind={}", String::from_utf8_lossy(word.as_bytes())));
    if config.port != 0 {
        page.field("listener0", format!("name=tcp{},port={}", binds.collect::<String>(), config.port));
    }
    if !config.unixsocket.is_empty() {
        let path = config.unixsocket.as_path().display();
        page.field(format!("listener{}", u8::from(config.port != 0)), format!("name=unix,bind={path}"));
    }
}

fn clients(page: &mut Page, overview: &Overview<'_>) {
    page.field("connected_clients", overview.total.clients);
    page.field("cluster_connections", 0);
    page.field("maxclients", overview.shard.config.maxclients);
    page.field("client_recent_max_input_buffer", overview.total.input_bytes_max);
    page.field("client_recent_max_output_buffer", overview.total.output_bytes_max);
    page.field("blocked_clients", overview.total.clients_blocked);
    page.zeros(&["tracking_clients", "clients_in_timeout_table"]);
    page.field("total_blocking_keys", overview.total.keys_awaited);
    page.zeros(&["total_blocking_keys_on_nokey"]);
}

fn memory(page: &mut Page, overview: &Overview<'_>) {
    let (node, config) = (&overview.shard.node, &overview.shard.config);
    let used = overview.used_bytes();
    let (resident, peak) = (process::resident_bytes(), node.peak_memory_bytes().max(used));
    let startup = node.startup_memory_bytes().min(used);
    let dataset = overview.total.keyspace_bytes.min(used);
    page.bytes("used_memory", used);
    page.bytes("used_memory_rss", resident);
    page.bytes("used_memory_peak", peak);
    page.field("used_memory_peak_perc", format!("{:.2}%", per_cent(used, peak)));
    page.field("used_memory_overhead", used - dataset);
    page.field("used_memory_startup", startup);
    page.field("used_memory_dataset", dataset);
    page.field("used_memory_dataset_perc", format!("{:.2}%", per_cent(dataset, used - startup).min(100.0)));
    page.field("allocator_allocated", used);
    // The allocator's pages are counted by the system alone.
    page.field("allocator_active", resident);
    page.field("allocator_resident", resident);
    page.bytes("total_system_memory", process::machine_memory_bytes());
    page.zeros(&["used_memory_lua", "used_memory_vm_eval"]);
    page.field("used_memory_lua_human", "0B");
    page.zeros(&[
        "used_memory_scripts_eval",
        "number_of_cached_scripts",
        "number_of_functions",
        "number_of_libraries",
        "used_memory_vm_functions",
        "used_memory_vm_total",
    ]);
    page.field("used_memory_vm_total_human", "0B");
    page.zeros(&["used_memory_functions", "used_memory_scripts"]);
    page.field("used_memory_scripts_human", "0B");
    page.bytes("maxmemory", config.maxmemory);
    page.field("maxmemory_policy", config.maxmemory_policy.name());
    page.field("mem_fragmentation_ratio", format!("{:.2}", resident as f64 / used.max(1) as f64));
    page.field("mem_fragmentation_bytes", resident as i64 - used as i64);
    page.zeros(&[
        "mem_not_counted_for_evict",
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_clients_slaves",
    ]);
    page.field("mem_clients_normal", overview.total.clients_bytes);
    page.zeros(&["mem_cluster_links", "mem_aof_buffer"]);
    page.field("mem_allocator", "mimalloc");
    page.zeros(&["active_defrag_running", "lazyfree_pending_objects"]);
    page.field("lazyfreed_objects", overview.total.keyspace.lazyfreed_objects);
}

fn persistence(page: &mut Page, overview: &Overview<'_>) {
    page.zeros(&["loading", "async_loading"]);
    page.field("rdb_changes_since_last_save", overview.total.changes);
    page.field("rdb_bgsave_in_progress", 0);
    page.field("rdb_last_save_time", overview.shard.node.started_ms / 1000);
    page.field("rdb_last_bgsave_status", "ok");
    page.field("rdb_last_bgsave_time_sec", -1);
    page.field("rdb_current_bgsave_time_sec", -1);
    page.zeros(&[
        "rdb_saves",
        "rdb_last_cow_size",
        "rdb_last_load_keys_expired",
        "rdb_last_load_keys_loaded",
        "aof_enabled",
        "aof_rewrite_in_progress",
        "aof_rewrite_scheduled",
    ]);
    page.field("aof_last_rewrite_time_sec", -1);
    page.field("aof_current_rewrite_time_sec", -1);
    page.field("aof_last_bgrewrite_status", "ok");
    page.zeros(&["aof_rewrites", "aof_rewrites_consecutive_failures"]);
    page.field("aof_last_write_status", "ok");
    page.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
}

fn stats(page: &mut Page, overview: &Overview<'_>) {
    let metrics = &overview.total.metrics;
    let stats = &overview.total.keyspace;
    let kilobytes = |per_second: u64| format!("{:.2}", per_second as f64 / 1024.0);
    page.field("total_connections_received", metrics.connections_received);
    page.field("total_commands_processed", metrics.commands_processed);
    page.field("instantaneous_ops_per_sec", metrics.rates.commands.per_second());
    page.field("total_net_input_bytes", metrics.net_input_bytes);
    page.field("total_net_output_bytes", metrics.net_output_bytes);
    page.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    page.field("instantaneous_input_kbps", kilobytes(metrics.rates.input_bytes.per_second()));
    page.field("instantaneous_output_kbps", kilobytes(metrics.rates.output_bytes.per_second()));
    page.field("instantaneous_input_repl_kbps", "0.00");
    page.field("instantaneous_output_repl_kbps", "0.00");
    page.field("rejected_connections", metrics.connections_rejected);
    page.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    page.field("expired_keys", stats.expired_keys);
    page.field("expired_subkeys", stats.expired_fields);
    // Keys expire at their time, without samples and without a limit.
    page.field("expired_stale_perc", "0.00");
    page.field("expired_time_cap_reached_count", 0);
    page.field("evicted_keys", stats.evicted_keys);
    page.field("evicted_clients", 0);
    page.field("keyspace_hits", stats.hits);
    page.field("keyspace_misses", stats.misses);
    page.zeros(&[
        "pubsub_channels",
        "pubsub_patterns",
        "pubsubshard_channels",
        "latest_fork_usec",
        "total_forks",
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
        "tracking_total_keys",
        "tracking_total_items",
        "tracking_total_prefixes",
        "unexpected_error_replies",
    ]);
    let errors: u64 = metrics.errors.iter().map(|(_, count)| count).sum();
    page.field("total_error_replies", errors);
    page.field("dump_payload_sanitizations", 0);
    page.field("total_reads_processed", metrics.reads);
    page.field("total_writes_processed", metrics.writes);
    page.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
}

fn replication(page: &mut Page, overview: &Overview<'_>) {
    page.field("role", "master");
    page.field("connected_slaves", 0);
    page.field("master_failover_state", "no-failover");
    page.field("master_replid", &overview.shard.node.replication_id);
    page.field("master_replid2", "0".repeat(40));
    page.field("master_repl_offset", 0);
    page.field("second_repl_offset", -1);
    page.field("repl_backlog_active", 0);
    page.field("repl_backlog_size", overview.shard.config.repl_backlog_size);
    page.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

fn cpu(page: &mut Page, _: &Overview<'_>) {
    let (user, system) = process::cpu_seconds();
    page.field("used_cpu_sys", format!("{system:.6}"));
    page.field("used_cpu_user", format!("{user:.6}"));
    page.field("used_cpu_sys_children", "0.000000");
    page.field("used_cpu_user_children", "0.000000");
}

fn modules(_: &mut Page, _: &Overview<'_>) {}

fn commandstats(page: &mut Page, overview: &Overview<'_>) {
    let ticks = overview.shard.node.ticks;
    for (position, stats) in overview.total.metrics.commands.iter().enumerate() {
        if stats.calls == 0 && stats.rejected == 0 && stats.failed == 0 {
            continue;
        }
        let us = ticks.to_ns(stats.ticks) / 1000;
        let per_call = if stats.calls == 0 { 0.0 } else { us as f64 / stats.calls as f64 };
        page.field(
            format!("cmdstat_{}", overview.table.get(CommandId(position as u16)).name),
            format!(
                "calls={},usec={us},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.rejected, stats.failed
            ),
        );
    }
}

fn errorstats(page: &mut Page, overview: &Overview<'_>) {
    let mut errors = overview.total.metrics.errors.clone();
    errors.sort();
    for (code, count) in errors {
        page.field(format!("errorstat_{code}"), format!("count={count}"));
    }
}

fn latencystats(page: &mut Page, overview: &Overview<'_>) {
    let ticks = overview.shard.node.ticks;
    let percentiles = &overview.shard.config.latency_tracking_info_percentiles.0;
    for (position, stats) in overview.total.metrics.commands.iter().enumerate() {
        let Some(histogram) = stats.histogram.as_ref().filter(|_| !percentiles.is_empty()) else { continue };
        let shown: Vec<String> = percentiles
            .iter()
            .map(|&percentile| {
                let us = ticks.to_ns(histogram.percentile(percentile)) as f64 / 1000.0;
                format!("p{}={us:.3}", show_percentile(percentile))
            })
            .collect();
        let name = overview.table.get(CommandId(position as u16)).name;
        page.field(format!("latency_percentiles_usec_{name}"), shown.join(","));
    }
}

fn cluster(page: &mut Page, overview: &Overview<'_>) {
    page.field("cluster_enabled", u8::from(overview.shard.node.core_ports.is_some()));
}

/// What each core has and does.
fn shards(page: &mut Page, overview: &Overview<'_>) {
    for (number, shard) in overview.shards.iter().enumerate() {
        let (first, count) = overview.shard.route.slots_of(number);
        page.field(
            format!("shard{number}"),
            format!(
                "keys={},clients={},used_memory={},ops={},commands={},transactions={},refused={},deferred={},\
                 slots={first}-{}",
                shard.keys(),
                shard.clients,
                shard.held_bytes,
                shard.metrics.rates.commands.per_second(),
                shard.metrics.commands_processed,
                shard.metrics.transactions,
                shard.metrics.transactions_refused,
                shard.metrics.commands_deferred,
                first + count - 1,
            ),
        );
    }
}

fn keyspace(page: &mut Page, overview: &Overview<'_>) {
    for (number, database) in overview.total.databases.iter().enumerate() {
        if database.keys > 0 {
            page.field(
                format!("db{number}"),
                format!("keys={},expires={},avg_ttl={}", database.keys, database.expires, database.ttl_ms),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    fn sections(line: &str) -> Vec<&'static str> {
        with_args(line, |args| {
            let wanted = |(name, unasked, ..): &&(&'static str, bool, &str, SectionWriter)| {
                wanted(&args, name, *unasked)
            };
            SECTIONS.iter().filter(wanted).map(|(name, ..)| *name).collect()
        })
    }

    #[test]
    fn sections_are_chosen_by_name() {
        assert_eq!(sections("INFO keyspace SERVER nosuch"), ["server", "keyspace"]);
        assert!(sections("info nosuch").is_empty());
        assert!(!sections("info").contains(&"commandstats"));
        assert_eq!(sections("info"), sections("info default"));
        assert_eq!(sections("info all").len(), SECTIONS.len());
        assert!(sections("info default commandstats").contains(&"commandstats"));
    }

    #[test]
    fn bytes_for_people() {
        let shown = [0, 1023, 1024, 1536, 1 << 20, 3 << 30].map(human_bytes);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "1.50K", "1.00M", "3.00G"]);
    }
}
