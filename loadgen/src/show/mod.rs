//! What people see of a load: while it runs, and when it is over.

pub mod live;
pub mod notes;
pub mod table;
pub mod watch;
