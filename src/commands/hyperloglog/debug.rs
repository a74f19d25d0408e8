//! PFDEBUG and PFSELFTEST.

use super::super::{Data, Here, Target};
use super::{refusal, view_of};
use crate::error::CommandError;
use crate::runtime::clock;
use crate::types::hyperloglog::{self, Encoding, Failure, Opcode, REGISTERS, View};

pub(super) fn pfdebug(data: &mut Data<'_>) -> Result<(), CommandError> {
    let Target { database, key, args, reply } = data.target(2);
    let entry = database.find_write(&key);
    let view = view_of(&entry.ok_or(CommandError::text("ERR The specified key does not exist"))?)?;
    match () {
        _ if args.is(1, "ENCODING") => reply.status(match view.encoding() {
            Encoding::Dense => "dense",
            Encoding::Sparse => "sparse",
        }),
        _ if args.is(1, "DECODE") => {
            if view.encoding() == Encoding::Dense {
                return Err(CommandError::text("ERR HLL encoding is not sparse"));
            }
            let words = view.opcodes().map(|opcode| match opcode {
                Opcode::Zeros(run) => format!("z:{run}"),
                Opcode::ManyZeros(run) => format!("Z:{run}"),
                Opcode::Value { level, run } => format!("v:{level},{run}"),
            });
            reply.bulk(words.collect::<Vec<String>>().join(" ").as_bytes());
        }
        _ if args.is(1, "TODENSE") => {
            let changed = make_dense(data)?;
            data.reply.integer(changed as i64);
        }
        _ if args.is(1, "GETREG") => {
            make_dense(data)?;
            let target = data.target(2);
            let Some(entry) = target.database.find_write(&target.key) else { return Ok(()) };
            let mut registers = [0; REGISTERS];
            view_of(&entry)?.merge_into(&mut registers).map_err(refusal)?;
            target.reply.array(REGISTERS);
            registers.iter().for_each(|&register| target.reply.integer(register as i64));
        }
        _ => {
            let name = String::from_utf8_lossy(args.get(1));
            return Err(CommandError::text(format!("ERR Unknown PFDEBUG subcommand '{name}'")));
        }
    }
    Ok(())
}

/// Makes the HyperLogLog under argument 2 dense; says whether it was sparse.
fn make_dense(data: &mut Data<'_>) -> Result<bool, CommandError> {
    let target = data.target(2);
    let Some(mut string) = target.database.string_mut(&target.key) else { return Ok(false) };
    View::of(string.bytes()).map_err(refusal)?;
    hyperloglog::make_dense(&mut string).map_err(refusal)
}

pub(super) fn pfselftest(here: &mut Here<'_>) -> Result<(), CommandError> {
    let sparse_bytes_max = here.shard.keyspace.limits.hyperloglog_sparse_bytes;
    let failure = match hyperloglog::self_test(clock::unix_us() as u64, sparse_bytes_max) {
        Ok(()) => {
            here.reply.ok();
            return Ok(());
        }
        Err(failure) => failure,
    };
    Err(CommandError::text(match failure {
        Failure::Register { register, expected, found } => {
            format!("ERR TESTFAILED Register {register} should be {expected} but is {found}")
        }
        Failure::NotSparse => "ERR TESTFAILED sparse encoding not used".to_owned(),
        Failure::FormsDisagree => "ERR TESTFAILED dense/sparse disagree".to_owned(),
        Failure::TooFarOff { elements, error } => {
            format!("ERR TESTFAILED Too big error. card:{elements} abserr:{error}")
        }
    }))
}
