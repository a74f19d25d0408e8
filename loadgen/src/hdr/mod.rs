//! HdrHistograms outside of the process: in results, in interval logs, and merged from several machines.
//!
//! The formats are those of the HdrHistogram project, version 2 with deflate, so that its tools read what is
//! written here. All values are nanoseconds.

pub mod encoding;
pub mod log;
