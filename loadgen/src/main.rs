//! `polder-loadgen`: a load generator for RESP servers.

fn main() {}
