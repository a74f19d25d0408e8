//! Values as such, without their keys: looked at where they lie, or on their way.

use super::string_value::StringRef;
use crate::types::hash::View;
use crate::types::{List, Object, Set, SortedSet, Stream};

/// A look at a value, whatever it is and wherever it lies.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    String(StringRef<'a>),
    List(&'a List),
    Set(&'a Set),
    SortedSet(&'a SortedSet),
    Hash(View<'a>),
    Stream(&'a Stream),
}

impl<'a> From<&'a Object> for Value<'a> {
    fn from(object: &'a Object) -> Value<'a> {
        match object {
            Object::List(list) => Value::List(list),
            Object::Set(set) => Value::Set(set),
            Object::SortedSet(set) => Value::SortedSet(set),
            Object::Hash(hash) => Value::Hash(hash.view()),
            Object::Stream(stream) => Value::Stream(stream),
        }
    }
}
