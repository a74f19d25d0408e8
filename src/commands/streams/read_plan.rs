//! XREAD and XREADGROUP on streams of several shards.
//!
//! ```text
//!   hop 1   each shard checks its keys: after which id each is read, or what is wrong with it
//!   hop 2   each shard answers for its keys: after which id, and the entries or null
//! ```
//!
//! Every hop runs under the locks of all keys. What the shards get is the command with their keys alone.

use super::read::{After, Request, check, serve, waiting_args};
use super::write_id;
use crate::commands::{Data, DataFunction};
use crate::error::CommandError;
use crate::resp::scan;
use crate::transaction::{Plan, StepResult, Work};

pub(super) const XREAD_STEPS: &[DataFunction] =
    &[check_xread, serve_xread, check_xread_again, serve_xread_again];
pub(super) const XREADGROUP_STEPS: &[DataFunction] =
    &[check_xreadgroup, serve_xreadgroup, check_xreadgroup, serve_xreadgroup];
/// From here on the steps for a client that has waited.
const STEPS_AGAIN: usize = 2;

fn check_all(data: &mut Data<'_>, as_group: bool) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, as_group)?;
    data.reply.array(request.streams);
    for stream in 0..request.streams {
        match check(data, &request, stream) {
            Ok(After::Id(id)) => write_id(&mut data.reply, id),
            Ok(After::Group) => data.reply.bulk(b">"),
            Err(error) => data.reply.error(&error),
        }
    }
    Ok(())
}

fn serve_all(data: &mut Data<'_>, as_group: bool) -> Result<(), CommandError> {
    let request = Request::parse(&data.args, as_group)?;
    data.reply.array(request.streams);
    for stream in 0..request.streams {
        let after = check(data, &request, stream)?;
        data.reply.array(2);
        data.reply.bulk(data.args.get(request.id(stream)));
        if !serve(data, &request, stream, after, false)? {
            data.reply.null();
        }
    }
    Ok(())
}

fn check_xread(data: &mut Data<'_>) -> Result<(), CommandError> {
    check_all(data, false)
}

fn serve_xread(data: &mut Data<'_>) -> Result<(), CommandError> {
    serve_all(data, false)
}

fn check_xread_again(data: &mut Data<'_>) -> Result<(), CommandError> {
    data.has_waited = true;
    check_all(data, false)
}

fn serve_xread_again(data: &mut Data<'_>) -> Result<(), CommandError> {
    data.has_waited = true;
    serve_all(data, false)
}

fn check_xreadgroup(data: &mut Data<'_>) -> Result<(), CommandError> {
    check_all(data, true)
}

fn serve_xreadgroup(data: &mut Data<'_>) -> Result<(), CommandError> {
    serve_all(data, true)
}

/// Has every shard do a step with its own keys and their ids.
fn push_work(plan: &mut Plan<'_>, request: &Request, step: usize, id_of: impl Fn(usize) -> Vec<u8>) {
    let step = if plan.again { step + STEPS_AGAIN } else { step };
    for shard in 0..plan.route.shards() {
        let own = || (0..request.streams).filter(|&stream| plan.shard_of(request.key(stream)) == shard);
        if own().next().is_none() {
            continue;
        }
        let mut args: Vec<Vec<u8>> = (0..request.keys).map(|index| plan.args.get(index).to_vec()).collect();
        args.extend(own().map(|stream| plan.args.get(request.key(stream)).to_vec()));
        args.extend(own().map(&id_of));
        plan.work.push(Work { shard, step, args, moved: None });
    }
}

/// What the shards answered for each key, in the order of the keys; `None` if an answer is not whole.
fn answers<'r>(plan: &Plan<'_>, request: &Request, results: &'r [StepResult]) -> Option<Vec<&'r [u8]>> {
    let mut positions = Vec::with_capacity(results.len());
    for result in results {
        positions.push(scan::header(&result.reply, 0)?.2);
    }
    let mut answers = Vec::with_capacity(request.streams);
    for stream in 0..request.streams {
        let shard = plan.shard_of(request.key(stream));
        let part = results.iter().position(|result| result.shard == shard)?;
        let (reply, position) = (&results[part].reply, &mut positions[part]);
        let end = scan::end_of_reply(reply, *position)?;
        answers.push(&reply[*position..end]);
        *position = end;
    }
    Some(answers)
}

/// The text of a bulk string.
fn bulk(reply: &[u8]) -> Option<&[u8]> {
    let (_, length, start) = scan::header(reply, 0)?;
    reply.get(start..start + usize::try_from(length).ok()?)
}

/// Of an answer with two elements, the text of the first and the second as it is.
fn pair(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = scan::header(answer, 0)?.2;
    let end = scan::end_of_reply(answer, start)?;
    Some((bulk(&answer[start..end])?, &answer[end..]))
}

fn plan_read(plan: &mut Plan<'_>, as_group: bool) -> Result<(), CommandError> {
    let request = Request::parse(&plan.args, as_group)?;
    if plan.hop == 0 {
        let ids: Vec<Vec<u8>> =
            (0..request.streams).map(|stream| plan.args.get(request.id(stream)).to_vec()).collect();
        push_work(plan, &request, 0, |stream| ids[stream].clone());
        return Ok(());
    }
    if plan.reply_error() {
        return Ok(());
    }
    let results = std::mem::take(&mut plan.results);
    // Shards answer with whole replies.
    let answers = answers(plan, &request, &results).ok_or(CommandError::Syntax)?;
    if plan.hop == 1 {
        if let Some(error) = answers.iter().find(|answer| answer.first() == Some(&b'-')) {
            plan.reply.encoded(error);
            return Ok(());
        }
        push_work(plan, &request, 1, |stream| bulk(answers[stream]).unwrap_or_default().to_vec());
        return Ok(());
    }
    let pairs: Vec<(&[u8], &[u8])> = answers.iter().filter_map(|answer| pair(answer)).collect();
    let has_entries = |(_, entries): &(&[u8], &[u8])| entries.first() == Some(&b'*');
    let served = pairs.iter().filter(|pair| has_entries(pair)).count();
    if served == 0 {
        plan.reply.null_array();
        plan.park = request.timeout_ms;
        plan.waits_as = waiting_args(&plan.args, &request, |stream| Some(pairs.get(stream)?.0.to_vec()));
        return Ok(());
    }
    plan.reply.pairs(served);
    for (stream, pair) in pairs.iter().enumerate().filter(|(_, pair)| has_entries(pair)) {
        if !plan.reply.is_resp3() {
            plan.reply.array(2);
        }
        plan.reply.bulk(plan.args.get(request.key(stream)));
        plan.reply.encoded(pair.1);
    }
    Ok(())
}

pub(super) fn xread_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    plan_read(plan, false)
}

pub(super) fn xreadgroup_plan(plan: &mut Plan<'_>) -> Result<(), CommandError> {
    plan_read(plan, true)
}
