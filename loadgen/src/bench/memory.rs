//! What collections take in memory, on a fresh server each.

use serde::Serialize;

use crate::client::{Address, Client, Handshake, Value};
use crate::error::Failure;
use crate::interrupt;

use super::plan::Setup;

/// A pipeline has at most so many bytes.
const PIPELINE_BYTES: usize = 256 << 10;

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Collection {
    Hashes,
    Sets,
    SortedSet,
    List,
    Stream,
}

/// One server filled with one of them.
#[derive(Debug, Clone, Serialize)]
pub struct Footprint {
    pub setup: Setup,
    pub collection: Collection,
    /// Growth of `used_memory`, as the server tells it.
    pub used_bytes: u64,
    /// Growth of the resident set, as the kernel tells it.
    pub resident_bytes: u64,
}

impl Collection {
    pub const ALL: [Collection; 5] =
        [Collection::Hashes, Collection::Sets, Collection::SortedSet, Collection::List, Collection::Stream];

    pub fn name(self) -> &'static str {
        match self {
            Collection::Hashes => "1M hashes of 5 fields",
            Collection::Sets => "1M sets of 10 integers",
            Collection::SortedSet => "sorted set of 5M members",
            Collection::List => "list of 10M small items",
            Collection::Stream => "stream of 5M entries",
        }
    }

    /// At most this share of what redis-server takes.
    pub fn share_max(self) -> f64 {
        if self == Collection::SortedSet { 0.65 } else { 0.8 }
    }

    fn commands(self) -> u64 {
        match self {
            Collection::Hashes | Collection::Sets => 1_000_000,
            Collection::SortedSet | Collection::Stream => 5_000_000,
            Collection::List => 10_000_000,
        }
    }

    fn words(self, number: u64) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut add = |word: &dyn std::fmt::Display| words.push(word.to_string());
        match self {
            Collection::Hashes => {
                add(&"HSET");
                add(&format_args!("hash:{number}"));
                for field in 0..5 {
                    add(&format_args!("field:{field}"));
                    add(&format_args!("value:{}", number * 5 + field));
                }
            }
            Collection::Sets => {
                add(&"SADD");
                add(&format_args!("set:{number}"));
                (0..10).for_each(|member| add(&(scattered(number * 10 + member) % 1_000_000)));
            }
            Collection::SortedSet => {
                add(&"ZADD");
                add(&"zset");
                add(&(scattered(number) % 1_000_000));
                add(&format_args!("member:{number}"));
            }
            Collection::List => {
                add(&"RPUSH");
                add(&"list");
                add(&format_args!("item:{number}"));
            }
            Collection::Stream => {
                add(&"XADD");
                add(&"stream");
                add(&format_args!("{}-1", 1_700_000_000_000 + number));
                add(&"sensor");
                add(&(scattered(number) % 1_000));
                add(&"temperature");
                add(&(scattered(number + 1) % 10_000));
            }
        }
        words
    }

    /// Fills the server that listens at `address` and has the process number `process`.
    pub fn measure(self, setup: Setup, address: &Address, process: u32) -> Result<Footprint, Failure> {
        let failed = |error: std::io::Error| self.failed(&error);
        let mut client = Client::connect(address, &Handshake::default()).map_err(failed)?;
        let mut state = || Ok((used_bytes(&mut client)?, resident_bytes(process)?));
        let before = state().map_err(failed)?;
        self.fill(address)?;
        let after = state().map_err(failed)?;
        Ok(Footprint {
            setup,
            collection: self,
            used_bytes: after.0.saturating_sub(before.0),
            resident_bytes: after.1.saturating_sub(before.1),
        })
    }

    fn failed(self, error: &std::io::Error) -> Failure {
        Failure::System(format!("{}: {error}", self.name()))
    }

    fn fill(self, address: &Address) -> Result<(), Failure> {
        let failed = |error: std::io::Error| self.failed(&error);
        let mut client = Client::connect(address, &Handshake::default()).map_err(failed)?;
        let (mut pipeline, mut commands) = (Vec::new(), 0);
        for number in 0..self.commands() {
            let words = self.words(number);
            pipeline.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
            for word in words {
                pipeline.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
            }
            commands += 1;
            if pipeline.len() >= PIPELINE_BYTES || number + 1 == self.commands() {
                interrupt::check()?;
                client.send_and_check(&pipeline, commands).map_err(failed)?;
                pipeline.clear();
                commands = 0;
            }
        }
        Ok(())
    }
}

/// A number that looks random: the finaliser of SplitMix64.
fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

fn used_bytes(client: &mut Client) -> std::io::Result<u64> {
    let Value::Text(info) = client.ask(&["INFO", "memory"])? else {
        return Err(std::io::Error::other("INFO is no text"));
    };
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
    used.ok_or_else(|| std::io::Error::other("INFO has no used_memory"))
}

fn resident_bytes(process: u32) -> std::io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| std::io::Error::other("no VmRSS in /proc"))
}

/// The section of the report; nothing if nothing was measured.
pub fn section(footprints: &[Footprint]) -> String {
    let of = |setup, collection| {
        footprints.iter().find(|print| print.setup == setup && print.collection == collection)
    };
    let mut lines = String::new();
    for collection in Collection::ALL {
        let ours = of(super::plan::ONE_SHARD, collection);
        let Some((reference, ours)) = of(Setup::Redis, collection).zip(ours) else { continue };
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let share = ours.resident_bytes as f64 / reference.resident_bytes.max(1) as f64;
        lines.push_str(&format!(
            "| {} | {:.1} ({:.1}) | {:.1} ({:.1}) | {:.0} % | <= {:.0} % | {} |\n",
            collection.name(),
            megabytes(reference.resident_bytes),
            megabytes(reference.used_bytes),
            megabytes(ours.resident_bytes),
            megabytes(ours.used_bytes),
            share * 100.0,
            collection.share_max() * 100.0,
            if share <= collection.share_max() { "PASS" } else { "FAIL" }
        ));
    }
    if lines.is_empty() {
        return lines;
    }
    format!(
        "\n## Memory\n\n\
         What the resident set grows by when a fresh server is filled, in MB (and `used_memory`).\n\n\
         | | redis-server | polder, one shard | share | target | |\n\
         | --- | ---: | ---: | ---: | ---: | --- |\n{lines}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_their_names_say() {
        let words = |collection: Collection, number| collection.words(number).join(" ");
        assert_eq!(
            words(Collection::Hashes, 1),
            "HSET hash:1 field:0 value:5 field:1 value:6 field:2 value:7 field:3 value:8 field:4 value:9"
        );
        assert_eq!(Collection::Sets.words(7).len(), 12);
        assert_eq!(words(Collection::List, 3), "RPUSH list item:3");
        assert_eq!(Collection::Stream.words(0)[2], "1700000000000-1");
    }

    #[test]
    fn a_share_beyond_its_target_fails() {
        let print = |setup, resident_bytes| Footprint {
            setup,
            collection: Collection::SortedSet,
            used_bytes: 0,
            resident_bytes,
        };
        let line = |ours| section(&[print(Setup::Redis, 100), print(super::super::plan::ONE_SHARD, ours)]);
        assert!(line(65).contains("PASS") && line(66).contains("FAIL"));
        assert_eq!(section(&[print(Setup::Redis, 100)]), "");
    }
}
