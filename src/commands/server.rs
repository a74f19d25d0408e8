//! Commands about the process: its time, its end, its art.

use super::{Command, Group, Here, HereFunction, Run, flag};
use crate::config::REDIS_VERSION;
use crate::error::CommandError;
use crate::resp::Args;
use crate::resp::number::parse_integer;
use crate::runtime::clock;

const fn record(name: &'static str, arity: i16, function: HereFunction) -> Command {
    Command::new(name, arity, Run::Here(function)).group(Group::Server)
}

pub const COMMANDS: &[Command] = &[
    record("time", 1, time).since("2.6.0").flags(flag::LOADING | flag::STALE | flag::FAST).docs(
        "Returns the server's time: seconds since 1970 and microseconds.",
        "O(1)",
        "",
    ),
    record("lolwut", -1, lolwut).since("5.0.0").flags(flag::READONLY | flag::FAST).docs(
        "Shows a piece of generated art and the version.",
        "O(N) where N is the number of columns",
        "[VERSION version(integer)] [columns(integer)]",
    ),
    record("shutdown", -1, shutdown)
        .flags(
            flag::ADMIN
                | flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::NO_MULTI
                | flag::SENTINEL
                | flag::ALLOW_BUSY,
        )
        .docs(
            "Ends the server.",
            "O(1) as long as nothing is saved",
            "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        ),
];

fn time(here: &mut Here<'_>) -> Result<(), CommandError> {
    let now_us = clock::unix_us();
    here.reply.array(2);
    here.reply.bulk_integer(now_us / 1_000_000);
    here.reply.bulk_integer(now_us % 1_000_000);
    Ok(())
}

/// What SHUTDOWN is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    End,
    Abort,
}

fn parse_shutdown(args: &Args<'_>) -> Result<Shutdown, CommandError> {
    let (mut save, mut nosave, mut other, mut abort) = (false, false, false, false);
    for index in 1..args.len() {
        if args.is(index, "SAVE") {
            save = true;
        } else if args.is(index, "NOSAVE") {
            nosave = true;
        } else if args.is(index, "NOW") || args.is(index, "FORCE") {
            other = true;
        } else if args.is(index, "ABORT") {
            abort = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if (save && nosave) || (abort && (save || nosave || other)) {
        return Err(CommandError::Syntax);
    }
    Ok(if abort { Shutdown::Abort } else { Shutdown::End })
}

/// Nothing is kept on disk, so there is nothing to save and nobody to wait for: the end comes at once,
/// and without a reply.
fn shutdown(here: &mut Here<'_>) -> Result<(), CommandError> {
    if parse_shutdown(&here.args)? == Shutdown::Abort {
        return Err(CommandError::text("ERR No shutdown in progress."));
    }
    crate::log!(Warning, "User requested shutdown...");
    here.session().closing = true;
    here.shard.node.stop();
    Ok(())
}

/// The narrowest and the widest picture, in columns.
const COLUMNS: (i64, i64) = (16, 160);

fn lolwut(here: &mut Here<'_>) -> Result<(), CommandError> {
    let mut first = 1;
    if here.args.len() >= 3 && here.args.is(1, "VERSION") {
        here.args.integer(2)?;
        first = 3;
    }
    let columns = match here.args.len() > first {
        true => parse_integer(here.args.get(first)).ok_or(CommandError::NotInteger)?,
        false => 64,
    };
    let seed = clock::unix_us() as u64;
    let mut text = landscape(columns.clamp(COLUMNS.0, COLUMNS.1) as usize, seed);
    text.push_str(&format!(
        "\nPolder ver. {}, compatible with Redis ver. {REDIS_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    ));
    here.reply.verbatim("txt", text.as_bytes());
    Ok(())
}

/// Low land seen from above a dyke: sky, mills, water behind the dyke, and fields with their ditches.
fn landscape(columns: usize, seed: u64) -> String {
    let mut state = seed | 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut rows = vec![vec!['.'; columns]; 2];
    for row in &mut rows {
        row.fill(' ');
        (0..columns / 12).for_each(|_| row[random(columns as u64) as usize] = 'v');
    }
    let (mut sails, mut mill) = (vec![' '; columns], vec![' '; columns]);
    for place in (4..columns - 4).step_by(12) {
        let place = place + random(5) as usize;
        sails[place] = 'X';
        mill[place] = 'A';
    }
    let water = (0..columns).map(|_| if random(4) == 0 { '-' } else { '~' }).collect();
    rows.extend([sails, mill, water, vec!['='; columns]]);
    let ditches: Vec<usize> = {
        let mut at = random(6) as usize;
        std::iter::from_fn(|| {
            at += 5 + random(9) as usize;
            (at < columns).then_some(at)
        })
        .collect()
    };
    let crops: Vec<char> =
        (0..=ditches.len()).map(|_| ['"', ',', '.', ';', ':'][random(5) as usize]).collect();
    for _ in 0..4 {
        let field = |column: usize| ditches.iter().take_while(|&&ditch| ditch <= column).count();
        rows.push(
            (0..columns).map(|at| if ditches.contains(&at) { '|' } else { crops[field(at)] }).collect(),
        );
    }
    rows.into_iter().map(|row| row.into_iter().collect::<String>().trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::with_args;

    #[test]
    fn shutdown_options_exclude_each_other() {
        let parse = |line: &str| with_args(line, |args| parse_shutdown(&args));
        for line in ["shutdown", "SHUTDOWN nosave now force", "shutdown save", "shutdown force"] {
            assert_eq!(parse(line), Ok(Shutdown::End), "{line}");
        }
        assert_eq!(parse("shutdown abort"), Ok(Shutdown::Abort));
        for line in ["shutdown save nosave", "shutdown abort now", "shutdown abort save", "shutdown x"] {
            assert_eq!(parse(line), Err(CommandError::Syntax), "{line}");
        }
    }

    #[test]
    fn landscapes_fit_their_columns() {
        for (columns, seed) in [(16, 1), (64, 2), (160, u64::MAX), (17, 0)] {
            let text = landscape(columns, seed);
            assert_eq!(text.lines().count(), 10);
            assert!(text.lines().all(|line| line.len() <= columns), "{text}");
        }
    }
}
