//! GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its kin.
//!
//! ```text
//!   one shard owns all keys     search, answer or store                            whole
//!   two do                      search where the source lives             hop 1    fetch
//!                               store where the destination lives         hop 2    store_elements
//! ```

use super::super::sorted_sets::{Flat, set_of, write_stored};
use super::super::{Command, Data, Run, Target};
use super::geo;
use super::places::{write_distance, write_point};
use super::request::{Form, Request};
use crate::error::CommandError;
use crate::resp::Reply;
use crate::transaction::{Plan, Work};
use crate::types::SortedSet;
use crate::types::geo::{self as places, Found, Point};

/// The record of a command: `FORM` is a constant, which the functions close over.
macro_rules! command {
    ($name:expr, $arity:expr, $form:expr) => {{
        const FORM: Form = $form;
        geo(
            $name,
            $arity,
            Run::Hops {
                whole: |data| whole(data, FORM),
                steps: &[|data| fetch(data, FORM), |data| store_elements(data, FORM)],
                plan: |plan| plan_hop(plan, FORM),
            },
        )
    }};
}

pub(super) const GEOSEARCH: Command = command!("geosearch", -7, Form::Search);
pub(super) const GEOSEARCHSTORE: Command = command!("geosearchstore", -8, Form::SearchStore);
pub(super) const GEORADIUS: Command = command!("georadius", -6, Form::Radius { member: false, stores: true });
pub(super) const GEORADIUS_RO: Command =
    command!("georadius_ro", -6, Form::Radius { member: false, stores: false });
pub(super) const GEORADIUSBYMEMBER: Command =
    command!("georadiusbymember", -5, Form::Radius { member: true, stores: true });
pub(super) const GEORADIUSBYMEMBER_RO: Command =
    command!("georadiusbymember_ro", -5, Form::Radius { member: true, stores: false });

/// Searches, and hands what was found to `take`, which may answer; nothing if the source is missing.
fn with_found<T>(
    data: &mut Data<'_>,
    form: Form,
    take: impl FnOnce(&Request, Vec<Found<'_>>, &mut Reply<'_>) -> T,
) -> Result<T, CommandError> {
    let Target { database, key, args, reply } = data.target(form.source());
    let set = database.find::<SortedSet>(&key)?;
    let request = Request::parse(args, form, set)?;
    let mut found = set.map(|set| places::search(set, &request.area, request.limit)).unwrap_or_default();
    places::arrange(&mut found, request.order, request.count);
    Ok(take(&request, found, reply))
}

/// One shard owns all keys.
fn whole(data: &mut Data<'_>, form: Form) -> Result<(), CommandError> {
    let Some(destination) = form.destination(&data.args) else {
        return with_found(data, form, answer);
    };
    let elements = with_found(data, form, |request, found, _| elements_of(request, &found))?;
    store(data, destination, elements, form);
    Ok(())
}

fn answer(request: &Request, found: Vec<Found<'_>>, reply: &mut Reply<'_>) {
    let more = [request.with_distance, request.with_hash, request.with_point];
    let more = more.into_iter().filter(|&wanted| wanted).count();
    reply.array(found.len());
    for found in found {
        if more > 0 {
            reply.array(1 + more);
        }
        reply.bulk(found.member);
        if request.with_distance {
            write_distance(found.distance / request.area.unit_meters, reply);
        }
        if request.with_hash {
            reply.integer(found.score as i64);
        }
        if request.with_point {
            write_point(Point::of_score(found.score), reply);
        }
    }
}

/// What is to be stored: the members with their scores, or with their distances in the client's unit.
fn elements_of(request: &Request, found: &[Found<'_>]) -> Flat {
    let score = |found: &Found<'_>| match request.store_distance {
        true => found.distance / request.area.unit_meters,
        false => found.score,
    };
    found.iter().map(|found| (found.member, score(found))).collect()
}

/// Stores elements under the key at argument `index`, whatever was there before, and answers how many.
fn store(data: &mut Data<'_>, index: usize, elements: Flat, form: Form) {
    let set = set_of(elements.iter(), data.keyspace.limits.sorted_set);
    let count = elements.iter().count();
    let target = data.target(index);
    let event = match form {
        Form::Radius { .. } => "georadiusstore",
        Form::Search | Form::SearchStore => "geosearchstore",
    };
    target.database.set_collection(&target.key, set, event);
    target.reply.integer(count as i64);
}

/// Hands on what is to be stored.
fn fetch(data: &mut Data<'_>, form: Form) -> Result<(), CommandError> {
    let elements = with_found(data, form, |request, found, _| elements_of(request, &found))?;
    data.reply.null();
    data.moved = Some(elements.into_moved());
    Ok(())
}

/// Stores what was handed on under argument 1.
fn store_elements(data: &mut Data<'_>, form: Form) -> Result<(), CommandError> {
    let elements = Flat::of_moved(data.moved.take());
    store(data, 1, elements, form);
    Ok(())
}

fn plan_hop(plan: &mut Plan<'_>, form: Form) -> Result<(), CommandError> {
    if plan.reply_error() {
        return Ok(());
    }
    match plan.hop {
        0 => plan.push(plan.shard_of(form.source()), 0),
        1 => {
            let destination = form.destination(&plan.args).ok_or(CommandError::Syntax)?;
            let args = [0, destination].map(|index| plan.args.get(index).to_vec()).to_vec();
            let moved = plan.results.first_mut().and_then(|result| result.moved.take());
            plan.work.push(Work { shard: plan.shard_of(destination), step: 1, args, moved });
        }
        _ => write_stored(plan),
    }
    Ok(())
}
