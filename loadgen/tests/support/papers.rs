//! Certificates of a test's own.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority, and what it signed: a server's certificate, which names no address, and a client's.
pub struct Papers {
    pub folder: tempfile::TempDir,
}

impl Papers {
    pub fn new() -> Papers {
        let papers = Papers { folder: tempfile::tempdir().unwrap() };
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(DnType::CommonName, "authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&authority_key).unwrap();
        papers.write("ca.crt", &certificate.pem());
        let issuer = Issuer::new(authority, authority_key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let mut certificate = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
            certificate.distinguished_name.push(DnType::CommonName, name);
            papers.write(&format!("{name}.crt"), &certificate.signed_by(&key, &issuer).unwrap().pem());
            papers.write(&format!("{name}.key"), &key.serialize_pem());
        }
        papers
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A flag with one of the files.
    pub fn flag(&self, flag: &str, name: &str) -> String {
        format!("{flag} {}", self.path(name).display())
    }

    /// The flags of a redis-server that shows its certificate.
    pub fn server_flags(&self) -> String {
        [
            self.flag("--tls-ca-cert-file", "ca.crt"),
            self.flag("--tls-cert-file", "server.crt"),
            self.flag("--tls-key-file", "server.key"),
        ]
        .join(" ")
    }

    /// A redis-server to start, with nothing but TLS.
    pub fn server_line(&self, further: &str) -> String {
        format!("redis-server --save '' --port 0 --tls-port {{port}} {} {further}", self.server_flags())
    }
}
