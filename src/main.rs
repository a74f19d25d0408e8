//! `polder-server`: flags and configuration file in, a running server out.

fn main() {}
