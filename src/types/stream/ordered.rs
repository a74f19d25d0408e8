//! What is ordered by id: a sequence in chunks, for the blocks of a stream and for what is pending.
//!
//! ```text
//!   chunks   | 64 items | 40 items | 64 items | ... |     a deque of deques
//! ```
//!
//! Both levels are searched by halving. Items come at the end and go at the front most of the time, which
//! moves nothing; elsewhere an insertion or removal moves less than half a chunk. A chunk that is full is
//! divided, two neighbours that became small are joined.

use std::collections::VecDeque;

use super::Id;

/// Items of a chunk; few in tests, so that they meet many chunks.
const CHUNK_ITEMS_MAX: usize = if cfg!(test) { 4 } else { 64 };

/// What has an id.
pub(super) trait Identified {
    fn id(&self) -> Id;
}

impl Identified for Id {
    #[inline]
    fn id(&self) -> Id {
        *self
    }
}

/// Where an item is, until the next insertion or removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    chunk: usize,
    index: usize,
}

/// Items in the order of their ids, none of them twice. No chunk is empty between calls.
#[derive(Debug)]
pub(super) struct Ordered<T> {
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
    /// Items that the chunks have room for.
    room: usize,
}

impl<T> Default for Ordered<T> {
    fn default() -> Ordered<T> {
        Ordered { chunks: VecDeque::new(), len: 0, room: 0 }
    }
}

impl<T: Clone> Clone for Ordered<T> {
    /// A copy has no room to spare.
    fn clone(&self) -> Ordered<T> {
        let chunks = self.chunks.clone();
        let room = chunks.iter().map(VecDeque::capacity).sum();
        Ordered { chunks, room, len: self.len }
    }
}

impl<T: Identified> Ordered<T> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the deques, without what the items have allocated.
    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.room * size_of::<T>() + self.chunks.capacity() * size_of::<VecDeque<T>>()
    }

    #[inline]
    pub(super) fn last(&self) -> Option<&T> {
        self.chunks.back()?.back()
    }

    #[inline]
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.chunks.back_mut()?.back_mut()
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.front()?.front()
    }

    #[inline]
    pub(super) fn at(&self, place: Place) -> Option<&T> {
        self.chunks.get(place.chunk)?.get(place.index)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut T> {
        self.chunks.get_mut(place.chunk)?.get_mut(place.index)
    }

    #[inline]
    pub(super) fn first_place(&self) -> Place {
        Place { chunk: 0, index: 0 }
    }

    /// The last item, if there is one.
    pub(super) fn last_place(&self) -> Option<Place> {
        let chunk = self.chunks.len().checked_sub(1)?;
        Some(Place { chunk, index: self.chunks[chunk].len() - 1 })
    }

    /// The place behind this one, where there may be none.
    #[inline]
    pub(super) fn behind(&self, place: Place) -> Place {
        match self.chunks.get(place.chunk) {
            Some(chunk) if place.index + 1 < chunk.len() => Place { index: place.index + 1, ..place },
            _ => Place { chunk: place.chunk + 1, index: 0 },
        }
    }

    /// The place before this one, if there is one.
    pub(super) fn before(&self, place: Place) -> Option<Place> {
        match place.index.checked_sub(1) {
            Some(index) => Some(Place { index, ..place }),
            None => {
                let chunk = place.chunk.checked_sub(1)?;
                Some(Place { chunk, index: self.chunks[chunk].len() - 1 })
            }
        }
    }

    /// The last item whose id is this one or below it.
    #[inline]
    pub(super) fn floor(&self, id: Id) -> Option<Place> {
        let begins = |chunk: &VecDeque<T>| chunk.front().is_some_and(|first| first.id() <= id);
        let last = self.chunks.len().checked_sub(1)?;
        let chunk = match begins(&self.chunks[last]) {
            true => last,
            false => self.chunks.partition_point(begins).checked_sub(1)?,
        };
        let index = self.chunks[chunk].partition_point(|item| item.id() <= id) - 1;
        Some(Place { chunk, index })
    }

    /// Where the first item is whose id is this one or above it; there may be none.
    #[inline]
    pub(super) fn ceiling(&self, id: Id) -> Place {
        match self.floor(id) {
            None => self.first_place(),
            Some(place) if self.at(place).is_some_and(|item| item.id() == id) => place,
            Some(place) => self.behind(place),
        }
    }

    #[inline]
    fn place_of(&self, id: Id) -> Option<Place> {
        self.floor(id).filter(|&place| self.at(place).is_some_and(|item| item.id() == id))
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.at(self.place_of(id)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.at_mut(self.place_of(id)?)
    }

    /// Lets `change` work on the deque of a chunk, and counts its items and its room.
    #[inline]
    fn edit<R>(&mut self, chunk: usize, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let chunk = &mut self.chunks[chunk];
        let (len, room) = (chunk.len(), chunk.capacity());
        let result = change(chunk);
        self.len = self.len + chunk.len() - len;
        self.room = self.room + chunk.capacity() - room;
        result
    }

    fn insert_chunk(&mut self, at: usize, chunk: VecDeque<T>) {
        self.len += chunk.len();
        self.room += chunk.capacity();
        self.chunks.insert(at, chunk);
    }

    fn remove_chunk(&mut self, at: usize) -> VecDeque<T> {
        let chunk = self.chunks.remove(at).unwrap_or_default();
        self.len -= chunk.len();
        self.room -= chunk.capacity();
        if self.chunks.capacity() > CHUNK_ITEMS_MAX && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.capacity() / 2);
        }
        chunk
    }

    /// Adds an item; `false`: there is one with its id.
    #[inline]
    pub(super) fn insert(&mut self, item: T) -> bool {
        let id = item.id();
        if self.last().is_none_or(|last| last.id() < id) {
            self.push(item);
            return true;
        }
        self.insert_inside(id, item)
    }

    /// Adds an item behind all others.
    #[inline]
    fn push(&mut self, item: T) {
        match self.chunks.back() {
            Some(chunk) if chunk.len() < CHUNK_ITEMS_MAX => {
                let last = self.chunks.len() - 1;
                self.edit(last, |chunk| chunk.push_back(item));
            }
            _ => {
                // Where one chunk has become full, the next one will.
                let room = if self.chunks.is_empty() { 1 } else { CHUNK_ITEMS_MAX };
                let mut chunk = VecDeque::with_capacity(room);
                chunk.push_back(item);
                self.insert_chunk(self.chunks.len(), chunk);
            }
        }
    }

    fn insert_inside(&mut self, id: Id, item: T) -> bool {
        let Place { chunk, index } = match self.floor(id) {
            Some(place) if self.at(place).is_some_and(|item| item.id() == id) => return false,
            Some(place) => Place { index: place.index + 1, ..place },
            None => self.first_place(),
        };
        if self.chunks[chunk].len() < CHUNK_ITEMS_MAX {
            self.edit(chunk, |chunk| chunk.insert(index, item));
            return true;
        }
        const HALF: usize = CHUNK_ITEMS_MAX / 2;
        let behind = self.edit(chunk, |chunk| chunk.split_off(HALF));
        self.insert_chunk(chunk + 1, behind);
        if index <= HALF {
            self.edit(chunk, |chunk| chunk.insert(index, item));
        } else {
            self.edit(chunk + 1, |chunk| chunk.insert(index - HALF, item));
        }
        true
    }

    /// Takes the item with this id out.
    #[inline]
    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let place = self.place_of(id)?;
        self.remove_at(place)
    }

    pub(super) fn remove_at(&mut self, place: Place) -> Option<T> {
        let item = self.edit(place.chunk, |chunk| chunk.remove(place.index))?;
        if self.chunks[place.chunk].len() < CHUNK_ITEMS_MAX / 2 {
            self.settle(place.chunk);
        }
        Some(item)
    }

    /// A chunk has become small: it goes, or joins a neighbour if both are.
    fn settle(&mut self, at: usize) {
        if self.chunks[at].is_empty() {
            self.remove_chunk(at);
            return;
        }
        for first in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            let Some(second) = self.chunks.get(first + 1) else { continue };
            if self.chunks[first].len() + second.len() <= CHUNK_ITEMS_MAX / 2 {
                let mut second = self.remove_chunk(first + 1);
                self.edit(first, |chunk| chunk.append(&mut second));
                return;
            }
        }
    }

    /// Takes the items before a place out.
    pub(super) fn cut_before(&mut self, place: Place) -> Ordered<T> {
        let mut cut = Ordered::default();
        for _ in 0..place.chunk {
            let chunk = self.remove_chunk(0);
            cut.insert_chunk(cut.chunks.len(), chunk);
        }
        if place.index > 0 && !self.chunks.is_empty() {
            let chunk: VecDeque<T> = self.edit(0, |chunk| chunk.drain(..place.index).collect());
            cut.insert_chunk(cut.chunks.len(), chunk);
            self.settle(0);
        }
        cut
    }

    /// Frees about `budget` items, in whole chunks, having shown them to `last_look`; returns how many.
    pub(super) fn free_some(&mut self, budget: usize, mut last_look: impl FnMut(&T)) -> usize {
        let mut freed = 0;
        while freed < budget && !self.chunks.is_empty() {
            let chunk = self.remove_chunk(self.chunks.len() - 1);
            chunk.iter().for_each(&mut last_look);
            freed += chunk.len();
        }
        freed
    }

    /// The items from a place on.
    #[inline]
    pub(super) fn iter_from(&self, place: Place) -> impl Iterator<Item = &T> {
        let first = self.chunks.get(place.chunk).map(|chunk| chunk.range(place.index.min(chunk.len())..));
        let rest = self.chunks.iter().skip(place.chunk + 1);
        first.into_iter().flatten().chain(rest.flatten())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(self.first_place())
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert!(self.iter().map(T::id).is_sorted_by(|a, b| a < b));
        assert!(self.chunks.iter().all(|chunk| (1..=CHUNK_ITEMS_MAX).contains(&chunk.len())));
        assert_eq!(self.len, self.chunks.iter().map(VecDeque::len).sum());
        assert_eq!(self.room, self.chunks.iter().map(VecDeque::capacity).sum());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set_in_order() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        let (mut ordered, mut model) = (Ordered::<Id>::default(), BTreeSet::new());
        for step in 0..20_000 {
            let id = Id::new(random(60), random(2));
            // It grows for a while, then shrinks.
            if random(10) < if step / 1000 % 2 == 0 { 6 } else { 3 } {
                assert_eq!(ordered.insert(id), model.insert(id));
            } else {
                assert_eq!(ordered.remove(id).is_some(), model.remove(&id));
            }
            if random(300) == 0 {
                let cut = ordered.cut_before(ordered.ceiling(id));
                let kept = model.split_off(&id);
                assert!(cut.iter().eq(std::mem::replace(&mut model, kept).iter()));
                cut.check_invariants();
            }
            ordered.check_invariants();
            assert!(ordered.iter().eq(model.iter()), "step {step}");
            assert_eq!(ordered.get(id).copied(), model.get(&id).copied());
            assert!(ordered.iter_from(ordered.ceiling(id)).eq(model.range(id..)));
            let floor = ordered.floor(id).and_then(|place| ordered.at(place));
            assert_eq!(floor, model.range(..=id).next_back());
            let mut backward: Vec<Id> = Vec::new();
            let mut place = ordered.last_place();
            while let Some(last) = place {
                backward.extend(ordered.at(last));
                place = ordered.before(last);
            }
            assert!(backward.iter().eq(model.iter().rev()));
        }
        while ordered.free_some(1, |_| ()) > 0 {
            ordered.check_invariants();
        }
        assert_eq!(ordered.len(), 0);
    }
}
