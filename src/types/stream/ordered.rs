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

/// Some neighbouring items.
#[derive(Debug)]
struct Chunk<T> {
    /// No item is below it, and all in the chunks before are: what is searched need not be looked up elsewhere.
    from: Id,
    items: VecDeque<T>,
}

/// Items in the order of their ids, none of them twice. No chunk is empty between calls.
#[derive(Debug)]
pub(super) struct Ordered<T> {
    chunks: VecDeque<Chunk<T>>,
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
        let copy = |chunk: &Chunk<T>| Chunk { from: chunk.from, items: chunk.items.clone() };
        let chunks: VecDeque<Chunk<T>> = self.chunks.iter().map(copy).collect();
        let room = chunks.iter().map(|chunk| chunk.items.capacity()).sum();
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
        self.room * size_of::<T>() + self.chunks.capacity() * size_of::<Chunk<T>>()
    }

    #[inline]
    pub(super) fn last(&self) -> Option<&T> {
        self.chunks.back()?.items.back()
    }

    #[inline]
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.chunks.back_mut()?.items.back_mut()
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.front()?.items.front()
    }

    #[inline]
    pub(super) fn at(&self, place: Place) -> Option<&T> {
        self.chunks.get(place.chunk)?.items.get(place.index)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut T> {
        self.chunks.get_mut(place.chunk)?.items.get_mut(place.index)
    }

    #[inline]
    pub(super) fn first_place(&self) -> Place {
        Place { chunk: 0, index: 0 }
    }

    /// The last item, if there is one.
    pub(super) fn last_place(&self) -> Option<Place> {
        self.end_of(self.chunks.len().checked_sub(1)?)
    }

    /// The last item of a chunk.
    fn end_of(&self, chunk: usize) -> Option<Place> {
        let index = self.chunks.get(chunk)?.items.len().checked_sub(1)?;
        Some(Place { chunk, index })
    }

    /// The place behind this one, where there may be none.
    #[inline]
    pub(super) fn behind(&self, place: Place) -> Place {
        match self.chunks.get(place.chunk) {
            Some(chunk) if place.index + 1 < chunk.items.len() => Place { index: place.index + 1, ..place },
            _ => Place { chunk: place.chunk + 1, index: 0 },
        }
    }

    /// The place before this one, if there is one.
    pub(super) fn before(&self, place: Place) -> Option<Place> {
        match place.index.checked_sub(1) {
            Some(index) => Some(Place { index, ..place }),
            None => self.end_of(place.chunk.checked_sub(1)?),
        }
    }

    /// The chunk in which an item with this id would be, unless it came before all others.
    #[inline]
    fn chunk_of(&self, id: Id) -> Option<usize> {
        let last = self.chunks.len().checked_sub(1)?;
        if self.chunks[last].from <= id {
            return Some(last);
        }
        self.chunks.partition_point(|chunk| chunk.from <= id).checked_sub(1)
    }

    /// The last item whose id is this one or below it.
    #[inline]
    pub(super) fn floor(&self, id: Id) -> Option<Place> {
        let chunk = self.chunk_of(id)?;
        match self.chunks[chunk].items.partition_point(|item| item.id() <= id).checked_sub(1) {
            Some(index) => Some(Place { chunk, index }),
            None => self.end_of(chunk.checked_sub(1)?),
        }
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
        let chunk = self.chunk_of(id)?;
        let index = self.chunks[chunk].items.binary_search_by_key(&id, T::id).ok()?;
        Some(Place { chunk, index })
    }

    #[inline]
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.at(self.place_of(id)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.at_mut(self.place_of(id)?)
    }

    /// Lets `change` work on the items of a chunk, and counts them and their room.
    #[inline]
    fn edit<R>(&mut self, chunk: usize, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let items = &mut self.chunks[chunk].items;
        let (len, room) = (items.len(), items.capacity());
        let result = change(items);
        self.len = self.len + items.len() - len;
        self.room = self.room + items.capacity() - room;
        result
    }

    fn insert_chunk(&mut self, at: usize, items: VecDeque<T>) {
        let Some(first) = items.front() else { return };
        let from = first.id();
        self.len += items.len();
        self.room += items.capacity();
        self.chunks.insert(at, Chunk { from, items });
    }

    fn remove_chunk(&mut self, at: usize) -> VecDeque<T> {
        let items = self.chunks.remove(at).map(|chunk| chunk.items).unwrap_or_default();
        self.len -= items.len();
        self.room -= items.capacity();
        if self.chunks.capacity() > CHUNK_ITEMS_MAX && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.capacity() / 2);
        }
        items
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
            Some(chunk) if chunk.items.len() < CHUNK_ITEMS_MAX => {
                let last = self.chunks.len() - 1;
                self.edit(last, |items| items.push_back(item));
            }
            _ => {
                // Where one chunk has become full, the next one will.
                let room = if self.chunks.is_empty() { 1 } else { CHUNK_ITEMS_MAX };
                let mut items = VecDeque::with_capacity(room);
                items.push_back(item);
                self.insert_chunk(self.chunks.len(), items);
            }
        }
    }

    fn insert_inside(&mut self, id: Id, item: T) -> bool {
        let chunk = self.chunk_of(id).unwrap_or(0);
        let Err(index) = self.chunks[chunk].items.binary_search_by_key(&id, T::id) else { return false };
        // Only of the first chunk, which also takes what is below it.
        self.chunks[chunk].from = self.chunks[chunk].from.min(id);
        if self.chunks[chunk].items.len() < CHUNK_ITEMS_MAX {
            self.edit(chunk, |items| items.insert(index, item));
            return true;
        }
        const HALF: usize = CHUNK_ITEMS_MAX / 2;
        let behind = self.edit(chunk, |items| items.split_off(HALF));
        self.insert_chunk(chunk + 1, behind);
        if index <= HALF {
            self.edit(chunk, |items| items.insert(index, item));
        } else {
            self.edit(chunk + 1, |items| items.insert(index - HALF, item));
        }
        true
    }

    /// Takes the item with this id out.
    #[inline]
    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let place = self.place_of(id)?;
        self.remove_at(place)
    }

    #[inline]
    pub(super) fn remove_at(&mut self, place: Place) -> Option<T> {
        let item = self.edit(place.chunk, |items| items.remove(place.index))?;
        if self.chunks[place.chunk].items.len() < CHUNK_ITEMS_MAX / 2 {
            self.settle(place.chunk);
        }
        Some(item)
    }

    /// A chunk has become small: it goes, or joins a neighbour if both are.
    fn settle(&mut self, at: usize) {
        if self.chunks[at].items.is_empty() {
            self.remove_chunk(at);
            return;
        }
        for first in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            let Some(second) = self.chunks.get(first + 1) else { continue };
            if self.chunks[first].items.len() + second.items.len() <= CHUNK_ITEMS_MAX / 2 {
                let mut second = self.remove_chunk(first + 1);
                self.edit(first, |items| items.append(&mut second));
                return;
            }
        }
    }

    /// Takes the items before a place out.
    pub(super) fn cut_before(&mut self, place: Place) -> Ordered<T> {
        let mut cut = Ordered::default();
        for _ in 0..place.chunk {
            let items = self.remove_chunk(0);
            cut.insert_chunk(cut.chunks.len(), items);
        }
        if place.index > 0 && !self.chunks.is_empty() {
            let items: VecDeque<T> = self.edit(0, |items| items.drain(..place.index).collect());
            cut.insert_chunk(cut.chunks.len(), items);
            self.settle(0);
        }
        cut
    }

    /// Frees about `budget` items, in whole chunks, having shown them to `last_look`; returns how many.
    pub(super) fn free_some(&mut self, budget: usize, mut last_look: impl FnMut(&T)) -> usize {
        let mut freed = 0;
        while freed < budget && !self.chunks.is_empty() {
            let items = self.remove_chunk(self.chunks.len() - 1);
            items.iter().for_each(&mut last_look);
            freed += items.len();
        }
        freed
    }

    /// The items from a place on.
    #[inline]
    pub(super) fn iter_from(&self, place: Place) -> impl Iterator<Item = &T> {
        let first = self.chunks.get(place.chunk);
        let first = first.map(|chunk| chunk.items.range(place.index.min(chunk.items.len())..));
        let rest = self.chunks.iter().skip(place.chunk + 1);
        first.into_iter().flatten().chain(rest.flat_map(|chunk| &chunk.items))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(self.first_place())
    }

    /// Verifies what holds between calls.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        assert!(self.iter().map(T::id).is_sorted_by(|a, b| a < b));
        for (nth, chunk) in self.chunks.iter().enumerate() {
            assert!((1..=CHUNK_ITEMS_MAX).contains(&chunk.items.len()));
            assert!(chunk.from <= chunk.items[0].id());
            let before = nth.checked_sub(1).and_then(|before| self.chunks[before].items.back());
            assert!(before.is_none_or(|before| before.id() < chunk.from));
        }
        assert_eq!(self.len, self.chunks.iter().map(|chunk| chunk.items.len()).sum());
        assert_eq!(self.room, self.chunks.iter().map(|chunk| chunk.items.capacity()).sum());
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
