//! The nodes of a cluster and which keys are theirs, from CLUSTER SLOTS.

use std::sync::Arc;

use polder::keyspace::{SLOT_COUNT, slot_of};

use crate::client::{Address, Client, Value};
use crate::command::Test;
use crate::draws::KeySet;
use crate::keys::DIGITS;

/// Where a cluster's keys live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    pub nodes: Vec<Address>,
    /// The node of each slot.
    owners: Vec<u16>,
}

impl Topology {
    /// One server that owns all.
    pub fn single(address: Address) -> Topology {
        Topology { nodes: vec![address], owners: vec![0; SLOT_COUNT as usize] }
    }

    /// Asks a node for all of them. A node without an address of its own is at `asked`.
    pub fn discover(client: &mut Client, asked: &Address) -> Result<Topology, String> {
        let reply = client.ask(&["CLUSTER", "SLOTS"]).map_err(|error| format!("CLUSTER SLOTS: {error}"))?;
        let host = match asked {
            Address::Tcp { host, .. } => host.as_str(),
            Address::Unix(_) => "127.0.0.1",
        };
        Topology::from_reply(&reply, host).ok_or_else(|| {
            "CLUSTER SLOTS: the reply leaves slots without a node, or is not understood".to_string()
        })
    }

    /// Ranges of `[first slot, last slot, [host, port, …], replicas …]`.
    fn from_reply(reply: &Value, default_host: &str) -> Option<Topology> {
        let Value::Array(ranges) = reply else { return None };
        let mut topology = Topology { nodes: Vec::new(), owners: vec![u16::MAX; SLOT_COUNT as usize] };
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Integer(first), Value::Integer(last), Value::Array(node), ..] = &range[..] else {
                return None;
            };
            let [host, Value::Integer(port), ..] = &node[..] else { return None };
            let host = match host {
                Value::Text(host) if !host.is_empty() && host != "?" => host.as_str(),
                _ => default_host,
            };
            let address = Address::Tcp { host: host.into(), port: u16::try_from(*port).ok()? };
            let position = topology.nodes.iter().position(|node| *node == address).unwrap_or_else(|| {
                topology.nodes.push(address);
                topology.nodes.len() - 1
            });
            let slots = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
            topology.owners.get_mut(slots)?.fill(u16::try_from(position).ok()?);
        }
        topology.owners.iter().all(|&owner| owner != u16::MAX).then_some(topology)
    }

    pub fn is_single(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The number of the node that owns a key.
    pub fn owner(&self, key: &[u8]) -> usize {
        self.owners[slot_of(key) as usize] as usize
    }

    /// For each node the numbers below `range` whose keys in this test are its own.
    pub fn key_sets(&self, test: &Test, range: u64) -> Result<Vec<KeySet>, String> {
        if self.is_single() || test.is_keyless() {
            return Ok(vec![KeySet::Below(range); self.nodes.len()]);
        }
        let (before, after) = test.random_key().ok_or_else(|| {
            format!(
                "{}: its key is always the same, so it cannot be spread over the nodes of a cluster",
                test.name
            )
        })?;
        if test.several_keys {
            return Err(format!("{}: its keys belong to several nodes of a cluster", test.name));
        }
        let range = u32::try_from(range).map_err(|_| "--cluster: -r is at most 4294967295".to_string())?;
        let mut listed = vec![Vec::new(); self.nodes.len()];
        let mut key = [before, &[b'0'; DIGITS], after].concat();
        for number in 0..range {
            let digits = &mut key[before.len()..before.len() + DIGITS];
            crate::keys::write_digits(digits, u64::from(number), DIGITS / 2);
            listed[self.owner(&key)].push(number);
        }
        let missing = listed.iter().position(Vec::is_empty);
        match missing {
            Some(node) => {
                Err(format!("no key below -r {range} belongs to node {}: raise -r", self.nodes[node]))
            }
            None => Ok(listed.into_iter().map(|keys| KeySet::Listed(Arc::from(keys))).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let node = vec![Value::Text(host.into()), Value::Integer(port), Value::Text("id".into())];
        Value::Array(vec![Value::Integer(first), Value::Integer(last), Value::Array(node)])
    }

    #[test]
    fn keys_go_to_their_nodes() {
        let reply = Value::Array(vec![
            range(0, 4000, "127.0.0.1", 7001),
            range(8001, 16383, "", 7002),
            range(4001, 8000, "127.0.0.1", 7001),
        ]);
        let topology = Topology::from_reply(&reply, "127.0.0.1").unwrap();
        assert_eq!(topology.nodes.len(), 2);
        let test = Test::named("get", 3).unwrap();
        let sets = topology.key_sets(&test, 1000).unwrap();
        let mut all = 0;
        for (node, set) in sets.iter().enumerate() {
            let KeySet::Listed(keys) = set else { panic!("a cluster lists its keys") };
            all += keys.len();
            for key in keys.iter() {
                let slot = slot_of(format!("key:{key:012}").as_bytes());
                assert_eq!(node, usize::from(slot > 8000));
            }
        }
        assert_eq!(all, 1000);
        assert!(topology.key_sets(&Test::named("lpush", 3).unwrap(), 1000).is_err());
        for several in ["mset", "mget", "exec-random", "get-1pct-mset"] {
            assert!(topology.key_sets(&Test::named(several, 3).unwrap(), 1000).is_err(), "{several}");
        }
        let sets = topology.key_sets(&Test::named("exec-tag", 3).unwrap(), 1000).unwrap();
        let KeySet::Listed(keys) = &sets[1] else { panic!("a cluster lists its keys") };
        assert!(keys.iter().all(|key| slot_of(format!("counter:{{{key:012}}}:5").as_bytes()) > 8000));
        assert!(topology.key_sets(&Test::named("ping", 3).unwrap(), 1000).is_ok());
        assert!(topology.key_sets(&test, 1).is_err());
    }

    #[test]
    fn holes_are_refused() {
        let reply = Value::Array(vec![range(0, 16000, "h", 1)]);
        assert_eq!(Topology::from_reply(&reply, "h"), None);
        assert_eq!(Topology::from_reply(&Value::Array(vec![range(0, 20000, "h", 1)]), "h"), None);
        assert_eq!(Topology::from_reply(&Value::Null, "h"), None);
    }
}
