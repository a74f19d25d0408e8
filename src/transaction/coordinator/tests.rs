//! The coordinators of a few shards and their queues, without anything around them: messages arrive in any
//! order that the mesh allows, and a shard that has nothing to do sleeps until somebody wakes it.

use std::collections::{HashMap, VecDeque};

use super::*;
use crate::shard::locks::Intent;
use crate::shard::queue::{Queue, Scheduled};

/// Orders that are tried.
const SEEDS: u64 = 20_000;
/// A run that takes more steps never ends.
const STEPS_MAX: usize = 200_000;
/// Keys of each shard.
const KEYS: usize = 3;

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % limit.max(1) as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// What a transaction does on one shard.
#[derive(Clone, Debug)]
struct Part {
    shard: usize,
    participation: Participation,
    /// Keys, and whether it writes them.
    keys: Vec<(usize, bool)>,
}

impl Part {
    fn intents(&self) -> Vec<Intent> {
        self.keys.iter().map(|&(key, writes)| Intent::key((key as u64) << 51, writes)).collect()
    }
}

/// A share on its way, as a batch is.
struct Share {
    origin: usize,
    batch: u32,
    transaction: usize,
    id: TransactionId,
    part: Part,
    run_when_granted: bool,
    latch: Latch,
}

enum Message {
    Schedule(Share),
    Granted(TransactionId),
    Read(Share),
    Done(Share),
    Aborted(Share),
    Refused(Share, TransactionId),
    Go(TransactionId),
    Release(TransactionId),
    Abort(TransactionId),
}

struct Node {
    coordinator: Coordinator,
    queue: Queue<Share>,
    /// By sender.
    inbox: Vec<VecDeque<Message>>,
    awake: bool,
    /// Its transactions, not begun yet.
    plans: Vec<(usize, Vec<Part>)>,
    /// Shares that are at home, by batch; `None` while one is away.
    batches: Vec<Option<Share>>,
    completed: Vec<u32>,
    /// Transactions that hold all their locks, for their hops.
    ready: Vec<(usize, TransactionId)>,
}

struct World {
    nodes: Vec<Node>,
    /// What transactions did to each key of each shard, in order: who, and whether it wrote.
    log: HashMap<(usize, usize), Vec<(usize, bool)>>,
    parts: Vec<Vec<Part>>,
    finished: Vec<u32>,
    refused: usize,
}

/// Only hears of others' ids.
fn no_clock() -> u64 {
    0
}

impl World {
    fn new(random: &mut Random) -> World {
        let shards = 2 + random.below(4);
        let node = |shard| Node {
            coordinator: Coordinator::new(shard, no_clock),
            queue: Queue::default(),
            inbox: (0..shards).map(|_| VecDeque::new()).collect(),
            awake: true,
            plans: Vec::new(),
            batches: Vec::new(),
            completed: Vec::new(),
            ready: Vec::new(),
        };
        let mut world = World {
            nodes: (0..shards).map(node).collect(),
            log: HashMap::new(),
            parts: Vec::new(),
            finished: Vec::new(),
            refused: 0,
        };
        for transaction in 0..2 + random.below(12) {
            let held = random.one_in(4);
            let mut parts = Vec::new();
            let first = random.below(shards);
            for shard in (first..first + 1 + random.below(shards)).map(|shard| shard % shards) {
                let mut keys = Vec::new();
                let writes = random.one_in(2);
                for _ in 0..1 + random.below(2) {
                    keys.push((random.below(KEYS), (writes || held) && random.one_in(2)));
                }
                let any = keys.iter().any(|&(_, writes)| writes);
                let participation = match (held, any) {
                    (true, _) => Participation::Held,
                    (_, true) => Participation::Writes,
                    _ => Participation::Reads,
                };
                parts.push(Part { shard, participation, keys });
            }
            world.parts.push(parts.clone());
            world.finished.push(0);
            world.nodes[random.below(shards)].plans.push((transaction, parts));
        }
        world
    }

    fn access(&mut self, transaction: usize, part: &Part) {
        for &(key, _) in &part.keys {
            let log = self.log.entry((part.shard, key)).or_default();
            assert!(!log.contains(&(transaction, true)), "it writes once");
            // What was read before a refusal does not count.
            log.retain(|&(other, _)| other != transaction);
        }
        for &(key, writes) in &part.keys {
            self.log.entry((part.shard, key)).or_default().push((transaction, writes));
        }
    }

    /// `wake`: whether it rings the other's bell.
    fn send(&mut self, from: usize, to: usize, message: Message, wake: bool) {
        self.nodes[to].inbox[from].push_back(message);
        self.nodes[to].awake |= wake || from == to;
    }

    /// Only the last answer that a coordinator waits for wakes it.
    fn answer(&mut self, from: usize, to: usize, message: Message, latch: &Latch) {
        let last = to != from && latch.answer();
        self.send(from, to, message, last);
    }

    fn carry_out(&mut self, shard: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Schedule { shard: to, batch, id, run_when_granted, latch } => {
                    let share = self.nodes[shard].batches[batch as usize].take();
                    let mut share = share.expect("a share is at home before it is sent");
                    (share.id, share.run_when_granted, share.latch) = (id, run_when_granted, latch);
                    self.send(shard, to, Message::Schedule(share), true);
                }
                Action::Go { shard: to, id } => self.send(shard, to, Message::Go(id), true),
                Action::Release { shard: to, id } => {
                    let waits = self.nodes[to].queue.has_waiting();
                    self.send(shard, to, Message::Release(id), waits);
                }
                Action::Abort { shard: to, id } => self.send(shard, to, Message::Abort(id), true),
                Action::Complete { batch } => {
                    assert!(self.nodes[shard].batches[batch as usize].is_some(), "it is at home");
                    self.nodes[shard].completed.push(batch);
                }
                Action::Finished { owner } => self.finished[owner as usize] += 1,
                Action::Ready { owner, id } => self.nodes[shard].ready.push((owner as usize, id)),
            }
        }
    }

    fn begin(&mut self, shard: usize, random: &mut Random) {
        let node = &mut self.nodes[shard];
        let (transaction, parts) = node.plans.swap_remove(random.below(node.plans.len()));
        let mut shares = Vec::new();
        for part in parts {
            let batch = node.batches.len() as u32;
            shares.push((part.shard, batch, part.participation));
            node.batches.push(Some(Share {
                origin: shard,
                batch,
                transaction,
                id: TransactionId::NONE,
                part,
                run_when_granted: false,
                latch: Latch::default(),
            }));
        }
        let mut actions = Vec::new();
        node.coordinator.begin(transaction as u32, shares.into_iter(), &mut actions);
        self.carry_out(shard, actions);
    }

    /// The hops of a transaction that holds its locks: all at once, while others go on.
    fn hop(&mut self, shard: usize, random: &mut Random) {
        let ready = &mut self.nodes[shard].ready;
        let (transaction, id) = ready.swap_remove(random.below(ready.len()));
        for part in self.parts[transaction].clone() {
            self.access(transaction, &part);
        }
        let mut actions = Vec::new();
        self.nodes[shard].coordinator.conclude(id, &mut actions);
        self.finished[transaction] += 1;
        self.carry_out(shard, actions);
    }

    fn home(&mut self, shard: usize, share: Share) -> TransactionId {
        let (id, batch) = (share.id, share.batch as usize);
        let before = self.nodes[shard].batches[batch].replace(share);
        assert!(before.is_none(), "a share comes home once");
        id
    }

    fn handle(&mut self, shard: usize, from: usize, message: Message) {
        let mut actions = Vec::new();
        match message {
            Message::Schedule(share) => {
                let (id, intents) = (share.id, share.part.intents());
                self.nodes[shard].coordinator.observe(id);
                match self.nodes[shard].queue.schedule(id, &intents, share) {
                    Scheduled::Granted => self.granted_here(shard, id),
                    Scheduled::Waiting => {}
                    Scheduled::Refused { newest, work } => {
                        self.refused += 1;
                        let origin = work.origin;
                        self.send(shard, origin, Message::Refused(work, newest), true);
                    }
                }
            }
            Message::Go(id) => self.run(shard, id),
            Message::Release(id) => {
                let work = self.nodes[shard].queue.conclude(id);
                assert!(work.is_none_or(|share| share.part.participation == Participation::Held));
            }
            Message::Abort(id) => match self.nodes[shard].queue.conclude(id) {
                Some(share) => self.send(shard, id.shard(), Message::Aborted(share), true),
                None => self.nodes[id.shard()].awake = true,
            },
            Message::Granted(id) => self.nodes[shard].coordinator.granted(id, from, false, &mut actions),
            Message::Read(share) => {
                let id = self.home(shard, share);
                self.nodes[shard].coordinator.granted(id, from, true, &mut actions);
            }
            Message::Done(share) | Message::Aborted(share) => {
                let id = self.home(shard, share);
                self.nodes[shard].coordinator.home(id, from, &mut actions);
            }
            Message::Refused(share, newest) => {
                let id = self.home(shard, share);
                self.nodes[shard].coordinator.refused(id, from, newest, &mut actions);
            }
        }
        self.carry_out(shard, actions);
        while let Some(id) = self.nodes[shard].queue.next_granted() {
            self.granted_here(shard, id);
        }
    }

    fn granted_here(&mut self, shard: usize, id: TransactionId) {
        let Some(share) = self.nodes[shard].queue.work_mut(id) else { return };
        let (origin, latch) = (share.origin, share.latch.clone());
        if share.run_when_granted {
            return self.run(shard, id);
        }
        let writes = share.part.keys.iter().any(|&(_, writes)| writes);
        // A share that has nothing to write comes back at once, also if its locks are kept for hops.
        if writes && share.part.participation != Participation::Held {
            return self.answer(shard, origin, Message::Granted(id), &latch);
        }
        let share = self.nodes[shard].queue.take_work(id).expect("it was there");
        if share.part.participation != Participation::Held {
            self.access(share.transaction, &share.part.clone());
        }
        self.answer(shard, origin, Message::Read(share), &latch);
    }

    fn run(&mut self, shard: usize, id: TransactionId) {
        let Some(share) = self.nodes[shard].queue.take_work(id) else { return };
        self.access(share.transaction, &share.part.clone());
        self.nodes[shard].queue.conclude(id);
        let (origin, latch) = (share.origin, share.latch.clone());
        self.answer(shard, origin, Message::Done(share), &latch);
    }

    /// Something that an awake shard may do next; `false` if it sleeps.
    fn step(&mut self, shard: usize, random: &mut Random) -> bool {
        let node = &self.nodes[shard];
        let senders: Vec<usize> =
            (0..self.nodes.len()).filter(|&from| !node.inbox[from].is_empty()).collect();
        let choices = [!node.plans.is_empty(), !node.ready.is_empty(), node.awake && !senders.is_empty()];
        match random.below(3) {
            0 if choices[0] => self.begin(shard, random),
            1 if choices[1] => self.hop(shard, random),
            _ if choices[2] => {
                let from = senders[random.below(senders.len())];
                if let Some(message) = self.nodes[shard].inbox[from].pop_front() {
                    self.handle(shard, from, message);
                }
            }
            _ => {
                self.nodes[shard].awake &= !senders.is_empty();
                return choices.contains(&true);
            }
        }
        true
    }

    fn run_until_all_sleep(&mut self, random: &mut Random) {
        for _ in 0..STEPS_MAX {
            let shard = random.below(self.nodes.len());
            if !self.step(shard, random) && (0..self.nodes.len()).all(|shard| self.is_asleep(shard)) {
                return;
            }
        }
        panic!("goes round for ever");
    }

    fn is_asleep(&self, shard: usize) -> bool {
        let node = &self.nodes[shard];
        let nothing_new = !node.awake || node.inbox.iter().all(VecDeque::is_empty);
        nothing_new && node.plans.is_empty() && node.ready.is_empty()
    }

    /// One order of all transactions explains what each did to each key.
    fn assert_serializable(&self) {
        let count = self.parts.len();
        let mut before = vec![vec![false; count]; count];
        for accesses in self.log.values() {
            for (position, &(later, writes)) in accesses.iter().enumerate() {
                for &(earlier, wrote) in &accesses[..position] {
                    before[earlier][later] |= earlier != later && (writes || wrote);
                }
            }
        }
        // Takes away, again and again, one that comes after none that is left.
        let mut left: Vec<usize> = (0..count).collect();
        while !left.is_empty() {
            let first = left.iter().position(|&one| !left.iter().any(|&other| before[other][one]));
            left.remove(first.expect("transactions in a circle"));
        }
    }
}

#[test]
fn in_every_order_all_come_home_once_and_leave_no_locks() {
    let mut refused = 0;
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut world = World::new(&mut random);
        world.run_until_all_sleep(&mut random);
        assert!(world.finished.iter().all(|&times| times == 1), "seed {seed}: {:?}", world.finished);
        // Locks that nobody waits for may be let go of when their shard wakes.
        world.nodes.iter_mut().for_each(|node| node.awake = true);
        world.run_until_all_sleep(&mut random);
        for node in &mut world.nodes {
            assert!(node.queue.is_empty() && !node.queue.has_locks(), "seed {seed}: something is locked");
            assert!(node.coordinator.is_empty(), "seed {seed}: something is under way");
            assert!(node.batches.iter().all(Option::is_some), "seed {seed}: a share is not at home");
            let shares = node.batches.iter().flatten();
            let hopless = shares.filter(|share| share.part.participation != Participation::Held);
            let mut expected: Vec<u32> = hopless.map(|share| share.batch).collect();
            expected.sort_unstable();
            node.completed.sort_unstable();
            assert_eq!(node.completed, expected, "seed {seed}: every share counts once");
        }
        let accesses: usize = world.log.values().map(Vec::len).sum();
        let expected: usize = world.parts.iter().flatten().map(|part| part.keys.len()).sum();
        assert_eq!(accesses, expected, "seed {seed}: every share runs once");
        world.assert_serializable();
        refused += world.refused;
    }
    assert!(refused > SEEDS as usize / 2, "{refused} refusals: transactions do not meet");
}

/// A coordinator on shard 0, and what it wants done.
struct Alone {
    coordinator: Coordinator,
    id: TransactionId,
}

impl Alone {
    fn begin(shares: &[(usize, Participation)]) -> (Alone, Vec<String>) {
        let mut coordinator = Coordinator::new(0, no_clock);
        let mut actions = Vec::new();
        let shares = shares.iter().map(|&(shard, participation)| (shard, shard as u32 * 10, participation));
        coordinator.begin(7, shares, &mut actions);
        let mut alone = Alone { coordinator, id: TransactionId::NONE };
        let shown = alone.show(actions);
        (alone, shown)
    }

    fn then(&mut self, event: impl FnOnce(&mut Coordinator, TransactionId, &mut Vec<Action>)) -> Vec<String> {
        let mut actions = Vec::new();
        event(&mut self.coordinator, self.id, &mut actions);
        self.show(actions)
    }

    fn show(&mut self, actions: Vec<Action>) -> Vec<String> {
        let text = |action| match action {
            Action::Schedule { shard, batch, id, run_when_granted, .. } => {
                self.id = id;
                let how = if run_when_granted { ", to be run when granted" } else { "" };
                format!("schedule {batch} on {shard}{how}")
            }
            Action::Go { shard, .. } => format!("go on {shard}"),
            Action::Release { shard, .. } => format!("release {shard}"),
            Action::Abort { shard, .. } => format!("abort {shard}"),
            Action::Complete { batch } => format!("complete {batch}"),
            Action::Finished { owner } => format!("finished {owner}"),
            Action::Ready { owner, .. } => format!("ready {owner}"),
        };
        actions.into_iter().map(text).collect()
    }
}

use Participation::{Held, Reads, Writes};

#[test]
fn the_only_other_shard_is_asked_last_and_runs_at_once() {
    let (mut alone, begun) = Alone::begin(&[(0, Writes), (1, Reads)]);
    assert_eq!(begun, ["schedule 0 on 0"]);
    let granted = alone.then(|coordinator, id, actions| coordinator.granted(id, 0, false, actions));
    assert_eq!(granted, ["schedule 10 on 1, to be run when granted"]);
    assert_eq!(alone.then(|coordinator, id, actions| coordinator.home(id, 1, actions)), ["go on 0"]);
    let done = alone.then(|coordinator, id, actions| coordinator.home(id, 0, actions));
    assert_eq!(done, ["complete 0", "complete 10", "finished 7"]);
    assert!(alone.coordinator.is_empty());
}

#[test]
fn what_has_read_is_released_once_the_others_have_their_locks() {
    let (mut alone, begun) = Alone::begin(&[(1, Reads), (2, Writes), (3, Reads)]);
    assert_eq!(begun, ["schedule 10 on 1", "schedule 20 on 2", "schedule 30 on 3"]);
    for (shard, home) in [(1, true), (2, false)] {
        let granted = alone.then(|coordinator, id, actions| coordinator.granted(id, shard, home, actions));
        assert!(granted.is_empty(), "{granted:?} before all are granted");
    }
    let granted = alone.then(|coordinator, id, actions| coordinator.granted(id, 3, true, actions));
    assert_eq!(granted, ["release 1", "go on 2", "release 3"]);
    let done = alone.then(|coordinator, id, actions| coordinator.home(id, 2, actions));
    assert_eq!(done, ["complete 10", "complete 20", "complete 30", "finished 7"]);
}

#[test]
fn who_is_refused_begins_again_with_an_id_that_is_new_to_all() {
    let (mut alone, _) = Alone::begin(&[(1, Reads), (2, Writes), (3, Writes)]);
    let newest = TransactionId::new(90, 5);
    alone.then(|coordinator, id, actions| coordinator.granted(id, 1, true, actions));
    let first = alone.id;
    let refused = alone.then(|coordinator, id, actions| coordinator.refused(id, 2, newest, actions));
    assert_eq!(refused, ["abort 1", "abort 3"], "also who has read keeps locks");
    // The locks of shard 3 were granted before the word came that they are not wanted.
    let crossed = alone.then(|coordinator, id, actions| coordinator.granted(id, 3, false, actions));
    assert!(crossed.is_empty(), "{crossed:?}");
    let again = alone.then(|coordinator, id, actions| coordinator.home(id, 3, actions));
    assert_eq!(again, ["schedule 10 on 1", "schedule 20 on 2", "schedule 30 on 3"]);
    assert!(alone.id > newest && alone.id > first, "{:?}", alone.id);
    // What still comes for the first try is nobody's.
    let late = alone.then(|coordinator, _, actions| coordinator.home(first, 1, actions));
    assert!(late.is_empty(), "{late:?}");
}

#[test]
fn two_shards_may_refuse() {
    let (mut alone, _) = Alone::begin(&[(1, Writes), (2, Writes)]);
    let refused = |shard, time| {
        move |coordinator: &mut Coordinator, id, actions: &mut Vec<Action>| {
            coordinator.refused(id, shard, TransactionId::new(time, 5), actions);
        }
    };
    assert_eq!(alone.then(refused(1, 50)), ["abort 2"]);
    assert_eq!(alone.then(refused(2, 40)), ["schedule 10 on 1", "schedule 20 on 2"]);
    assert_eq!(alone.id.time(), 51);
}

#[test]
fn locks_that_are_held_stay_until_the_end() {
    let (mut alone, begun) = Alone::begin(&[(0, Held), (1, Held)]);
    assert_eq!(begun, ["schedule 0 on 0", "schedule 10 on 1"], "neither waits for the other");
    alone.then(|coordinator, id, actions| coordinator.granted(id, 1, true, actions));
    let ready = alone.then(|coordinator, id, actions| coordinator.granted(id, 0, true, actions));
    assert_eq!(ready, ["ready 7"]);
    let done = alone.then(|coordinator, id, actions| coordinator.conclude(id, actions));
    assert_eq!(done, ["release 0", "release 1"]);
    assert!(alone.coordinator.is_empty());
}
