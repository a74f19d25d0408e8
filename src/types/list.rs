//! A list: a sequence of byte strings, open at both ends.

use std::collections::VecDeque;

use super::{Collection, Encoding, Kind, Object};

/// A sequence of byte strings.
#[derive(Clone, Debug, Default)]
pub struct List {
    elements: VecDeque<Box<[u8]>>,
    /// Bytes of all elements.
    element_bytes: usize,
}

impl List {
    pub fn new() -> List {
        List::default()
    }

    pub fn len(&self) -> usize {
        self.elements.len()
    }

    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    pub fn push_front(&mut self, element: &[u8]) {
        self.element_bytes += element.len();
        self.elements.push_front(element.into());
    }

    pub fn push_back(&mut self, element: &[u8]) {
        self.element_bytes += element.len();
        self.elements.push_back(element.into());
    }

    pub fn pop_front(&mut self) -> Option<Box<[u8]>> {
        let element = self.elements.pop_front()?;
        self.element_bytes -= element.len();
        Some(element)
    }

    pub fn pop_back(&mut self) -> Option<Box<[u8]>> {
        let element = self.elements.pop_back()?;
        self.element_bytes -= element.len();
        Some(element)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.elements.iter().map(|element| &**element)
    }
}

impl Collection for List {
    const KIND: Kind = Kind::List;

    fn into_object(self) -> Object {
        Object::List(self)
    }

    fn of(object: &Object) -> Option<&List> {
        match object {
            Object::List(list) => Some(list),
            _ => None,
        }
    }

    fn of_mut(object: &mut Object) -> Option<&mut List> {
        match object {
            Object::List(list) => Some(list),
            _ => None,
        }
    }

    fn encoding(&self) -> Encoding {
        Encoding::Quicklist
    }

    fn heap_bytes(&self) -> usize {
        self.elements.capacity() * size_of::<Box<[u8]>>() + self.element_bytes
    }

    fn parts(&self) -> usize {
        self.elements.len()
    }

    fn free_some(&mut self, budget: usize) -> usize {
        let freed = budget.min(self.elements.len());
        (0..freed).for_each(|_| drop(self.pop_back()));
        freed
    }

    fn removes_key(&self) -> bool {
        self.elements.is_empty()
    }
}
