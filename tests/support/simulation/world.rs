//! The shards of a server in one thread, turned by hand. See `support/simulation/mod.rs`.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use polder::commands::CommandTable;
use polder::config::Config;
use polder::dispatch::Dispatcher;
use polder::net::Plane;
use polder::runtime::clock::Ticks;
use polder::runtime::simulated::{Network, Peer, SimulatedEngine};
use polder::shard::mailbox::Courier;
use polder::shard::node::NodeOptions;
use polder::shard::{Node, Shard, mailbox};

use crate::support::random::Random;

/// More shards than this have no clock.
pub const SHARDS_MAX: usize = 8;
/// The longest that a message or a shard is held up, in steps.
const SLOWEST_STEPS: usize = 300;
/// Messages that a courier delivers at once, at most.
const MESSAGES_AT_ONCE: usize = 4;
/// A clock's tick, in those of the machine that ids of transactions are made from.
const TICKS_PER_STEP: u64 = 256;

/// What the ids of transactions follow.
#[derive(Clone, Copy, Debug)]
pub enum Clocks {
    /// Only what shards hear of each other, which makes many ids come late.
    None,
    /// The steps.
    Exact,
    /// The steps, but each shard is ahead by a number of its own, up to this one, and faster or slower.
    Skewed(u64),
}

/// How a world differs from the plain one.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub shards: usize,
    pub clocks: Clocks,
    /// Messages are on their way for a while, and shards stand still now and then.
    pub delays: bool,
    /// What a client writes at once arrives at once.
    pub whole: bool,
}

impl Options {
    pub fn plain(shards: usize) -> Options {
        Options { shards, clocks: Clocks::None, delays: false, whole: false }
    }
}

/// A way from one shard to another.
struct Way {
    courier: Courier,
    /// How slow it is at most, in steps.
    slowness: usize,
    /// When what lies there is delivered, once it has been looked at.
    due: Option<u64>,
}

pub struct World {
    pub planes: Vec<Plane<SimulatedEngine>>,
    networks: Vec<Network>,
    node: Arc<Node>,
    now_ms: i64,
    /// Steps so far: turns of a shard, and whatever else is counted by [`World::step`].
    steps: u64,
    ways: Vec<Way>,
    /// Until when each shard stands still.
    still: Vec<u64>,
    delays: bool,
    /// How far ahead each shard's clock is, in steps, and how fast it is, in 64ths.
    clocks: Option<Vec<(u64, u64)>>,
}

thread_local! {
    static NOW: [Cell<u64>; SHARDS_MAX] = const { [const { Cell::new(0) }; SHARDS_MAX] };
}

fn clock<const SHARD: usize>() -> u64 {
    NOW.with(|now| now[SHARD].get())
}

const CLOCKS: [fn() -> u64; SHARDS_MAX] =
    [clock::<0>, clock::<1>, clock::<2>, clock::<3>, clock::<4>, clock::<5>, clock::<6>, clock::<7>];

impl World {
    pub fn new(options: Options, random: &mut Random) -> World {
        static TICKS: OnceLock<Ticks> = OnceLock::new();
        let ((mailboxes, bells), couriers) = if options.delays {
            mailbox::mesh_with_couriers(options.shards).expect("eventfds for the bells")
        } else {
            (mailbox::mesh(options.shards).expect("eventfds for the bells"), Vec::new())
        };
        let node_options = NodeOptions {
            executable: PathBuf::from("polder-server"),
            config_file: None,
            engine: "simulated",
            core_ports: None,
            hasher: ahash::RandomState::with_seeds(random.next(), random.next(), 3, 4),
            started_ms: 0,
            ticks: *TICKS.get_or_init(Ticks::calibrate),
        };
        let node = Arc::new(Node::new(node_options, bells));
        let mut planes = Vec::new();
        let mut networks = Vec::new();
        for (id, mailbox) in mailboxes.into_iter().enumerate() {
            let mut engine = SimulatedEngine::new(random.next());
            if options.whole {
                engine.deliver_whole();
            }
            networks.push(engine.network());
            let table = CommandTable::new();
            let shard = Shard::new(id, node.clone(), Config::default(), table.len());
            let clock = match options.clocks {
                Clocks::None => || 0,
                _ => CLOCKS[id],
            };
            let dispatcher = Dispatcher::with_clock(shard, table, mailbox, clock);
            planes.push(Plane::new(engine, dispatcher, Vec::new(), false));
        }
        let clocks = match options.clocks {
            Clocks::None => None,
            Clocks::Exact => Some(vec![(0, 64); options.shards]),
            Clocks::Skewed(steps) => Some(
                (0..options.shards)
                    .map(|_| (random.below(steps as usize + 1) as u64, 32 + random.below(65) as u64))
                    .collect(),
            ),
        };
        let ways = couriers
            .into_iter()
            .map(|courier| {
                let slowness = *random.pick(&[1, 4, 20, 20, 60, SLOWEST_STEPS]);
                Way { courier, slowness, due: None }
            })
            .collect();
        World {
            planes,
            networks,
            node,
            now_ms: 1_700_000_000_000,
            steps: 0,
            ways,
            still: vec![0; options.shards],
            delays: options.delays,
            clocks,
        }
    }

    pub fn shards(&self) -> usize {
        self.planes.len()
    }

    /// The time, in steps.
    pub fn now(&self) -> u64 {
        self.steps
    }

    /// Something else than a turn has happened.
    pub fn step(&mut self) {
        self.steps += 1;
    }

    pub fn connect(&self, random: &mut Random) -> Peer {
        random.pick(&self.networks).connect()
    }

    /// Turns some shard.
    pub fn turn(&mut self, random: &mut Random) {
        self.steps += 1;
        self.now_ms += random.below(3) as i64;
        if random.one_in(50) {
            self.now_ms += 200;
        }
        let mut plane = random.below(self.planes.len());
        if self.delays {
            self.deliver(random);
            if random.one_in(400) {
                self.still[plane] = self.steps + random.below(SLOWEST_STEPS) as u64;
            }
            // Its neighbour instead; if none is left that moves, it does itself.
            let shards = self.planes.len();
            let moving = (plane..plane + shards).find(|other| self.still[other % shards] <= self.steps);
            plane = moving.unwrap_or(plane) % shards;
        }
        if let Some(clocks) = &self.clocks {
            let (ahead, speed) = clocks[plane];
            let ticks = (ahead + self.steps * speed / 64) * TICKS_PER_STEP;
            NOW.with(|now| now[plane].set(ticks));
        }
        let now_ms = self.now_ms;
        self.planes[plane].turn(Duration::ZERO, || now_ms);
    }

    fn deliver(&mut self, random: &mut Random) {
        for way in &mut self.ways {
            if way.courier.is_idle() {
                continue;
            }
            let due = *way.due.get_or_insert_with(|| self.steps + random.below(way.slowness) as u64);
            if due <= self.steps {
                way.courier.deliver(1 + random.below(MESSAGES_AT_ONCE));
                way.due = None;
            }
        }
    }

    /// Ids of the clients that the server knows.
    pub fn client_ids(&self) -> Vec<u64> {
        let sessions = self.planes.iter().flat_map(|plane| plane.dispatcher.shard.sessions.iter());
        sessions.map(|session| session.id).collect()
    }

    /// Transactions that were refused by a shard and began again.
    pub fn retries(&self) -> u64 {
        self.planes.iter().map(|plane| plane.dispatcher.retried_transactions()).sum()
    }

    /// Whatever somebody still holds, waits for or watches: nothing, once all clients are gone.
    pub fn leftovers(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut note = |shard: usize, what: &str, count: usize| {
            if count > 0 {
                found.push(format!("shard {shard} has {count} {what}"));
            }
        };
        for (id, plane) in self.planes.iter_mut().enumerate() {
            note(id, "sessions", plane.dispatcher.shard.sessions.len());
            note(id, "connections", plane.engine.connections());
            note(id, "chunks that were lent", plane.engine.chunks_lent());
            note(id, "waits or transactions", usize::from(plane.dispatcher.has_outstanding()));
            note(id, "batches in use", plane.dispatcher.batches_in_use());
            note(id, "transactions in the queue", plane.dispatcher.queued_transactions());
            note(id, "locks", usize::from(plane.dispatcher.has_locks()));
            note(id, "parked clients", plane.dispatcher.parked_clients());
            let keyspace = &mut plane.dispatcher.shard.keyspace;
            for database in 0..keyspace.database_count() {
                note(id, "watched keys", keyspace.database(database).watched_keys());
                note(id, "awaited keys", keyspace.database(database).awaited_keys());
            }
        }
        if self.node.clients() > 0 {
            found.push(format!("the gauges show {} clients", self.node.clients()));
        }
        found
    }
}
