//! The flags of `claims`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::options::EngineChoice;
use crate::servers::{CommandLine, ProcessorOptions};
use crate::tls::TlsOptions;

#[derive(Debug, Clone, Args)]
pub struct ClaimsOptions {
    /// The server: {port} in it is replaced, else --port N is added. A program without a folder is looked
    /// for beside this one, then in PATH. With --tls it has to be named, and says where TLS is spoken:
    /// 'redis-server --port 0 --tls-port {port} …'.
    #[arg(long, value_name = "COMMAND", value_parser = CommandLine::parse, default_value = "polder-server",
          required_if_eq("tls", "true"))]
    pub server: CommandLine,
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Only these claims.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Lists the claims and ends.
    #[arg(long)]
    pub list: bool,
    /// Fewer and shorter measurements, and a leaderboard of a million members at most.
    #[arg(long)]
    pub quick: bool,
    /// Round trip of the network that the claim 'pipeline' simulates, such as 1ms: a relay in this process
    /// holds back every byte for half of it in each direction. Where 'tc netem' may (root, sch_netem), it is
    /// measured with that, too, in a network of its own: nothing else on the machine is delayed.
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// Writes the verdicts and figures as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub processors: ProcessorOptions,
    /// How sockets are served in the generator.
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
}
