//! Linearizability against a search over all orders: the histories of objects that work are accepted, and of
//! those that were changed exactly those that no order explains are refused.

use crate::keys::Random;
use crate::verify::history::NEVER;
use crate::verify::linearize::counter::{self, Counter};
use crate::verify::linearize::register::{self, Register};
use crate::verify::linearize::{Effort, Model, Step, Verdict, judge, judge_by_breadth};
use crate::verify::minimise::minimise;

/// Whether `a` has to come before `b`: by the clock, or because one client sent it earlier.
fn precedes<A>(steps: &[Step<A>], a: usize, b: usize) -> bool {
    steps[a].back < steps[b].call || (a < b && steps[a].client == steps[b].client && steps[a].certain)
}

/// Whether some order explains all replies.
fn has_an_order<M: Model>(model: &M, steps: &[Step<M::Action>], state: M::State, placed: u32) -> bool {
    let is_placed = |step: usize| placed & 1 << step != 0;
    let left = (0..steps.len()).filter(|&step| !is_placed(step));
    if left.clone().all(|step| !steps[step].certain) {
        return true;
    }
    left.clone().any(|next| {
        let too_early = left.clone().any(|other| steps[other].certain && precedes(steps, other, next));
        let too_late = (0..steps.len()).any(|other| is_placed(other) && precedes(steps, next, other));
        if too_early || too_late {
            return false;
        }
        let after = model.next(state, steps[next].action);
        after.is_some_and(|state| has_an_order(model, steps, state, placed | 1 << next))
    })
}

/// What histories are made of.
struct Shape {
    steps: u64,
    clients: u64,
    spread: u64,
    /// One step in so many loses its reply; 0: none.
    lost_one_in: u64,
    /// After so many values the first one is written again.
    values: i64,
}

impl Shape {
    fn random(random: &mut Random, steps_max: u64) -> Shape {
        Shape {
            steps: 1 + random.below(steps_max),
            clients: 1 + random.below(4),
            spread: 1 + random.below(60),
            lost_one_in: random.below(8),
            values: if random.below(4) == 0 { 3 } else { i64::MAX },
        }
    }
}

/// Steps that happened one after the other, each at a moment between its call and its back. `make` tells a
/// step's action, and what it does to the object; without a reply, it may do nothing.
fn serial<A: Copy>(
    random: &mut Random,
    shape: &Shape,
    is_read: impl Fn(A) -> bool,
    mut make: impl FnMut(&mut Random, bool) -> A,
) -> Vec<Step<A>> {
    let mut last: Vec<(u64, u64)> = vec![(0, 0); shape.clients as usize];
    let mut steps = Vec::new();
    for number in 0..shape.steps {
        let at = (number + 1) * 10;
        let client = random.below(shape.clients) as usize;
        let (last_call, last_back) = last[client];
        // Together with the one before, or after its reply.
        let together = last_back > at || (last_back > 0 && random.below(2) == 0);
        let call = if together { last_call } else { last_back + random.below(at - last_back) + 1 }.min(at);
        let back = at.max(last_back) + random.below(shape.spread);
        let lost = shape.lost_one_in > 0 && random.below(shape.lost_one_in) == 0;
        let action = make(random, lost);
        if lost && is_read(action) {
            continue;
        }
        // Some may have happened, but only until some time.
        let end = if random.below(3) == 0 { back } else { NEVER };
        let back = if lost { end } else { back };
        if !lost {
            last[client] = (call, back);
        }
        let client = client as u16;
        steps.push(Step { call, back, certain: !lost, client, action, number: number as u32 });
    }
    steps
}

fn register_steps(random: &mut Random, shape: &Shape) -> Vec<Step<register::Action>> {
    use register::Action::{Exchange, Read, ReadSome, Set, Take};
    let (mut state, mut value) = (None, 0);
    let values = shape.values;
    let kinds = 2 + random.below(5);
    serial(random, shape, is_register_read, |random, lost| {
        value = value % values + 1;
        let action = match random.below(kinds) {
            0 => Set(value),
            1 => Read(state),
            2 => Exchange(state, value),
            3 if state.is_some() => Take,
            4 if state.is_some() => ReadSome,
            5 if state.is_none() => Exchange(None, value),
            _ => Read(state),
        };
        if !lost || random.below(2) == 0 {
            state = if action == Take { None } else { action.written().or(state) };
        }
        action
    })
}

fn is_register_read(action: register::Action) -> bool {
    matches!(action, register::Action::Read(_) | register::Action::ReadSome)
}

fn counter_steps(random: &mut Random, shape: &Shape) -> Vec<Step<counter::Action>> {
    use counter::Action::{Add, Read};
    let mut state = 0;
    let negative = random.below(2) as i64;
    serial(random, shape, is_counter_read, |random, lost| {
        let amount = 1 + random.below(3) as i64 - 3 * negative * random.below(2) as i64;
        if random.below(3) == 0 {
            return Read(state);
        }
        let after = state + amount;
        if !lost || random.below(2) == 0 {
            state = after;
        }
        Add(amount, (!lost).then_some(after))
    })
}

fn is_counter_read(action: counter::Action) -> bool {
    matches!(action, counter::Action::Read(_))
}

/// Changes a time, or what `change_reply` changes.
fn change<A>(random: &mut Random, steps: &mut [Step<A>], change_reply: impl Fn(&mut Random, &mut A)) {
    if steps.is_empty() {
        return;
    }
    let place = random.below(steps.len() as u64) as usize;
    if random.below(3) > 0 {
        return change_reply(random, &mut steps[place].action);
    }
    // A client's calls and backs stay in their order, or it would not be one connection.
    let (before, rest) = steps.split_at_mut(place);
    let Some((step, after)) = rest.split_first_mut() else { return };
    let client = step.client;
    let own = |other: &&Step<A>| other.client == client && other.certain;
    let earliest = before.iter().rfind(own).map_or(0, |other| other.call);
    let latest = after.iter().find(own).map_or(step.call + 60, |other| other.back.min(step.call + 60));
    if random.below(2) == 0 && step.back != NEVER && latest > step.call {
        let first = before.iter().rfind(own).map_or(0, |other| other.back).max(step.call);
        step.back = first + random.below(latest.saturating_sub(first).max(1));
    } else if step.certain {
        step.call = earliest + random.below((step.call - earliest).max(1));
    }
}

fn change_register(random: &mut Random, action: &mut register::Action) {
    let value = Some(random.below(8) as i64).filter(|value| *value > 0);
    match action {
        register::Action::Read(seen) | register::Action::Exchange(seen, _) => *seen = value,
        _ => {}
    }
}

fn change_counter(random: &mut Random, action: &mut counter::Action) {
    match action {
        counter::Action::Read(value) | counter::Action::Add(_, Some(value)) => {
            *value += random.below(3) as i64 - 1;
        }
        counter::Action::Add(..) => {}
    }
}

/// Tells how many of the changed histories were wrong.
fn compare<M: Model>(
    name: &str,
    rounds: u64,
    make: impl Fn(&mut Random, &Shape) -> Vec<Step<M::Action>>,
    change_reply: impl Fn(&mut Random, &mut M::Action) + Copy,
    model: impl Fn(&[Step<M::Action>]) -> M,
) {
    let mut wrong = 0;
    for seed in 0..rounds {
        let mut random = Random::new(seed, 0);
        let shape = Shape::random(&mut random, 9);
        let mut steps = make(&mut random, &shape);
        assert_eq!(
            judge(model(&steps), &steps, Effort::Full),
            Verdict::Fits,
            "{name}, seed {seed}: {steps:#?}"
        );
        for _ in 0..1 + random.below(3) {
            change(&mut random, &mut steps, change_reply);
        }
        let start = model(&steps).start();
        let right = has_an_order(&model(&steps), &steps, start, 0);
        let accepted = judge(model(&steps), &steps, Effort::Full) == Verdict::Fits;
        assert_eq!(accepted, right, "{name}, seed {seed}: {steps:#?}");
        let accepted = judge_by_breadth(model(&steps), &steps) == Verdict::Fits;
        assert_eq!(accepted, right, "{name}, breadth first, seed {seed}: {steps:#?}");
        wrong += u64::from(!right);
    }
    assert!(wrong > rounds / 10 && wrong < rounds, "{name}: {wrong} of {rounds} are wrong");
}

#[test]
fn registers_are_judged_as_a_search_over_all_orders_does() {
    compare("register", 20_000, register_steps, change_register, Register::new);
}

#[test]
fn counters_are_judged_as_a_search_over_all_orders_does() {
    compare("counter", 10_000, counter_steps, change_counter, |_| Counter);
}

#[test]
fn long_histories_of_objects_that_work_are_accepted() {
    for seed in 0..10 {
        let mut random = Random::new(seed, 1);
        let clients = 1 + random.below(12);
        let shape = Shape { steps: 1_000, clients, spread: 10 * clients, lost_one_in: 100, values: i64::MAX };
        let steps = register_steps(&mut random, &shape);
        assert_eq!(
            judge(Register::new(&steps), &steps, Effort::Full),
            Verdict::Fits,
            "register, seed {seed}"
        );
        let steps = counter_steps(&mut random, &shape);
        assert_eq!(judge(Counter, &steps, Effort::Full), Verdict::Fits, "counter, seed {seed}");
    }
}

/// A single read in a long history is made stale; what is left of it shows that, is wrong by itself, and not
/// without any of its steps.
#[test]
fn what_is_left_of_a_wrong_history_is_small() {
    let mut sizes = Vec::new();
    for seed in 0..15 {
        let mut random = Random::new(seed, 2);
        let shape = Shape { steps: 400, clients: 6, spread: 40, lost_one_in: 20, values: i64::MAX };
        let mut steps = register_steps(&mut random, &shape);
        let old = steps.iter().take(100).find_map(|step| match step.action {
            register::Action::Set(value) if step.certain => Some(value),
            _ => None,
        });
        let Some(read) = steps.iter_mut().skip(200).find(|step| is_register_read(step.action)) else {
            continue;
        };
        read.action = register::Action::Read(old);
        let is_refused = |steps: &[Step<register::Action>]| {
            judge(Register::new(steps), steps, Effort::Full) == Verdict::Refused
        };
        if !is_refused(&steps) {
            continue;
        }
        let smaller = minimise(&steps, is_register_read, is_refused);
        let smallest: Vec<_> = smaller.positions.iter().map(|&position| steps[position]).collect();
        assert!(is_refused(&smallest), "seed {seed}: {smallest:#?}");
        sizes.push(smallest.len());
    }
    assert!(sizes.len() > 10, "{sizes:?}");
    sizes.sort_unstable();
    assert!(sizes[sizes.len() / 2] <= 3, "{sizes:?}");
}
