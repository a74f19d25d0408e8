//! The scripts of `tests/events` are right: redis-server publishes these events, in this order and in these
//! classes. That polder tells the same is tested beside its commands (`src/commands/event_tests.rs`).
//!
//! `EVENTS_RECORD=1` writes down what redis-server publishes, but for steps that differ.

mod support;

use std::time::Duration;

use support::client::{Client, Reply};
use support::events::{Action, CLASSES, Step, parse, scripts, show};
use support::server::Server;

/// Name, key and database.
type Event = (String, Vec<u8>, usize);

struct Reference {
    client: Client,
    subscriber: Client,
}

impl Reference {
    fn new(server: &Server) -> Reference {
        let (mut client, mut subscriber) = (server.client(), server.client());
        assert_eq!(client.run("DEBUG SET-ACTIVE-EXPIRE 0"), Reply::ok());
        subscriber.run("PSUBSCRIBE __keyevent@*");
        Reference { client, subscriber }
    }

    /// Runs the steps with these classes on: the events of each step, as names and keys.
    fn run(&mut self, steps: &[Step], classes: &str) -> Vec<Vec<Event>> {
        self.client.run("SELECT 0");
        self.client.run("FLUSHALL");
        assert_eq!(self.client.run(&format!("CONFIG SET notify-keyspace-events E{classes}")), Reply::ok());
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Vec<Event> {
        match &step.action {
            Action::Command(command) => drop(self.client.command(command)),
            Action::Select(database) => drop(self.client.run(&format!("SELECT {database}"))),
            Action::Later(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
        }
        // What was published came before the reply to the command, and so does before the answer to this.
        self.subscriber.send(b"*1\r\n$4\r\nPING\r\n").expect("the reference reads");
        let mut events = Vec::new();
        loop {
            let message = self.subscriber.read().expect("the reference answers");
            let [kind, _, channel, key] = match message.items() {
                [kind, pattern, channel, key] => [kind, pattern, channel, key],
                _ => return events,
            };
            assert_eq!(kind.text(), "pmessage");
            let channel = channel.text();
            let (database, name) = channel["__keyevent@".len()..].split_once("__:").expect("a channel");
            let Reply::Bulk(key) = key else { panic!("a key is a text") };
            events.push((name.to_owned(), key.clone(), database.parse().expect("a number")));
        }
    }
}

/// The events of each step with the letters of their classes: those that are published with no other on.
fn observed(reference: &mut Reference, steps: &[Step]) -> Vec<Vec<String>> {
    let all = reference.run(steps, CLASSES);
    let mut by_class: Vec<(char, Vec<Vec<Event>>)> =
        CLASSES.chars().map(|class| (class, reference.run(steps, &class.to_string()))).collect();
    let mut shown = Vec::new();
    for (index, events) in all.into_iter().enumerate() {
        let letters = events.into_iter().map(|event| {
            let class = by_class.iter_mut().find(|(_, steps)| steps[index].first() == Some(&event));
            let (class, steps) = class.unwrap_or_else(|| panic!("no class has {event:?}"));
            steps[index].remove(0);
            show(*class, &event.0, &event.1, event.2)
        });
        shown.push(letters.collect());
        let left = by_class.iter().find(|(_, steps)| !steps[index].is_empty());
        assert!(left.is_none(), "{}: only by itself: {left:?}", steps[index].text);
    }
    shown
}

#[test]
fn redis_server_publishes_them() {
    let server = Server::reference(&["--enable-debug-command", "yes"]);
    let record = std::env::var_os("EVENTS_RECORD").is_some();
    let mut differences = 0;
    for (name, text) in scripts() {
        let steps = parse(&text);
        let observed = observed(&mut Reference::new(&server), &steps);
        if record {
            write(&name, &text, &steps, &observed);
            continue;
        }
        for (step, observed) in steps.iter().zip(observed) {
            if step.events != observed && !step.differs {
                println!("{name}:{}: {}\n  {}", step.line_number, step.text, observed.join("\n  "));
                differences += 1;
            }
        }
    }
    assert_eq!(differences, 0);
}

/// Writes a script back with the events that were observed.
fn write(name: &str, text: &str, steps: &[Step], observed: &[Vec<String>]) {
    let mut lines: Vec<String> = Vec::new();
    let mut in_step = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(number) = steps.iter().position(|step| step.line_number == index + 1) {
            in_step = Some(&steps[number]);
            lines.push(line.to_owned());
            let events = if steps[number].differs { &steps[number].events } else { &observed[number] };
            lines.extend(events.iter().cloned());
        } else if line.is_empty() || line.starts_with('#') || line.starts_with('@') || in_step.is_none() {
            lines.push(line.to_owned());
        }
    }
    let path = format!("{}/tests/events/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(path, lines.join("\n") + "\n").expect("the scripts can be written");
}
