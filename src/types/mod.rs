//! Pure data structures and number formats: they know nothing of keys, time or clients.

pub mod hash_index;
pub mod long_double;
pub mod score;
pub mod sorted_set;
