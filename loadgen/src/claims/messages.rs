//! The claim about publishing.

use std::time::{Duration, Instant};

use crate::client::Value;
use crate::error::Failure;
use crate::result::LatencyUs;
use crate::units;

use super::bench::{Bench, gone, histogram, record};
use super::{Claim, Finding};

const P99_US_MAX: f64 = 1_000.0;
/// Between two messages: each travels alone.
const INTERVAL: Duration = Duration::from_millis(1);
/// A message that has not come after so long does not come.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

pub const PUBLISH: Claim = Claim {
    name: "publish",
    text: "a published message is received about 1 ms later",
    commands: &["PUBLISH", "SUBSCRIBE"],
    by_hand: "redis-cli -p {port} SUBSCRIBE channel in one terminal, redis-cli -p {port} PUBLISH channel x in \
              another, with tcpdump -i lo port {port} beside for the times",
    measure: publish,
};

fn publish(bench: &Bench, finding: &mut Finding) -> Result<(), Failure> {
    let messages: u32 = if bench.quick { 300 } else { 2_000 };
    let (mut subscriber, mut publisher) = (bench.client()?, bench.client()?);
    gone(subscriber.ask(&["SUBSCRIBE", "channel"]))?;
    gone(subscriber.set_reply_timeout(MESSAGE_TIMEOUT))?;
    let epoch = Instant::now();
    let latency_ns = std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let mut latency_ns = histogram();
            for _ in 0..messages {
                let message = gone(subscriber.receive())?;
                let received = epoch.elapsed();
                // The message is the time at which it was published, in nanoseconds.
                let Value::Array(parts) = &message else { return Err(wrong(&message)) };
                let sent = match parts.get(2) {
                    Some(Value::Text(text)) => text.parse::<u64>().map_err(|_| wrong(&message))?,
                    _ => return Err(wrong(&message)),
                };
                record(&mut latency_ns, received.saturating_sub(Duration::from_nanos(sent)));
            }
            Ok(latency_ns)
        });
        for _ in 0..messages {
            let now = epoch.elapsed().as_nanos().to_string();
            gone(publisher.ask(&["PUBLISH", "channel", &now]))?;
            std::thread::sleep(INTERVAL);
        }
        receiving.join().unwrap_or_else(|_| Err(Failure::System("the subscriber's thread ended".into())))
    })?;
    let us = LatencyUs::of(&latency_ns);
    finding.holds = us.p99 <= P99_US_MAX;
    finding.figure("p50_us", us.p50);
    finding.figure("p99_us", us.p99);
    finding.say(format!(
        "{} messages, one a millisecond, one subscriber on loopback, from before PUBLISH is sent until the message is \
         read: p50 {:.0} us, p99 {:.0} us, max {:.0} us",
        units::count(u64::from(messages)),
        us.p50,
        us.p99,
        us.max
    ));
    Ok(())
}

fn wrong(message: &Value) -> Failure {
    Failure::Replies(format!("no message of the channel: {message:?}"))
}
