//! The ciphers of `--tls-ciphers` and `--tls-ciphersuites`, by the names that OpenSSL has for them.
//!
//! As with redis-cli, each flag is for its versions of the protocol: what others may use stays as it is. Other
//! than there, every name has to be known: there are no patterns such as `HIGH:!aNULL`.

use clap::builder::{TypedValueParser, ValueParser};
use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite as suite;

const SEPARATOR: &str = ":";

type Known = [(&'static str, &'static SupportedCipherSuite)];

/// All of TLS 1.2 that rustls has, in its order of preference.
static TLS12: &Known = &[
    ("ECDHE-ECDSA-AES256-GCM-SHA384", &suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", &suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", &suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", &suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", &suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", &suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The same of TLS 1.3.
static TLS13: &Known = &[
    ("TLS_AES_256_GCM_SHA384", &suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", &suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", &suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// Ciphers of one version, the preferred one first.
#[derive(Debug, Clone)]
pub struct Ciphers {
    /// As they were given.
    pub text: String,
    suites: Vec<SupportedCipherSuite>,
}

impl Ciphers {
    /// Reads names of TLS 1.2. The error tells what may be chosen.
    pub fn tls12() -> ValueParser {
        clap::builder::StringValueParser::new().try_map(|text| Ciphers::parse(text, TLS12)).into()
    }

    /// Reads names of TLS 1.3.
    pub fn tls13() -> ValueParser {
        clap::builder::StringValueParser::new().try_map(|text| Ciphers::parse(text, TLS13)).into()
    }

    fn parse(text: String, known: &Known) -> Result<Ciphers, String> {
        let find = |name: &str| {
            let found = known.iter().find(|(other, _)| *other == name);
            found.map(|(_, suite)| **suite).ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                format!("there is no '{name}' here; there are {}", names.join(SEPARATOR))
            })
        };
        let suites = text.split(SEPARATOR).map(find).collect::<Result<_, _>>()?;
        Ok(Ciphers { text, suites })
    }
}

/// What a client offers: of each version those that were chosen, or all.
pub fn offered(tls12: Option<&Ciphers>, tls13: Option<&Ciphers>) -> Vec<SupportedCipherSuite> {
    let of = |chosen: Option<&Ciphers>, known: &Known| match chosen {
        Some(ciphers) => ciphers.suites.clone(),
        None => known.iter().map(|(_, suite)| **suite).collect(),
    };
    [of(tls13, TLS13), of(tls12, TLS12)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, known: &Known) -> Result<Ciphers, String> {
        Ciphers::parse(text.into(), known)
    }

    /// Whoever chooses nothing offers what rustls would offer by itself.
    #[test]
    fn all_that_there_is_has_a_name() {
        assert_eq!(offered(None, None), rustls::crypto::aws_lc_rs::DEFAULT_CIPHER_SUITES);
    }

    #[test]
    fn chosen_ones_come_in_their_order_and_leave_the_other_version_alone() {
        let chosen = parse("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305", TLS12).unwrap();
        let two = [
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ];
        let all = offered(Some(&chosen), None);
        assert_eq!((all.len(), &all[3..]), (3 + 2, &two[..]));
        let chosen = parse("TLS_CHACHA20_POLY1305_SHA256", TLS13).unwrap();
        let all = offered(None, Some(&chosen));
        assert_eq!((all.len(), all[0]), (1 + 6, suite::TLS13_CHACHA20_POLY1305_SHA256));
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let unknown = "ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA";
        for (text, known, name) in [(unknown, TLS12, "'AES128-SHA'"), ("", TLS13, "''")] {
            let error = parse(text, known).unwrap_err();
            assert!(error.contains(name), "{error}");
            assert!(known.iter().all(|(name, _)| error.contains(name)), "{error}");
        }
        // A name of the other version is none of this one.
        assert!(parse(TLS13[0].0, TLS12).is_err() && parse(TLS12[0].0, TLS13).is_err());
    }
}
