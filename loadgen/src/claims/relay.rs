//! A network with a delay, for one connection: a relay that holds back every byte.
//!
//! ```text
//!   client ─► read, stamp ─► queue ─► wait until stamp + half the round trip ─► write ─► server
//!   client ◄─ write ◄─ wait until stamp + half the round trip ◄─ queue ◄─ read, stamp ◄─ server
//! ```
//!
//! Bytes are delayed, not slowed: what is under way in the meantime does not wait for what is before it.
//! It needs no privileges, as `netem` does, beside which it is shown where that may be.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Timers of a thread are this exact; the default is fifty times as coarse.
const TIMER_SLACK_NS: libc::c_ulong = 1_000;

/// Starts the relay and tells its port. It serves the first connection and ends with it.
pub fn start(server_port: u16, round_trip: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        // Whoever connected sees the end of the connection if this fails.
        let _ = serve(&listener, server_port, round_trip / 2);
    });
    Ok(port)
}

fn serve(listener: &TcpListener, server_port: u16, delay: Duration) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    let server = TcpStream::connect(("127.0.0.1", server_port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || pass(from_client, server, delay));
    std::thread::spawn(move || pass(from_server, client, delay));
    Ok(())
}

/// Moves bytes from one side to the other until one of them ends.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = channel::<(Instant, Vec<u8>)>();
    let writer = std::thread::spawn(move || {
        // SAFETY: sets a number of the calling thread. Coarser timers only make the delay longer.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK_NS) };
        for (due, bytes) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // The other end may be gone already.
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 || sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    // It only ends; a panic in it was said on standard error.
    let _ = writer.join();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_after_the_delay() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let server_port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut stream = server.accept().unwrap().0;
            let mut bytes = [0; 5];
            while stream.read_exact(&mut bytes).is_ok() {
                stream.write_all(&bytes).unwrap();
            }
        });
        let round_trip = Duration::from_millis(20);
        let port = start(server_port, round_trip).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let began = Instant::now();
        stream.write_all(b"hello").unwrap();
        std::thread::sleep(round_trip / 10);
        stream.write_all(b"world").unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        assert!(began.elapsed() >= round_trip);
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"world");
        assert!(began.elapsed() >= round_trip + round_trip / 10);
    }
}
