//! The judges are judged.

mod against_search;
mod faults;
