//! Connections of a worker that are made anew after so many requests.

use polder::runtime::engine::Engine;

use super::Worker;
use crate::plan::Phase;
use crate::redial::{Redialed, Redialer};
use crate::workload::Role;

impl<E: Engine> Worker<E> {
    pub(super) fn start_redialer(&mut self, connections: usize) {
        match Redialer::start(&self.plan.dialer, connections) {
            Ok(redialer) => {
                self.engine.watch_bell(redialer.bell());
                self.redialer = Some(redialer);
            }
            Err(error) => self.failure = Some(format!("no thread to reconnect on: {error}")),
        }
    }

    pub(super) fn must_reconnect(&self, position: usize) -> bool {
        let connection = &self.connections[position];
        let is_over = self.plan.reconnect_every.is_some_and(|every| connection.sent >= every);
        is_over
            && !connection.away
            && connection.role == Role::Load
            && connection.replies.due() == 0
            && connection.missed.is_empty()
            && connection.buffer.is_some()
            && self.phase != Phase::Stop
    }

    /// Closes a connection that has nothing under way and asks for one in its place.
    pub(super) fn reconnect(&mut self, position: usize) {
        let connection = &mut self.connections[position];
        connection.away = true;
        self.engine.close(connection.token);
        if let Some(redialer) = &self.redialer {
            redialer.ask(position, connection.node);
        }
    }

    /// Puts connections that were made anew in their places.
    pub(super) fn take_redialed(&mut self) {
        while let Some(redialed) = self.redialer.as_ref().and_then(Redialer::next) {
            let Redialed { position, link, took, cpu_ns } = redialed;
            self.redial_cpu_ns += cpu_ns;
            let link = match link {
                Ok(link) => link,
                Err(error) => return self.fail(&format!("reconnecting failed: {error}")),
            };
            self.tally.reconnected(took.as_nanos() as u64);
            let (position, token) = (position as usize, self.engine.add(link.socket));
            self.place(token, position);
            let connection = &mut self.connections[position];
            (connection.token, connection.session) = (token, link.session);
            (connection.away, connection.sent) = (false, 0);
            self.begin(position);
        }
    }
}
