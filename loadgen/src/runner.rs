//! From the options to the runs: what is measured, one after the other.
//!
//! ```text
//!   prepare: limits, nodes, keys ─► each test or the profile ─► each step of a sweep ─► whoever takes the runs
//! ```

use std::sync::Arc;

use polder::runtime::process;
use polder::runtime::uring::UringEngine;

use crate::error::Failure;
use crate::interrupt::Caught;
use crate::measure::{Subject, connect};
use crate::options::{EngineChoice, LoadOptions};
use crate::origin;
use crate::outcome::{self, NOT_AVAILABLE};
use crate::preload;
use crate::profile::{self, fill};
use crate::report::{Audience, Kept, Reporter};
use crate::result::Run;
use crate::sweep::Sweep;
use crate::tally::Observer;
use crate::topology::Topology;
use crate::workload::Workload;

/// Descriptors that the process needs besides its connections.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Runs what the command line asks for and reports it.
pub fn run(options: &LoadOptions) -> Result<(), Failure> {
    let topology = prepare(options)?;
    let mut reporter = Reporter::begin(options, server_name(options, &topology))?;
    let outcome = follow(options, &topology, &mut reporter);
    let kept = reporter.end();
    outcome.and(kept)
}

/// The results of what the command line asks for, for who does not want them shown.
pub fn runs(options: &LoadOptions) -> Result<Vec<Run>, Failure> {
    let topology = prepare(options)?;
    let mut kept = Kept::default();
    match follow(options, &topology, &mut kept) {
        Err(failure) if kept.runs.is_empty() => Err(failure),
        _ => Ok(kept.runs),
    }
}

/// Runs each test or the profile, with each step of a sweep; after one that ended early there is none.
pub fn follow(
    options: &LoadOptions,
    topology: &Topology,
    audience: &mut dyn Audience,
) -> Result<(), Failure> {
    let engine = choose_engine(options.engine)?;
    let steps = match &options.sweep {
        Some(sweep) => sweep.steps(options),
        None => vec![(String::new(), options.clone())],
    };
    let mut outcome = Ok(());
    let loads = loads(options, topology)?;
    let _caught = audience.is_shown().then(Caught::begin);
    for load in &loads {
        for (suffix, options) in &steps {
            let run = measure_load(load, suffix, options, engine, topology, audience.observer())?;
            outcome = outcome.and(outcome::verdict(&run));
            let is_over = run.failure.is_some();
            audience.take(run);
            if is_over {
                return outcome;
            }
        }
    }
    outcome
}

/// What the server calls itself; it is asked only if the answer is kept.
pub fn server_name(options: &LoadOptions, topology: &Topology) -> String {
    let asked = options.json.as_ref().and_then(|_| connect(options, &topology.nodes[0]).ok());
    asked.map_or_else(|| "unknown server".into(), |mut client| origin::server_name(&mut client))
}

/// What is run once, or once for each step of a sweep.
pub enum Loaded {
    /// The test of this position in the command line.
    Test(usize),
    Profile(Arc<Workload>),
    /// A profile that cannot run, and why.
    NotAvailable {
        name: String,
        reason: String,
    },
}

pub fn loads(options: &LoadOptions, topology: &Topology) -> Result<Vec<Loaded>, Failure> {
    let Some(profile) = &options.profile else {
        return Ok((0..options.chosen_tests()?.len()).map(Loaded::Test).collect());
    };
    if options.sweep.as_ref().is_some_and(Sweep::sets_values) {
        return Err(Failure::Options(
            "--sweep value=…: a profile says itself how long its values are".into(),
        ));
    }
    let (name, mut parts) = profile::load(profile)?;
    let mut clients =
        topology.nodes.iter().map(|node| connect(options, node)).collect::<Result<Vec<_>, _>>()?;
    let missing = fill::missing_commands(&mut clients[0], &parts).map_err(Failure::ServerGone)?;
    if !missing.is_empty() {
        let reason = format!("{NOT_AVAILABLE}: the server has no {}", missing.join(", "));
        return Ok(vec![Loaded::NotAvailable { name, reason }]);
    }
    if options.cluster {
        parts
            .route(&mut clients[0], topology)
            .map_err(|error| Failure::Options(format!("--cluster: profile {name}: {error}")))?;
    }
    if !options.no_preload {
        fill::fill(&mut clients, &parts, options.seed, options.quiet || options.csv)
            .map_err(|failure| failure.behind(&format!("profile {name}")))?;
    }
    Ok(vec![Loaded::Profile(Arc::new(Workload::of_profile(&name, parts)))])
}

pub fn measure_load(
    load: &Loaded,
    suffix: &str,
    options: &LoadOptions,
    engine: EngineChoice,
    topology: &Topology,
    observer: &mut dyn Observer,
) -> Result<Run, Failure> {
    let subject = match load {
        Loaded::Test(position) => {
            let sets_values = options.sweep.as_ref().is_some_and(Sweep::sets_values);
            if sets_values && options.preload {
                // Values of another length are wanted now.
                prepare(options)?;
            }
            Subject::of_test(options, topology, &options.chosen_tests()?[*position])?
        }
        Loaded::Profile(workload) => Subject::of_workload(workload, topology),
        Loaded::NotAvailable { name, reason } => {
            let subject = Subject::of_workload(&Arc::new(Workload::nothing(name)), topology);
            let mut run = subject.not_run(options, engine);
            run.failure = Some(reason.clone());
            return Ok(run);
        }
    };
    let mut run = subject.measure(options, engine, observer)?;
    run.name.push_str(suffix);
    Ok(run)
}

/// Everything before the first test: limits, the nodes of the cluster, the keys.
pub fn prepare(options: &LoadOptions) -> Result<Topology, Failure> {
    options.draws.over(options.keys).map_err(Failure::Options)?;
    // With as many connections as a sweep comes to.
    let clients = options.sweep.as_ref().and_then(Sweep::clients_max).unwrap_or(options.clients);
    let wanted = u64::from(clients) + u64::from(options.idle) + RESERVED_DESCRIPTORS;
    let granted = process::raise_open_files_limit(wanted);
    if granted < wanted {
        return Err(Failure::Options(format!(
            "{} connections need {wanted} open files, but the limit is {granted}: raise it with 'ulimit -n'",
            clients + options.idle
        )));
    }
    let address = options.address();
    let topology = if options.cluster {
        let mut client = connect(options, &address)?;
        Topology::discover(&mut client, &address).map_err(Failure::ServerGone)?
    } else {
        Topology::single(address)
    };
    if options.preload {
        let quiet = options.quiet || options.csv;
        for test in options.preloading_tests()? {
            preload::fill(&topology, &options.handshake()?, &test, options.keys, quiet)?;
        }
    }
    Ok(topology)
}

/// Decides between the engines once, so that every thread and every test has the same.
pub fn choose_engine(choice: EngineChoice) -> Result<EngineChoice, Failure> {
    if choice == EngineChoice::Epoll {
        return Ok(choice);
    }
    match UringEngine::new() {
        Ok(_) => Ok(EngineChoice::IoUring),
        Err(error) if choice == EngineChoice::Auto => {
            eprintln!("polder-loadgen: io_uring is not usable here ({error}): using epoll");
            Ok(EngineChoice::Epoll)
        }
        Err(error) => {
            Err(Failure::Options(format!("io_uring is not usable here: {error}; try --engine epoll")))
        }
    }
}
