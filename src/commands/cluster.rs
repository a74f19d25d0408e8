//! CLUSTER: each core of this process as a node of a cluster, for clients that address the owner of a key.
//!
//! ```text
//!   port of core 0 ─► shard 0: slots 0-8191         a key of another core is served all the same,
//!   port of core 1 ─► shard 1: slots 8192-16383     by a hop: there is no MOVED
//! ```
//! Nothing here changes anything: the nodes and their slots are given by the number of shards. Without
//! `core-cluster yes` every subcommand answers as a Redis whose cluster mode is off.

use super::help::help;
use super::{Command, Group, Here, HereFunction, Next, Part, Run, category, flag};
use crate::error::CommandError;
use crate::keyspace::{SLOT_COUNT, slot_of};
use crate::resp::Args;
use crate::runtime::socket;
use crate::session::ConnectionKind;
use crate::shard::Report;

const fn record(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Cluster).since("3.0.0").flags(flag::LOADING | flag::STALE)
}

const fn here(name: &'static str, arity: i16, function: HereFunction) -> Command {
    record(name, arity, Run::Here(function))
}

const fn mode(name: &'static str, function: HereFunction) -> Command {
    here(name, 1, function).flags(flag::FAST | flag::LOADING | flag::STALE).categories(category::CONNECTION)
}

pub const COMMANDS: &[Command] = &[
    Command::container("cluster", SUBCOMMANDS).group(Group::Cluster).since("3.0.0").docs(
        "A container for commands about the cluster.",
        "Depends on the subcommand.",
        "",
    ),
    mode("asking", asking).flags(flag::FAST).docs(
        "Announces a command after an ASK redirection.",
        "O(1)",
        "",
    ),
    mode("readonly", readonly).docs("Allows reads of keys that a replica has.", "O(1)", ""),
    mode("readwrite", readwrite).docs("Ends what READONLY allowed.", "O(1)", ""),
];

const VARYING: &[&str] = &["nondeterministic_output"];

const SUBCOMMANDS: &[Command] = &[
    record("cluster|countkeysinslot", 3, Run::Gather { check: check_count, part: count, merge: merge_count })
        .flags(flag::STALE)
        .docs("Returns the number of keys in a hash slot.", "O(1)", "slot"),
    record("cluster|getkeysinslot", 4, Run::Gather { check: check_keys, part: keys, merge: merge_keys })
        .flags(flag::STALE)
        .tips(VARYING)
        .docs("Returns keys of a hash slot.", "O(N) where N is the number of requested keys", "slot count"),
    here("cluster|help", 2, cluster_help).since("5.0.0").docs(
        "Returns helpful text about the subcommands.",
        "O(1)",
        "",
    ),
    here("cluster|info", 2, info).tips(VARYING).docs("Returns the state of the cluster.", "O(1)", ""),
    here("cluster|keyslot", 3, keyslot).flags(flag::STALE).docs(
        "Returns the hash slot of a key.",
        "O(N) where N is the number of bytes in the key",
        "key(string)",
    ),
    here("cluster|links", 2, links).since("7.0.0").flags(flag::STALE).tips(VARYING).docs(
        "Returns the links between nodes; cores have none.",
        "O(1)",
        "",
    ),
    here("cluster|myid", 2, myid).docs("Returns the id of the node.", "O(1)", ""),
    here("cluster|myshardid", 2, myshardid).since("7.2.0").tips(VARYING).docs(
        "Returns the id of the node's shard.",
        "O(1)",
        "",
    ),
    here("cluster|nodes", 2, nodes).tips(VARYING).docs(
        "Returns the nodes and their slots.",
        "O(N) where N is the total number of Cluster nodes",
        "",
    ),
    here("cluster|shards", 2, shards).since("7.0.0").tips(VARYING).docs(
        "Returns the shards, their slots and their nodes.",
        "O(N) where N is the total number of cluster nodes",
        "",
    ),
    here("cluster|slots", 2, slots).tips(VARYING).docs(
        "Returns which node has which slots.",
        "O(N) where N is the total number of Cluster nodes",
        "",
    ),
];

/// What clients reach a core by.
struct Node<'a> {
    id: &'a str,
    port: u16,
    first_slot: u16,
    last_slot: u16,
}

/// How far the port of the bus between nodes is from that of a node.
const BUS_PORT_OFFSET: u32 = 10_000;

fn ports<'a>(here: &'a Here<'_>) -> Result<&'a [u16], CommandError> {
    let ports = here.shard.node.core_ports.as_deref();
    ports.ok_or(CommandError::text("ERR This instance has cluster support disabled"))
}

fn nodes_of<'a>(here: &'a Here<'_>) -> Result<Vec<Node<'a>>, CommandError> {
    let node = &here.shard.node;
    let ports = ports(here)?;
    let nodes = ports.iter().zip(&node.core_ids).enumerate().map(|(shard, (&port, id))| {
        let (first_slot, count) = here.shard.route.slots_of(shard);
        Node { id, port, first_slot, last_slot: first_slot + count - 1 }
    });
    Ok(nodes.collect())
}

/// The address of this server as the client sees it, and the port that it connected to.
fn own_address(here: &mut Here<'_>) -> (String, Option<u16>) {
    let announced = here.shard.config.cluster_announce_ip.as_bytes();
    let announced = (!announced.is_empty()).then(|| String::from_utf8_lossy(announced).into_owned());
    let session = here.session();
    let own = match session.kind {
        ConnectionKind::Tcp => socket::addresses(session.socket).1,
        ConnectionKind::Unix => None,
    };
    let address = own.map_or_else(|| "127.0.0.1".to_owned(), |own| own.ip().to_canonical().to_string());
    (announced.unwrap_or(address), own.map(|own| own.port()))
}

/// The core whose port the client connected to; on the common port the one that took the connection.
fn own_shard(here: &mut Here<'_>) -> Result<usize, CommandError> {
    let (_, port) = own_address(here);
    let known = ports(here)?.iter().position(|known| Some(*known) == port);
    Ok(known.unwrap_or(here.shard.id))
}

fn slots(here: &mut Here<'_>) -> Result<(), CommandError> {
    let (address, _) = own_address(here);
    let mut reply = Vec::new();
    let mut writer = crate::resp::Reply::new(&mut reply, here.reply.is_resp3());
    let nodes = nodes_of(here)?;
    writer.array(nodes.len());
    for node in &nodes {
        writer.array(3);
        writer.integer(node.first_slot as i64);
        writer.integer(node.last_slot as i64);
        writer.array(4);
        writer.bulk(address.as_bytes());
        writer.integer(node.port as i64);
        writer.bulk(node.id.as_bytes());
        writer.array(0);
    }
    here.reply.encoded(&reply);
    Ok(())
}

fn shards(here: &mut Here<'_>) -> Result<(), CommandError> {
    let (address, _) = own_address(here);
    let mut reply = Vec::new();
    let mut writer = crate::resp::Reply::new(&mut reply, here.reply.is_resp3());
    let nodes = nodes_of(here)?;
    writer.array(nodes.len());
    for node in &nodes {
        writer.map(2);
        writer.bulk(b"slots");
        writer.array(2);
        writer.integer(node.first_slot as i64);
        writer.integer(node.last_slot as i64);
        writer.bulk(b"nodes");
        writer.array(1);
        writer.map(7);
        writer.bulk(b"id");
        writer.bulk(node.id.as_bytes());
        writer.bulk(b"port");
        writer.integer(node.port as i64);
        for name in ["ip", "endpoint"] {
            writer.bulk(name.as_bytes());
            writer.bulk(address.as_bytes());
        }
        writer.bulk(b"role");
        writer.bulk(b"master");
        writer.bulk(b"replication-offset");
        writer.integer(0);
        writer.bulk(b"health");
        writer.bulk(b"online");
    }
    here.reply.encoded(&reply);
    Ok(())
}

fn nodes(here: &mut Here<'_>) -> Result<(), CommandError> {
    let (address, _) = own_address(here);
    let own = own_shard(here)?;
    let line = |(shard, node): (usize, &Node<'_>)| {
        let flags = if shard == own { "myself,master" } else { "master" };
        format!(
            "{} {address}:{}@{} {flags} - 0 0 {} connected {}-{}\n",
            node.id,
            node.port,
            bus_port(node.port),
            shard + 1,
            node.first_slot,
            node.last_slot
        )
    };
    let text: String = nodes_of(here)?.iter().enumerate().map(line).collect();
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Nobody listens there; the format of CLUSTER NODES wants it.
fn bus_port(port: u16) -> u16 {
    u16::try_from(u32::from(port) + BUS_PORT_OFFSET).unwrap_or(port)
}

fn info(here: &mut Here<'_>) -> Result<(), CommandError> {
    let nodes = ports(here)?.len();
    let epoch = own_shard(here)? + 1;
    let text = format!(
        "cluster_state:ok\r\ncluster_slots_assigned:{SLOT_COUNT}\r\ncluster_slots_ok:{SLOT_COUNT}\r\n\
         cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{nodes}\r\n\
         cluster_size:{nodes}\r\ncluster_current_epoch:{nodes}\r\ncluster_my_epoch:{epoch}\r\n\
         cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n"
    );
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

fn myid(here: &mut Here<'_>) -> Result<(), CommandError> {
    let own = own_shard(here)?;
    here.reply.bulk(here.shard.node.core_ids[own].as_bytes());
    Ok(())
}

/// Every node is a shard of its own, with an id that differs from the node's.
fn myshardid(here: &mut Here<'_>) -> Result<(), CommandError> {
    let own = own_shard(here)?;
    let id: String = here.shard.node.core_ids[own].chars().rev().collect();
    here.reply.bulk(id.as_bytes());
    Ok(())
}

fn cluster_help(here: &mut Here<'_>) -> Result<(), CommandError> {
    ports(here)?;
    help(here)
}

fn links(here: &mut Here<'_>) -> Result<(), CommandError> {
    ports(here)?;
    here.reply.array(0);
    Ok(())
}

fn keyslot(here: &mut Here<'_>) -> Result<(), CommandError> {
    ports(here)?;
    let slot = slot_of(here.args.get(2));
    here.reply.integer(slot as i64);
    Ok(())
}

fn parse_slot(args: &Args<'_>, error: &'static str) -> Result<u16, CommandError> {
    let slot = u16::try_from(args.integer(2)?).ok().filter(|&slot| usize::from(slot) < SLOT_COUNT as usize);
    slot.ok_or(CommandError::text(error))
}

fn check_count(here: &mut Here<'_>) -> Result<Next, CommandError> {
    ports(here)?;
    parse_slot(&here.args, "ERR Invalid slot")?;
    Ok(Next::Gather)
}

/// The slot asked for, on the shard that owns it.
fn slot_here(part: &Part<'_>) -> Option<u16> {
    let slot = parse_slot(&part.args, "").ok()?;
    (part.shard.route.shard_of_slot(slot) == part.shard.id).then_some(slot)
}

fn count(part: &mut Part<'_>) -> Report {
    match slot_here(part) {
        Some(slot) => Report::Count(part.shard.keyspace.database(0).count_in_slot(slot) as u64),
        None => Report::Done,
    }
}

fn merge_count(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    super::slowlog::merge_sum(here, reports)
}

const KEYS_ERROR: &str = "ERR Invalid slot or number of keys";

fn parse_keys(args: &Args<'_>) -> Result<(u16, usize), CommandError> {
    args.integer(2)?;
    let count = usize::try_from(args.integer(3)?).map_err(|_| CommandError::text(KEYS_ERROR))?;
    Ok((parse_slot(args, KEYS_ERROR)?, count))
}

fn check_keys(here: &mut Here<'_>) -> Result<Next, CommandError> {
    ports(here)?;
    parse_keys(&here.args)?;
    Ok(Next::Gather)
}

fn keys(part: &mut Part<'_>) -> Report {
    let (Some(slot), Ok((_, count))) = (slot_here(part), parse_keys(&part.args)) else { return Report::Done };
    let mut keys = Vec::new();
    let database = part.shard.keyspace.database(0);
    database.keys_in_slot(slot, count, &mut |entry| keys.push(entry.key().to_vec()));
    Report::Keys(keys)
}

fn merge_keys(here: &mut Here<'_>, reports: Vec<Report>) -> Result<(), CommandError> {
    let mut all = Vec::new();
    for report in reports {
        if let Report::Keys(keys) = report {
            all.extend(keys);
        }
    }
    here.reply.array(all.len());
    all.iter().for_each(|key| here.reply.bulk(key));
    Ok(())
}

/// No slot is ever on its way to another node, so there is nothing to ask for.
fn asking(here: &mut Here<'_>) -> Result<(), CommandError> {
    ports(here)?;
    here.reply.ok();
    Ok(())
}

fn readonly(here: &mut Here<'_>) -> Result<(), CommandError> {
    ports(here)?;
    here.session().readonly = true;
    here.reply.ok();
    Ok(())
}

fn readwrite(here: &mut Here<'_>) -> Result<(), CommandError> {
    ports(here)?;
    here.session().readonly = false;
    here.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    #[test]
    fn slots_have_a_range() {
        let count = |line: &str| with_args(line, |args| parse_slot(&args, "ERR Invalid slot"));
        assert_eq!(count("cluster countkeysinslot 16383"), Ok(16383));
        for line in
            ["cluster countkeysinslot 16384", "cluster countkeysinslot -1", "cluster countkeysinslot 70000"]
        {
            assert_eq!(count(line).unwrap_err().message(), "ERR Invalid slot");
        }
        let keys = |line: &str| with_args(line, |args| parse_keys(&args));
        assert_eq!(keys("cluster getkeysinslot 5 10"), Ok((5, 10)));
        assert_eq!(keys("cluster getkeysinslot 5 -1").unwrap_err().message(), KEYS_ERROR);
        assert_eq!(keys("cluster getkeysinslot 20000 1").unwrap_err().message(), KEYS_ERROR);
    }

    #[test]
    fn bus_ports_stay_ports() {
        assert_eq!((bus_port(6380), bus_port(60_000)), (16_380, 60_000));
    }
}
