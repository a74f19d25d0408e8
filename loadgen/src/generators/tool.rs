//! The generators that are measured: whether they can be, and the words of their command lines.

use serde::Serialize;

use crate::tls::TlsOptions;

use super::{CLIENTS, KEYS, VALUE_BYTES};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    PolderLoadgen,
    RedisBenchmark,
    MemtierBenchmark,
}

impl Tool {
    pub const ALL: [Tool; 3] = [Tool::PolderLoadgen, Tool::RedisBenchmark, Tool::MemtierBenchmark];

    pub fn name(self) -> &'static str {
        match self {
            Tool::PolderLoadgen => "polder-loadgen",
            Tool::RedisBenchmark => "redis-benchmark",
            Tool::MemtierBenchmark => "memtier_benchmark",
        }
    }

    /// Why it cannot be measured here, or not over such TLS.
    pub fn obstacle(self, tls: &TlsOptions) -> Option<String> {
        match self.is_installed() {
            false => Some("is not installed here".into()),
            true => self.unknown_tls(tls),
        }
    }

    /// What it cannot do of this.
    fn unknown_tls(self, tls: &TlsOptions) -> Option<String> {
        if self != Tool::MemtierBenchmark || !tls.tls {
            return None;
        }
        let unknown = [
            ("--cacertdir", tls.cacertdir.is_some()),
            ("--tls-ciphers", tls.tls_ciphers.is_some()),
            ("--tls-ciphersuites", tls.tls_ciphersuites.is_some()),
        ];
        if let Some((flag, _)) = unknown.iter().find(|(_, given)| *given) {
            return Some(format!("does not know {flag}"));
        }
        // The authorities of this system are none for it.
        let trusts = tls.insecure || tls.cacert.is_some();
        (!trusts).then(|| "trusts nobody without --cacert".into())
    }

    fn is_installed(self) -> bool {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        self == Tool::PolderLoadgen
            || std::env::split_paths(&folders).any(|folder| folder.join(self.name()).is_file())
    }

    /// The words of a load of so many requests.
    pub fn words(self, port: u16, test: &str, pipeline: u32, requests: u64) -> Vec<String> {
        let text = match self {
            Tool::PolderLoadgen => String::new(),
            Tool::RedisBenchmark => format!(
                "-p {port} -t {test} -c {CLIENTS} -P {pipeline} -r {KEYS} -d {VALUE_BYTES} -n {requests} --csv"
            ),
            // Without seeds of their own all its connections draw the same keys at about the same time: the
            // server then finds each in its cache but once.
            Tool::MemtierBenchmark => format!(
                "-s 127.0.0.1 -p {port} -t 1 -c {CLIENTS} --pipeline={pipeline} --ratio={} --key-prefix=key: \
                 --key-minimum=1 --key-maximum={KEYS} -d {VALUE_BYTES} -n {} --hide-histogram \
                 --distinct-client-seed",
                if test == "set" { "1:0" } else { "0:1" },
                requests.div_ceil(CLIENTS)
            ),
        };
        text.split_whitespace().map(String::from).collect()
    }

    /// Our flags for TLS, as it calls them.
    pub fn tls_words(self, tls: &TlsOptions) -> Vec<String> {
        let own = |word: String| match (self, word.as_str()) {
            (Tool::MemtierBenchmark, "--insecure") => "--tls-skip-verify".into(),
            _ => word,
        };
        tls.words().into_iter().map(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::options::Cli;

    use super::*;

    #[test]
    fn words_of_the_others() {
        let words = Tool::MemtierBenchmark.words(7000, "get", 16, 101).join(" ");
        assert!(words.contains("--pipeline=16 --ratio=0:1") && words.contains("-n 3 "), "{words}");
        let words = Tool::RedisBenchmark.words(7000, "set", 1, 100).join(" ");
        assert!(words.starts_with("-p 7000 -t set -c 50 -P 1 "), "{words}");
    }

    fn tls(words: &[&str]) -> TlsOptions {
        Cli::parse_from([&["polder-loadgen", "--tls"], words].concat()).load.server.tls
    }

    #[test]
    fn words_of_tls() {
        let none = TlsOptions::default();
        assert!(Tool::ALL.iter().all(|tool| tool.tls_words(&none).is_empty()));
        let files = ["--cert", "my files/c.crt", "--key", "c.key"];
        let tls = tls(&[&["--insecure"], &files[..]].concat());
        let words = |insecure: &'static str| [&["--tls", insecure], &files[..]].concat();
        assert_eq!(Tool::RedisBenchmark.tls_words(&tls), words("--insecure"));
        assert_eq!(Tool::MemtierBenchmark.tls_words(&tls), words("--tls-skip-verify"));
    }

    #[test]
    fn tls_that_memtier_has_not() {
        for (words, reason) in [
            (&["--cacert", "x"][..], None),
            (&["--insecure"], None),
            (&[], Some("trusts nobody without --cacert")),
            (&["--cacert", "x", "--cacertdir", "y"], Some("does not know --cacertdir")),
            (&["--tls-ciphers", "ECDHE-RSA-AES128-GCM-SHA256"], Some("does not know --tls-ciphers")),
            (&["--tls-ciphersuites", "TLS_AES_128_GCM_SHA256"], Some("does not know --tls-ciphersuites")),
        ] {
            assert_eq!(Tool::MemtierBenchmark.unknown_tls(&tls(words)).as_deref(), reason, "{words:?}");
            assert_eq!(Tool::RedisBenchmark.unknown_tls(&tls(words)), None);
        }
        assert_eq!(Tool::MemtierBenchmark.unknown_tls(&TlsOptions::default()), None);
    }
}
