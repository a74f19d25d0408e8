//! Everything that talks to the operating system: the only module that names glommio.
//!
//! An [`engine`] moves bytes between sockets and the data plane; [`executor`] pins a glommio executor to
//! a core and runs one engine loop in it; [`ring`] and [`bell`] carry messages between cores.

pub mod allocator;
pub mod bell;
pub mod clock;
pub mod engine;
pub mod epoll;
pub mod executor;
pub mod latch;
pub mod log;
pub mod process;
pub mod ring;
pub mod simulated;
pub mod socket;
pub mod uring;
