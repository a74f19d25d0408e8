//! Data outside of the tables: how values are written down.

pub mod rdb;
