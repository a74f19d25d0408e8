//! The mesh as one shard sees it: a ring to and from every other shard, and the bells.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::runtime::bell::{self, Bell};
use crate::runtime::ring::{Receiver, Sender, ring};

use crate::session::Unblocked;

use super::batch::Batch;
use super::queue::TransactionId;

/// Messages that a ring holds; what does not fit waits at the sender.
const RING_MESSAGES: usize = 256;

/// What cores say to each other.
pub enum Message {
    /// Run these commands.
    Run(Box<Batch>),
    /// They have run; here are the replies.
    Done(Box<Batch>),
    /// A group of a batch that was deferred has run.
    Late(Box<Batch>),
    /// A share of a transaction: take its locks.
    Schedule(Box<Batch>),
    /// The locks of the share are held.
    Granted(TransactionId),
    /// The locks of the share are held, and it has run, since it only reads.
    Read(Box<Batch>),
    /// The share conflicts with younger ones, of which the last is named.
    Refused(Box<Batch>, TransactionId),
    /// Run the share and let go of its locks.
    Go(TransactionId),
    /// Let go of the locks.
    Release(TransactionId),
    /// Let go of the locks, and give the share back if it is there.
    Abort(TransactionId),
    /// The share has not run.
    Aborted(Box<Batch>),
    /// The client of this wait is parked.
    Parked(u32),
    /// The client of this wait waits no more.
    Unpark(u32, Unblocked),
    /// A client waits for these keys and for some of other shards.
    Hint(Box<Hint>),
    /// There may be something for the client of this block.
    Ready(u64),
    /// It has found nothing and goes on waiting.
    KeepHint(u64),
    /// It waits no more.
    RemoveHint(u64),
    /// Lines for a client of yours that sent MONITOR.
    Feed(Box<Feed>),
    /// The client of this id is no monitor any more.
    MonitorGone(u64),
}

/// The keys of one shard that a client waits for.
pub struct Hint {
    /// The number of the client's waiting on its own shard.
    pub block: u64,
    pub database: u16,
    pub keys: Vec<Vec<u8>>,
    /// Its client is tried as well when one of them has gone.
    pub minds_removal: bool,
}

/// Whether a message wakes a shard that sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    Always,
    /// If something there waits for the end of a transaction.
    IfWaiting,
    /// Others will follow, of which the last wakes it.
    Never,
}

/// Output for a session of another shard.
pub struct Feed {
    pub session_id: u64,
    pub bytes: Vec<u8>,
}

/// One shard's ends of the mesh.
pub struct Mailbox {
    shard: usize,
    /// By shard; `None` at its own place.
    outgoing: Vec<Option<Outgoing>>,
    incoming: Vec<Option<Receiver<Message, RING_MESSAGES>>>,
    bells: Arc<[Bell]>,
    /// Shards that got messages since the bells were rung last, one bit each.
    to_ring: Vec<u64>,
    /// Of these, the ones that are to be woken only if they wait for anything.
    to_ring_if_waiting: Vec<u64>,
    /// Shards whose ring was full.
    backlogged: usize,
}

struct Outgoing {
    sender: Sender<Message, RING_MESSAGES>,
    waiting: VecDeque<Message>,
}

/// Brings the messages of one shard to another when it is told to: for a simulation, which decides when.
pub struct Courier {
    pub from: usize,
    pub to: usize,
    collect: Receiver<Message, RING_MESSAGES>,
    deliver: Sender<Message, RING_MESSAGES>,
    /// Found no room.
    held: Option<Message>,
}

impl Courier {
    /// Whether there is nothing to deliver.
    pub fn is_idle(&mut self) -> bool {
        self.held.is_none() && self.collect.is_empty()
    }

    /// Delivers up to so many messages, in their order.
    pub fn deliver(&mut self, messages_max: usize) {
        for _ in 0..messages_max {
            let Some(message) = self.held.take().or_else(|| self.collect.pop()) else { return };
            if let Err(message) = self.deliver.push(message) {
                self.held = Some(message);
                return;
            }
        }
    }
}

/// The mailboxes of all shards, and their bells.
pub type Mesh = (Vec<Mailbox>, Arc<[Bell]>);
type Way = (Sender<Message, RING_MESSAGES>, Receiver<Message, RING_MESSAGES>);

/// The mailboxes of all shards, connected with each other.
pub fn mesh(shards: usize) -> std::io::Result<Mesh> {
    connect(shards, |_, _| ring())
}

/// Like [`mesh`], with a courier on every way.
pub fn mesh_with_couriers(shards: usize) -> std::io::Result<(Mesh, Vec<Courier>)> {
    let mut couriers = Vec::new();
    let mesh = connect(shards, |from, to| {
        let ((sender, collect), (deliver, receiver)) = (ring(), ring());
        couriers.push(Courier { from, to, collect, deliver, held: None });
        (sender, receiver)
    })?;
    Ok((mesh, couriers))
}

fn connect(shards: usize, mut way: impl FnMut(usize, usize) -> Way) -> std::io::Result<Mesh> {
    let bells: Arc<[Bell]> = (0..shards).map(|_| Bell::new()).collect::<Result<Vec<_>, _>>()?.into();
    let mut mailboxes: Vec<Mailbox> = (0..shards)
        .map(|shard| Mailbox {
            shard,
            outgoing: (0..shards).map(|_| None).collect(),
            incoming: (0..shards).map(|_| None).collect(),
            bells: bells.clone(),
            to_ring: vec![0; shards.div_ceil(64)],
            to_ring_if_waiting: vec![0; shards.div_ceil(64)],
            backlogged: 0,
        })
        .collect();
    for from in 0..shards {
        for to in (0..shards).filter(|&to| to != from) {
            let (sender, receiver) = way(from, to);
            mailboxes[from].outgoing[to] = Some(Outgoing { sender, waiting: VecDeque::new() });
            mailboxes[to].incoming[from] = Some(receiver);
        }
    }
    Ok((mailboxes, bells))
}

impl Mailbox {
    /// Puts a message for another shard; it is seen at once by a shard that is awake, and wakes one that
    /// sleeps as `wake` says.
    pub fn send(&mut self, to: usize, message: Message, wake: Wake) {
        match wake {
            Wake::Always => self.wake(to),
            Wake::IfWaiting => self.to_ring_if_waiting[to / 64] |= 1 << (to % 64),
            Wake::Never => {}
        }
        let Some(outgoing) = self.outgoing[to].as_mut() else {
            debug_assert!(false, "no ring from a shard to itself");
            return;
        };
        if outgoing.waiting.is_empty() {
            if let Err(message) = outgoing.sender.push(message) {
                outgoing.waiting.push_back(message);
                self.backlogged += 1;
            }
        } else {
            outgoing.waiting.push_back(message);
        }
    }

    /// Wakes a shard at the next [`Mailbox::flush`].
    pub fn wake(&mut self, to: usize) {
        self.to_ring[to / 64] |= 1 << (to % 64);
    }

    /// Retries what did not fit, and wakes the sleeping shards among those that got something.
    pub fn flush(&mut self) {
        if self.backlogged > 0 {
            self.retry();
        }
        if self.to_ring.iter().chain(&self.to_ring_if_waiting).all(|&word| word == 0) {
            return;
        }
        bell::before_ringing();
        for (position, word) in self.to_ring_if_waiting.iter_mut().enumerate() {
            let mut rest = std::mem::take(word);
            while rest != 0 {
                self.bells[position * 64 + rest.trailing_zeros() as usize].ring_if_waiting();
                rest &= rest - 1;
            }
        }
        for (position, word) in self.to_ring.iter_mut().enumerate() {
            let mut rest = std::mem::take(word);
            while rest != 0 {
                self.bells[position * 64 + rest.trailing_zeros() as usize].ring();
                rest &= rest - 1;
            }
        }
    }

    fn retry(&mut self) {
        for (to, outgoing) in self.outgoing.iter_mut().enumerate() {
            let Some(outgoing) = outgoing else { continue };
            if outgoing.waiting.is_empty() {
                continue;
            }
            while let Some(message) = outgoing.waiting.pop_front() {
                if let Err(message) = outgoing.sender.push(message) {
                    outgoing.waiting.push_front(message);
                    break;
                }
                self.to_ring[to / 64] |= 1 << (to % 64);
            }
            if outgoing.waiting.is_empty() {
                self.backlogged -= 1;
            }
        }
    }

    /// The next message, from whichever shard; shards take turns by way of the caller's loop.
    #[inline]
    pub fn receive(&mut self, from: usize) -> Option<Message> {
        self.incoming[from].as_mut()?.pop()
    }

    /// Whether nothing has arrived and nothing waits to be put.
    #[inline]
    pub fn is_idle(&mut self) -> bool {
        self.backlogged == 0 && self.incoming.iter_mut().flatten().all(|receiver| receiver.is_empty())
    }

    pub fn bell(&self) -> &Bell {
        &self.bells[self.shard]
    }

    pub fn shards(&self) -> usize {
        self.outgoing.len()
    }
}
