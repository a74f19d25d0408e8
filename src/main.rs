//! `polder-server`: flags and configuration file in, a running server out.

use std::process::ExitCode;

use polder::runtime::allocator::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    polder::server::run(std::env::args_os().skip(1))
}
