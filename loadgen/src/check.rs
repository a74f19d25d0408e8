//! What comes back: replies in order, each held against what its request must get.

use std::collections::VecDeque;

use crate::command::{Expect, Test, UsualReply};
use crate::scan::{Garbage, Head, Scanner};
use crate::tally::Tally;

/// Requests of one kind under way that share their instants, so that a pipeline of one test is one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// Position among the workload's kinds.
    pub kind: u16,
    pub count: u32,
    /// What [`Check::follow_up`] is sent for.
    pub key: u64,
    /// When the schedule wanted them to be sent; in a closed loop, when they were.
    pub intended_ns: u64,
    pub sent_ns: u64,
}

/// What the replies to one kind of request are checked against.
#[derive(Debug, Clone)]
pub struct Check {
    usual: Option<UsualReply>,
    /// The reply to a request's last command.
    expect: Expect,
    /// The replies before it.
    within: Expect,
    /// Replies of a request.
    replies: u32,
    /// The shortest and the longest value.
    value_bytes: (u64, u64),
    /// The kind of request that follows a miss, for the same key.
    pub follow_up: Option<u16>,
}

impl Check {
    pub fn of_test(test: &Test) -> Check {
        let value_bytes = test.value_bytes() as u64;
        let within = if test.expect == Expect::Any { Expect::Any } else { Expect::Ok };
        let check = Check::new(test.expect, within, test.replies(), (value_bytes, value_bytes));
        Check { usual: test.usual_reply(), ..check }
    }

    pub fn new(expect: Expect, within: Expect, replies: u32, value_bytes: (u64, u64)) -> Check {
        Check { usual: None, expect, within, replies, value_bytes, follow_up: None }
    }

    fn is_right(&self, head: Head, expect: Expect) -> bool {
        match (head, expect) {
            (_, Expect::Any) => true,
            (Head::Status, Expect::Ok | Expect::Pong | Expect::OkOrNull) => true,
            (Head::Bulk(length), Expect::Value) => {
                (self.value_bytes.0..=self.value_bytes.1).contains(&length)
            }
            (Head::Bulk(_), Expect::Text) | (Head::Integer, Expect::Integer) => true,
            (Head::Aggregate(count), Expect::Array(elements)) => count == elements,
            (Head::Aggregate(_), Expect::List) => true,
            _ => false,
        }
    }
}

/// Reads the replies of one connection.
#[derive(Debug, Default)]
pub struct Replies {
    scanner: Scanner,
    in_flight: VecDeque<InFlight>,
    /// Requests in `in_flight`.
    due: u32,
    /// Replies that the first of them has got already.
    got: u32,
}

/// A key that was not there, in a request that something follows upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    pub kind: u16,
    pub key: u64,
    pub at_ns: u64,
}

/// What goes wrong with a whole connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// More replies than requests.
    Surplus,
    Garbage(String),
    /// What protects the connection, in words for the user.
    Session(String),
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Broken {
        Broken::Session(error.to_string())
    }
}

impl Replies {
    /// With room for so many requests under way.
    pub fn with_capacity(requests: usize) -> Replies {
        Replies { in_flight: VecDeque::with_capacity(requests), ..Replies::default() }
    }

    /// Requests under way.
    pub fn due(&self) -> u32 {
        self.due
    }

    /// Notes what was sent; equals of the last entry join it.
    #[inline]
    pub fn expect(&mut self, sent: InFlight) {
        self.due += sent.count;
        if let Some(last) = self.in_flight.back_mut()
            && (InFlight { count: sent.count, ..*last }) == sent
        {
            last.count += sent.count;
            return;
        }
        self.in_flight.push_back(sent);
    }

    /// Counts the requests whose last reply ends in `bytes`, which came at `now_ns`, and checks each reply.
    #[inline]
    pub fn read(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        checks: &[Check],
        tally: &mut Tally,
        missed: &mut VecDeque<Missed>,
    ) -> Result<u32, Broken> {
        let (usual, used) = self.read_usual(bytes, now_ns, checks, tally);
        if used == bytes.len() {
            return Ok(usual);
        }
        let Replies { scanner, in_flight, due, got } = self;
        let (mut answered, mut errors, mut surplus) = (0, false, false);
        let scanned = scanner.scan(&bytes[used..], |head, inside| {
            let Some(first) = in_flight.front_mut() else {
                surplus = true;
                return;
            };
            let check = &checks[first.kind as usize];
            let kind = &mut tally.kinds[first.kind as usize];
            *got += 1;
            let last = *got == check.replies;
            let expect = if last { check.expect } else { check.within };
            kind.errors += inside.errors + u64::from(head == Head::Error);
            errors |= inside.errors > 0 || head == Head::Error;
            kind.misses += inside.nulls;
            match head {
                Head::Error => {}
                Head::Null if expect.may_miss() => {
                    kind.misses += 1;
                    let follow_up =
                        check.follow_up.map(|kind| Missed { kind, key: first.key, at_ns: now_ns });
                    missed.extend(follow_up);
                }
                _ => kind.wrong += u64::from(!check.is_right(head, expect)),
            }
            if last {
                *got = 0;
                answered += 1;
                take(in_flight, 1, now_ns, tally);
            }
        });
        *due -= answered;
        if errors && tally.first_error.is_none() {
            tally.first_error = Some(scanner.error_text().to_string());
        }
        match scanned {
            Err(Garbage(garbage)) => Err(Broken::Garbage(garbage)),
            Ok(()) if surplus => Err(Broken::Surplus),
            Ok(()) => Ok(usual + answered),
        }
    }

    /// As long as replies are the usual ones no scanner is needed. Tells how many there were, and their bytes.
    #[inline]
    fn read_usual(&mut self, bytes: &[u8], now_ns: u64, checks: &[Check], tally: &mut Tally) -> (u32, usize) {
        if !self.scanner.is_between_replies() || self.got > 0 {
            return (0, 0);
        }
        let (mut answered, mut used) = (0, 0);
        while let Some(first) = self.in_flight.front()
            && let Some(usual) = &checks[first.kind as usize].usual
        {
            let (count, length) = usual.count(&bytes[used..], first.count);
            if count == 0 {
                break;
            }
            used += length;
            answered += count;
            take(&mut self.in_flight, count, now_ns, tally);
        }
        self.due -= answered;
        (answered, used)
    }
}

/// The first requests are answered; not more than the first entry has.
#[inline]
fn take(in_flight: &mut VecDeque<InFlight>, count: u32, now_ns: u64, tally: &mut Tally) {
    let Some(first) = in_flight.front_mut() else { return };
    let kind = &mut tally.kinds[first.kind as usize];
    kind.answered(count, now_ns - first.sent_ns.min(now_ns), now_ns - first.intended_ns.min(now_ns));
    first.count -= count;
    if first.count == 0 {
        in_flight.pop_front();
    }
}

/// Counts what a subscriber gets: each message, and what says that it subscribed.
#[derive(Debug)]
pub struct Messages(Scanner);

impl Messages {
    pub fn new() -> Messages {
        Messages(Scanner::taking_pushes())
    }

    pub fn read(&mut self, bytes: &[u8], kind: u16, tally: &mut Tally) -> Result<(), Broken> {
        let (mut messages, mut errors) = (0, 0);
        let scanned = self.0.scan(bytes, |head, _| match head {
            Head::Error => errors += 1,
            _ => messages += 1,
        });
        let kind = &mut tally.kinds[kind as usize];
        kind.requests += messages;
        kind.errors += errors;
        if errors > 0 && tally.first_error.is_none() {
            tally.first_error = Some(self.0.error_text().to_string());
        }
        scanned.map_err(|Garbage(garbage)| Broken::Garbage(garbage))
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kind: u16, count: u32, at_ns: u64) -> InFlight {
        InFlight { kind, count, key: 0, intended_ns: at_ns / 2, sent_ns: at_ns }
    }

    #[test]
    fn each_request_has_its_own_instants() {
        let checks = ["set", "get"].map(|name| Check::of_test(&Test::named(name, 3).unwrap()));
        let bytes = b"+OK\r\n+OK\r\n$3\r\nabc\r\n$-1\r\n-ERR no\r\n$2\r\nab\r\n+OK\r\n";
        for piece_bytes in [1, 4, bytes.len()] {
            let mut replies = Replies::default();
            for (kind, count, at_ns) in [(0, 1, 1000), (0, 1, 1000), (1, 3, 2000), (1, 1, 3000), (0, 1, 4000)]
            {
                replies.expect(sent(kind, count, at_ns));
            }
            assert_eq!((replies.due(), replies.in_flight.len()), (7, 4));
            let (mut tally, mut missed) = (Tally::new(2, true), VecDeque::new());
            let pieces = bytes.chunks(piece_bytes);
            let answered: u32 = pieces
                .map(|piece| replies.read(piece, 10_000, &checks, &mut tally, &mut missed).unwrap())
                .sum();
            assert_eq!((answered, replies.due(), replies.got), (7, 0, 0));
            let [set, get] = &tally.kinds[..] else { panic!("two kinds") };
            assert_eq!((set.requests, set.errors, set.wrong, set.misses), (3, 0, 0, 0));
            assert_eq!((get.requests, get.errors, get.wrong, get.misses), (4, 1, 1, 1));
            assert_eq!(tally.first_error.as_deref(), Some("ERR no"));
            assert_eq!((set.service_ns.count_at(9000), set.service_ns.count_at(6000)), (2, 1));
            assert_eq!((get.service_ns.count_at(8000), get.service_ns.count_at(7000)), (3, 1));
            let response = get.response_ns.as_ref().unwrap();
            assert_eq!((response.count_at(9000), response.count_at(8500)), (3, 1));
            let surplus = replies.read(b"+OK\r\n", 10_000, &checks, &mut tally, &mut missed);
            assert_eq!(surplus, Err(Broken::Surplus));
        }
    }

    #[test]
    fn a_miss_is_followed_up_for_its_key() {
        let mut check = Check::of_test(&Test::named("get", 3).unwrap());
        check.follow_up = Some(1);
        let (mut replies, mut tally, mut missed) =
            (Replies::default(), Tally::new(1, false), VecDeque::new());
        for key in [7, 8, 9] {
            replies.expect(InFlight { key, ..sent(0, 1, 1) });
        }
        replies.read(b"$-1\r\n$3\r\nabc\r\n_\r\n", 5, &[check], &mut tally, &mut missed).unwrap();
        assert_eq!(missed.iter().map(|missed| missed.key).collect::<Vec<_>>(), [7, 9]);
    }

    #[test]
    fn messages_are_counted() {
        let mut tally = Tally::new(1, false);
        let mut messages = Messages::new();
        for piece in
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n+message\r\n+c\r\n+x\r\n-ERR no\r\n".chunks(5)
        {
            messages.read(piece, 0, &mut tally).unwrap();
        }
        assert_eq!((tally.kinds[0].requests, tally.kinds[0].errors), (2, 1));
    }
}
