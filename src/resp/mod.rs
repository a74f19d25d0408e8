//! RESP2 and RESP3: what clients send ([`parse`], [`args`]) and what they get back ([`reply`]).

pub mod args;
pub mod number;
pub mod parse;
pub mod reply;
pub mod scan;

pub use args::{Args, Span};
pub use reply::Reply;
