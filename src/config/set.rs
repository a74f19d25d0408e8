//! CONFIG GET and CONFIG SET.
//!
//! A set is all or nothing: the pairs are tried on a copy, and what comes out is either an error or the
//! [`Changes`] that turn any shard's copy into the new one. Whoever has to act on a change first (bind a new
//! port, change the directory) does so between `set` and `apply`, and may still refuse.

use super::directives::{Change, Config, DIRECTIVES, Directive, find};
use super::error::{SetError, SetFailure};
use super::value::Source;
use crate::glob::{glob_match, is_glob};

/// New values that have passed every check.
#[derive(Clone)]
pub struct Changes {
    config: Box<Config>,
    directives: Vec<&'static Directive>,
}

impl Changes {
    /// The configuration as it will be where the set was tried.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The names of the directives whose values really change, in the table's spelling.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.directives.iter().map(|directive| directive.name)
    }

    /// Whether the directive of this name, in the table's spelling, changes.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|changed| changed == name)
    }

    pub fn is_empty(&self) -> bool {
        self.directives.is_empty()
    }
}

impl Config {
    /// The directives that the patterns of a CONFIG GET match, each once, with their values.
    ///
    /// An alias is a name of its own. What is named without a pattern is shown as it was written.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], directive: &Directive| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), directive.show(self)));
            }
        };
        for &pattern in patterns {
            if !is_glob(pattern) {
                if let Some(directive) = find(pattern) {
                    add(pattern, directive);
                }
                continue;
            }
            for directive in DIRECTIVES {
                for name in directive.names().filter(|name| glob_match(pattern, name.as_bytes(), true)) {
                    add(name.as_bytes(), directive);
                }
            }
        }
        found
    }

    /// Checks the pairs of a CONFIG SET, as a whole, without changing anything. A local client is one over
    /// a unix socket or the loopback interface.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], client_is_local: bool) -> Result<Changes, SetError> {
        let failed = |argument: &[u8], reason| SetError::Failed { argument: argument.to_vec(), reason };
        let mut directives: Vec<&'static Directive> = Vec::with_capacity(pairs.len());
        for (index, &(name, _)) in pairs.iter().enumerate() {
            let Some(directive) = find(name) else {
                return Err(SetError::Unknown { argument: name.to_vec() });
            };
            match directive.change {
                Change::StartOnly => return Err(failed(name, SetFailure::Immutable)),
                Change::Protected if !self.enable_protected_configs.allows(client_is_local) => {
                    return Err(failed(name, SetFailure::Protected));
                }
                Change::Protected | Change::Live => {}
            }
            // A directive and its alias may both be set, in this order.
            if pairs[..index].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
                return Err(failed(name, SetFailure::Duplicate));
            }
            directives.push(directive);
        }
        let mut config = Box::new(self.clone());
        for (&(name, value), directive) in pairs.iter().zip(&directives) {
            directive
                .assign(&mut config, &[value.to_vec()], Source::Set)
                .map_err(|error| failed(name, SetFailure::Value(error)))?;
        }
        config.settle();
        directives.sort_unstable_by_key(|directive| directive.name);
        directives.dedup_by_key(|directive| directive.name);
        directives.retain(|directive| !directive.same(self, &config));
        Ok(Changes { config, directives })
    }

    /// Takes over what a set has changed, and nothing else.
    pub fn apply(&mut self, changes: &Changes) {
        for directive in &changes.directives {
            directive.copy(self, &changes.config);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let changes = config.set(&pairs, false).map_err(|error| error.to_string())?;
        config.apply(&changes);
        Ok(changes.names().collect())
    }

    fn get(config: &Config, patterns: &[&str]) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        config.get(&patterns).into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn get_matches_each_name_once() {
        let config = Config::default();
        assert_eq!(get(&config, &["port", "PORT", "PO*"]), [pair("port", "6379")]);
        assert_eq!(get(&config, &["LOGlevel"]), [pair("LOGlevel", "notice")]);
        assert_eq!(get(&config, &["p\\ort", "nothing"]), []);
        assert_eq!(get(&config, &["p[o]rt"]), [pair("port", "6379")]);
        let both = [pair("hash-max-listpack-value", "64"), pair("hash-max-ziplist-value", "64")];
        assert_eq!(get(&config, &["hash-max-*-value"]), both);
        assert!(get(&config, &["*"]).len() > 200);
    }

    #[test]
    fn values_are_shown_as_redis_shows_them() {
        let config = Config::default();
        for (name, value) in [
            ("save", "3600 1 300 100 60 10000"),
            (
                "client-output-buffer-limit",
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            ),
            ("bind", "* -::*"),
            ("latency-tracking-info-percentiles", "50 99 99.9"),
            ("oom-score-adj-values", "0 200 800"),
            ("unixsocketperm", "0"),
            ("maxmemory-clients", "0"),
            ("shutdown-on-sigterm", "default"),
        ] {
            assert_eq!(get(&config, &[name]), [pair(name, value)]);
        }
    }

    #[test]
    fn set_changes_all_or_nothing() {
        let mut config = Config::default();
        let error = set(&mut config, &[("maxmemory", "1gb"), ("hz", "x")]).unwrap_err();
        assert_eq!(
            error,
            "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer"
        );
        assert_eq!(config, Config::default());
        let changed =
            set(&mut config, &[("maxmemory", "1gb"), ("hz", "10"), ("slave-priority", "3")]).unwrap();
        assert_eq!(changed, ["maxmemory", "replica-priority"], "hz has this value already");
        assert_eq!((config.maxmemory, config.replica_priority), (1 << 30, 3));
    }

    #[test]
    fn refusals_are_in_the_words_of_redis() {
        let mut config = Config::default();
        for (pairs, text) in [
            (&[("foo", "1")] as &[_], "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
            (
                &[("hz", "1"), ("user", "x")],
                "ERR Unknown option or number of arguments for CONFIG SET - 'user'",
            ),
            (
                &[("maxmemory", "zz")],
                "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
            ),
            (
                &[("daemonize", "yes")],
                "ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config",
            ),
            (
                &[("dir", "/")],
                "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
            ),
            (
                &[("hz", "1"), ("HZ", "2")],
                "ERR CONFIG SET failed (possibly related to argument 'HZ') - duplicate parameter",
            ),
            (
                &[("port", "99999")],
                "ERR CONFIG SET failed (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive",
            ),
            (
                &[("save", "  900 1 ")],
                "ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters",
            ),
        ] {
            assert_eq!(set(&mut config, pairs).unwrap_err(), text);
        }
        let refusal = SetError::no_effect("port", "Unable to listen on this port. Check server logs.");
        assert_eq!(
            refusal.to_string(),
            "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
        );
    }

    #[test]
    fn protected_directives_follow_their_permission() {
        let mut config =
            Config { enable_protected_configs: super::super::Permission::Local, ..Config::default() };
        assert!(config.set(&[(b"dir", b"/tmp")], false).is_err());
        let changes = config.set(&[(b"dir", b"/tmp")], true).unwrap();
        config.apply(&changes);
        assert_eq!(config.dir.as_bytes(), b"/tmp");
    }

    #[test]
    fn some_values_are_adjusted_silently() {
        let mut config = Config::default();
        set(&mut config, &[("hz", "1000"), ("repl-backlog-size", "1")]).unwrap();
        assert_eq!((config.hz, config.repl_backlog_size), (500, 16384));
        set(&mut config, &[("hz", "0")]).unwrap();
        assert_eq!(config.hz, 1);
    }

    #[test]
    fn a_directive_and_its_alias_may_both_be_set() {
        let mut config = Config::default();
        let changed = set(&mut config, &[("slave-read-only", "yes"), ("replica-read-only", "no")]).unwrap();
        assert_eq!(changed, ["replica-read-only"]);
        assert!(!config.replica_read_only);
    }

    proptest! {
        #[test]
        fn any_value_is_taken_or_refused_and_reads_back(
            index in 0..DIRECTIVES.len(),
            value in "[0-9a-zA-Z%$ .,*-]{0,12}|-?[0-9]{1,20}(kb|mb|gb|%)?|(yes|no|[0-9]{1,3}( [0-9]{1,3}){0,5})",
        ) {
            let mut config = Config { enable_protected_configs: super::super::Permission::Yes, ..Config::default() };
            let name = DIRECTIVES[index].name.as_bytes();
            if let Ok(changes) = config.set(&[(name, value.as_bytes())], false) {
                config.apply(&changes);
                let shown = config.get(&[name])[0].1.clone();
                let again = config.set(&[(name, &shown)], false).unwrap();
                if DIRECTIVES[index].name != "latency-tracking-info-percentiles" {
                    prop_assert!(again.is_empty(), "{:?}", String::from_utf8_lossy(&shown));
                }
            }
        }
    }
}
