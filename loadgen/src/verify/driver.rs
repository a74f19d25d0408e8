//! Clients that load a server and note what they send, what comes back, and when.
//!
//! Every client has a thread and a connection. If that breaks, what was under way is noted as lost, and the
//! client connects again, for as long as a reply may take.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use polder::runtime::process;

use super::history::{FORMAT, Header, History, Kind, NEVER, Operation, Reply};
use super::options::VerifyOptions;
use super::wire;
use super::workload::{self, Burst, Request, Shared};
use crate::client::{Client, Handshake, Value};
use crate::error::Failure;

/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(20);
const STACK_BYTES: usize = 256 << 10;
/// Descriptors that the process needs besides its connections.
const RESERVED_DESCRIPTORS: u64 = 64;
/// Commands that are sent together in the end.
const LAST_COMMANDS: usize = 100;
/// Elements of a long reply that need as much memory as an operation.
const ELEMENTS_PER_OPERATION: u64 = 4;

/// A history, and what else is to be told of the load.
pub struct Recorded {
    pub history: History,
    pub seconds: f64,
    pub reconnects: u64,
    /// The load ended early, since the history was full.
    pub full: bool,
    /// The server did not come back.
    pub gone: Option<String>,
}

struct Load<'a> {
    options: &'a VerifyOptions,
    handshake: Handshake,
    shared: Shared,
    prefix: String,
    epoch: Instant,
    ends: Instant,
    over: AtomicBool,
    recorded: AtomicU64,
    reconnects: AtomicU64,
    gone: Mutex<Option<String>>,
}

pub fn record(options: &VerifyOptions) -> Result<Recorded, Failure> {
    let wanted = u64::from(options.clients) + RESERVED_DESCRIPTORS;
    let granted = process::raise_open_files_limit(wanted);
    if granted < wanted {
        return Err(Failure::Options(format!(
            "{} connections need {wanted} open files, but the limit is {granted}: raise it with 'ulimit -n'",
            options.clients
        )));
    }
    let handshake = options.server.handshake()?;
    connect(options, &handshake).map_err(|error| {
        Failure::ServerGone(format!("Could not connect to {}: {error}", options.server.address()))
    })?;
    let epoch = Instant::now();
    let load = Load {
        options,
        handshake,
        shared: Shared::new(options),
        prefix: prefix(),
        epoch,
        ends: epoch + Duration::from_secs_f64(options.seconds),
        over: AtomicBool::new(false),
        recorded: AtomicU64::new(0),
        reconnects: AtomicU64::new(0),
        gone: Mutex::new(None),
    };
    let mut operations = load.run()?;
    let seconds = epoch.elapsed().as_secs_f64();
    let full = load.recorded.load(Ordering::Relaxed) >= options.operations;
    let complete = load.read_all(&mut operations);
    let header = Header {
        format: FORMAT,
        generator: concat!("polder-loadgen ", env!("CARGO_PKG_VERSION")).into(),
        prefix: load.prefix.clone(),
        seed: options.seed,
        complete,
        command_line: options.command_line(),
    };
    let reconnects = load.reconnects.load(Ordering::Relaxed);
    let gone = load.gone.into_inner().unwrap_or_default();
    Ok(Recorded { history: History { header, operations }, seconds, reconnects, full, gone })
}

/// Keys of every run are its own.
fn prefix() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("verify:{:x}:", now.as_nanos() as u64 >> 10)
}

fn connect(options: &VerifyOptions, handshake: &Handshake) -> io::Result<Client> {
    let client = Client::connect(&options.server.address(), handshake)?;
    client.set_reply_timeout(Duration::from_secs_f64(options.timeout))?;
    Ok(client)
}

impl Load<'_> {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || Instant::now() >= self.ends
    }

    fn run(&self) -> Result<Vec<Operation>, Failure> {
        std::thread::scope(|scope| {
            let threads: Result<Vec<_>, Failure> = (0..self.options.clients)
                .map(|number| {
                    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
                    let started = thread.spawn_scoped(scope, move || Worker::new(self, number).run());
                    started.map_err(|error| {
                        self.over.store(true, Ordering::Relaxed);
                        Failure::System(format!("a thread for client {number}: {error}"))
                    })
                })
                .collect();
            let mut operations = Vec::new();
            for thread in threads? {
                let ended = thread.join();
                operations
                    .append(&mut ended.map_err(|_| Failure::System("a thread of a client ended".into()))?);
            }
            Ok(operations)
        })
    }

    /// Reads every key once more, when nobody writes any more, and deletes it. Tells whether that worked.
    fn read_all(&self, operations: &mut Vec<Operation>) -> bool {
        let mut reads: BTreeMap<(u8, u32), Operation> = BTreeMap::new();
        for read in operations.iter().flat_map(last_reads) {
            reads.insert((read.kind as u8, read.key), read);
        }
        let reads: Vec<Operation> = reads.into_values().collect();
        let mut worker = Worker::new(self, self.options.clients);
        let number = worker.number;
        let requests: Vec<Request> = reads
            .iter()
            .zip(1..)
            .map(|(read, transaction)| {
                let mut read = Operation { client: number, ..read.clone() };
                if read.is_step() {
                    read.other = transaction;
                }
                Request { form: read.form, operations: vec![read] }
            })
            .collect();
        let complete = requests.chunks(LAST_COMMANDS).all(|requests| worker.pipeline(requests.to_vec()));
        operations.append(&mut worker.operations);
        if complete && !self.options.keep_keys {
            for reads in reads.chunks(LAST_COMMANDS) {
                let names = reads.iter().flat_map(|read| read.names(&self.prefix));
                let names: Vec<String> = std::iter::once("DEL".to_string()).chain(names).collect();
                let mut bytes = Vec::new();
                wire::encode_command(&names, &mut bytes);
                // If it does not work, keys are left behind: nothing that was to be verified.
                let _ = worker.exchange(&bytes, &[1]);
            }
        }
        complete
    }
}

/// The reads that show what is in the keys of an operation.
fn last_reads(operation: &Operation) -> Vec<Operation> {
    use super::history::{ACCOUNTS, Form, MARKS};
    let read = |kind: Kind| vec![Operation::new(kind, operation.key)];
    match operation.kind {
        Kind::Set | Kind::Get | Kind::GetSet | Kind::SetNx | Kind::Del | Kind::Cas => read(Kind::Get),
        Kind::Incr | Kind::IncrBy | Kind::Count => read(Kind::Count),
        Kind::Balances => vec![Operation::new(Kind::Balances, operation.key).with_form(Form::Several)],
        Kind::Transfer => {
            vec![Operation::new(Kind::Balances, operation.key / ACCOUNTS).with_form(Form::Several)]
        }
        Kind::Push | Kind::Pop | Kind::BlockingPop | Kind::Remaining => read(Kind::Remaining),
        Kind::Move | Kind::BlockingMove => {
            [operation.key, operation.other].map(|list| Operation::new(Kind::Remaining, list)).to_vec()
        }
        Kind::Mark | Kind::Look => {
            vec![Operation::new(Kind::LookAll, operation.key / MARKS).with_form(Form::Several)]
        }
        Kind::LookAll => vec![Operation::new(Kind::LookAll, operation.key).with_form(Form::Several)],
        Kind::StepSet | Kind::StepGet => read(Kind::StepGet),
        Kind::StepAppend | Kind::StepList => read(Kind::StepList),
        Kind::StepIncr | Kind::StepCount => read(Kind::StepCount),
    }
}

/// One client.
struct Worker<'a> {
    load: &'a Load<'a>,
    number: u16,
    mind: workload::Client,
    connection: Option<Client>,
    /// It has had a connection before.
    connected: bool,
    operations: Vec<Operation>,
}

impl<'a> Worker<'a> {
    fn new(load: &'a Load<'a>, number: u16) -> Worker<'a> {
        let mind = workload::Client::new(load.options.seed, number);
        Worker { load, number, mind, connection: None, connected: false, operations: Vec::new() }
    }

    fn run(mut self) -> Vec<Operation> {
        while !self.load.is_over() {
            if !self.connect() {
                break;
            }
            match self.mind.burst(&self.load.shared) {
                Burst::Pipeline(requests) => {
                    self.pipeline(requests);
                }
                Burst::CompareAndSet { key, value } => self.compare_and_set(key, value),
            }
        }
        self.operations
    }

    /// Connects, unless there is a connection. Gives up when the server is gone for too long.
    fn connect(&mut self) -> bool {
        let started = Instant::now();
        while self.connection.is_none() {
            match connect(self.load.options, &self.load.handshake) {
                Ok(connection) => {
                    self.connection = Some(connection);
                    if std::mem::replace(&mut self.connected, true) {
                        self.load.reconnects.fetch_add(1, Ordering::Relaxed);
                        self.mind.reconnected(&self.load.shared);
                    }
                }
                Err(error) if started.elapsed().as_secs_f64() > self.load.options.timeout => {
                    let mut gone = self.load.gone.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let address = self.load.options.server.address();
                    gone.get_or_insert_with(|| format!("Could not connect to {address} again: {error}"));
                    self.load.over.store(true, Ordering::Relaxed);
                    return false;
                }
                Err(_) if self.load.over.load(Ordering::Relaxed) => return false,
                Err(_) => std::thread::sleep(RETRY),
            }
        }
        true
    }

    /// Sends bytes and takes the replies in groups of these sizes; none where the connection broke.
    fn exchange(&mut self, bytes: &[u8], groups: &[usize]) -> Vec<Option<(Vec<Value>, u64)>> {
        let mut all = vec![None; groups.len()];
        let Some(connection) = &mut self.connection else { return all };
        let mut exchange = || -> io::Result<()> {
            connection.send(bytes)?;
            for (group, &count) in all.iter_mut().zip(groups) {
                let values = (0..count).map(|_| connection.receive()).collect::<io::Result<Vec<Value>>>()?;
                *group = Some((values, self.load.now()));
            }
            Ok(())
        };
        if exchange().is_err() {
            self.connection = None;
        }
        all
    }

    /// Sends requests together and notes what came of them; tells whether all were answered.
    fn pipeline(&mut self, requests: Vec<Request>) -> bool {
        if !self.connect() {
            return false;
        }
        let mut bytes = Vec::new();
        let counts: Vec<usize> =
            requests.iter().map(|request| wire::encode(request, &self.load.prefix, &mut bytes)).collect();
        let call = self.load.now();
        let answers = self.exchange(&bytes, &counts);
        let complete = answers.iter().all(Option::is_some);
        for (request, answer) in requests.into_iter().zip(answers) {
            let (replies, back) = match answer {
                Some((values, back)) => (wire::replies(&request, &values, &self.load.prefix), back),
                None => (vec![Reply::Lost; request.operations.len()], NEVER),
            };
            for (operation, reply) in request.operations.into_iter().zip(replies) {
                self.note(Operation { call, back, reply, ..operation });
            }
        }
        complete
    }

    fn note(&mut self, operation: Operation) {
        let elements = match &operation.reply {
            Reply::Many(elements) => elements.len() as u64,
            _ => 0,
        };
        self.operations.push(operation);
        let size = 1 + elements / ELEMENTS_PER_OPERATION;
        let recorded = self.load.recorded.fetch_add(size, Ordering::Relaxed) + size;
        if recorded >= self.load.options.operations {
            self.load.over.store(true, Ordering::Relaxed);
        }
    }

    /// WATCH and GET, then SET in a transaction.
    fn compare_and_set(&mut self, key: u32, value: i64) {
        let read = Operation { client: self.number, ..Operation::new(Kind::Get, key) };
        let name = read.names(&self.load.prefix).remove(0);
        let mut bytes = Vec::new();
        wire::encode_command(&["WATCH".to_string(), name], &mut bytes);
        let watched = self.exchange(&bytes, &[1]);
        if !matches!(&watched[0], Some((values, _)) if matches!(values[..], [Value::Text(_)])) {
            return;
        }
        if !self.pipeline(vec![Request { form: read.form, operations: vec![read] }]) {
            return;
        }
        let seen = match self.operations.last().map(|operation| &operation.reply) {
            Some(Reply::Null) => 0,
            // Values are written from 1 on.
            Some(Reply::Number(seen)) if *seen > 0 && *seen <= u32::MAX.into() => *seen as u32,
            _ => {
                // The key is watched and must not be: the next transaction has nothing to do with it.
                self.connection = None;
                return;
            }
        };
        let swap = Operation::new(Kind::Cas, key).with_value(value).with_other(seen);
        let swap = Operation { client: self.number, ..swap };
        self.pipeline(vec![Request { form: swap.form, operations: vec![swap] }]);
    }
}
