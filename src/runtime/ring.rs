//! A ring of fixed size from one core to another: one producer, one consumer, no lock.
//!
//! Each side keeps its own copy of the other's position and looks at the shared one only when the copy
//! says full or empty, so a message costs one release store and, now and then, one cache line transfer.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keeps what two cores write on cache lines of their own (two lines: the prefetcher fetches pairs).
#[repr(align(128))]
struct Padded<T>(T);

struct Shared<T, const SLOTS: usize> {
    /// Messages taken so far; written by the consumer.
    head: Padded<AtomicUsize>,
    /// Messages put so far; written by the producer.
    tail: Padded<AtomicUsize>,
    slots: [UnsafeCell<MaybeUninit<T>>; SLOTS],
}

// SAFETY: a slot is written by the producer only while the consumer cannot reach it (tail not yet stored)
// and read by the consumer only while the producer cannot (head not yet stored).
unsafe impl<T: Send, const SLOTS: usize> Sync for Shared<T, SLOTS> {}

impl<T, const SLOTS: usize> Drop for Shared<T, SLOTS> {
    fn drop(&mut self) {
        let (head, tail) = (*self.head.0.get_mut(), *self.tail.0.get_mut());
        for position in head..tail {
            // SAFETY: slots between head and tail are initialised, and nobody else is left.
            unsafe { self.slots[position % SLOTS].get_mut().assume_init_drop() };
        }
    }
}

/// The producer's end.
pub struct Sender<T, const SLOTS: usize> {
    shared: Arc<Shared<T, SLOTS>>,
    tail: usize,
    head_seen: usize,
}

/// The consumer's end.
pub struct Receiver<T, const SLOTS: usize> {
    shared: Arc<Shared<T, SLOTS>>,
    head: usize,
    tail_seen: usize,
}

/// A ring of `SLOTS` messages.
pub fn ring<T: Send, const SLOTS: usize>() -> (Sender<T, SLOTS>, Receiver<T, SLOTS>) {
    let shared = Arc::new(Shared {
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
        slots: [const { UnsafeCell::new(MaybeUninit::uninit()) }; SLOTS],
    });
    let sender = Sender { shared: shared.clone(), tail: 0, head_seen: 0 };
    (sender, Receiver { shared, head: 0, tail_seen: 0 })
}

impl<T: Send, const SLOTS: usize> Sender<T, SLOTS> {
    /// Puts a message, or gives it back when the ring is full.
    #[inline]
    pub fn push(&mut self, message: T) -> Result<(), T> {
        if self.tail - self.head_seen == SLOTS {
            self.head_seen = self.shared.head.0.load(Ordering::Acquire);
            if self.tail - self.head_seen == SLOTS {
                return Err(message);
            }
        }
        // SAFETY: the slot is free: the consumer has taken what was in it, as `head_seen` shows.
        unsafe { (*self.shared.slots[self.tail % SLOTS].get()).write(message) };
        self.tail += 1;
        self.shared.tail.0.store(self.tail, Ordering::Release);
        Ok(())
    }
}

impl<T: Send, const SLOTS: usize> Receiver<T, SLOTS> {
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the slot was written before `tail_seen` was stored, and only we take from it.
        let message = unsafe { (*self.shared.slots[self.head % SLOTS].get()).assume_init_read() };
        self.head += 1;
        self.shared.head.0.store(self.head, Ordering::Release);
        Some(message)
    }

    #[inline(always)]
    pub fn is_empty(&mut self) -> bool {
        if self.head == self.tail_seen {
            self.tail_seen = self.shared.tail.0.load(Ordering::Acquire);
        }
        self.head == self.tail_seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_once_and_in_order_from_another_thread() {
        const COUNT: usize = 200_000;
        let (mut sender, mut receiver) = ring::<Box<usize>, 64>();
        let producer = std::thread::spawn(move || {
            for number in 0..COUNT {
                let mut message = Box::new(number);
                while let Err(back) = sender.push(message) {
                    message = back;
                    std::thread::yield_now();
                }
            }
        });
        for expected in 0..COUNT {
            let message = loop {
                if let Some(message) = receiver.pop() {
                    break message;
                }
                std::thread::yield_now();
            };
            assert_eq!(*message, expected);
        }
        assert!(receiver.is_empty());
        producer.join().unwrap();
    }

    #[test]
    fn a_full_ring_gives_the_message_back_and_drops_what_is_left() {
        let counted = std::sync::Arc::new(());
        let (mut sender, mut receiver) = ring::<Arc<()>, 4>();
        for _ in 0..4 {
            assert!(sender.push(counted.clone()).is_ok());
        }
        assert!(sender.push(counted.clone()).is_err());
        assert!(receiver.pop().is_some());
        assert!(sender.push(counted.clone()).is_ok());
        drop((sender, receiver));
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
