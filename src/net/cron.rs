//! What happens now and then, some ten times a second.

use crate::log;
use crate::runtime::engine::Engine;

use super::Plane;
use super::output::over_hard_limit;

impl<E: Engine> Plane<E> {
    pub(super) fn cron(&mut self, now_ms: i64) {
        let shard = &mut self.dispatcher.shard;
        if shard.cron_paused {
            return;
        }
        shard.metrics.sample(now_ms);
        shard.node.note_memory();
        self.end_pause(now_ms);
        self.close_idle_and_slow(now_ms);
        self.background = true;
    }

    /// Sessions that CLIENT PAUSE held back go on when it is over.
    pub(super) fn end_pause(&mut self, now_ms: i64) {
        let shard = &mut self.dispatcher.shard;
        if shard.pause.is_some_and(|pause| pause.until_ms <= now_ms) {
            shard.pause = None;
        }
        if shard.pause.is_none() && !shard.paused.is_empty() {
            for token in std::mem::take(&mut self.dispatcher.shard.paused) {
                if let Some(session) = self.dispatcher.shard.sessions.get(token) {
                    session.paused = false;
                    self.resume(token);
                }
            }
        }
    }

    /// `timeout` and the limits of output.
    fn close_idle_and_slow(&mut self, now_ms: i64) {
        let shard = &mut self.dispatcher.shard;
        let idle_ms_max = i64::from(shard.config.timeout_seconds) * 1000;
        let limit = shard.config.output_buffer_limits[0];
        let mut kill = Vec::new();
        for session in shard.sessions.iter_mut() {
            let idle = idle_ms_max > 0
                && !session.monitor
                && session.waiting.is_none()
                && now_ms - session.last_interaction_ms > idle_ms_max;
            if idle {
                log!(Verbose, "Closing idle client {}", session.id);
                kill.push(session.token);
                continue;
            }
            let output_bytes = session.output_bytes();
            if output_bytes as u64 <= limit.soft_bytes || limit.soft_bytes == 0 {
                session.soft_limit_since_ms = None;
            }
            let soft = limit.soft_bytes > 0 && output_bytes as u64 > limit.soft_bytes && {
                let since = *session.soft_limit_since_ms.get_or_insert(now_ms);
                now_ms - since > i64::from(limit.soft_seconds) * 1000
            };
            if soft || over_hard_limit(output_bytes, limit.hard_bytes) {
                log!(Warning, "Client {} closed for overcoming of output buffer limits", session.id);
                kill.push(session.token);
            }
        }
        shard.sessions.kill.extend(kill);
    }

    /// Keeps memory below `maxmemory`: evicts in small steps, and refuses growth while that is not enough.
    pub(super) fn make_room(&mut self) {
        self.dispatcher.shard.make_room();
    }
}
