//! TLS for connections to the server: the flags, and what turns bytes into records and back.
//!
//! A connection does its handshake while it is a [plain blocking one](crate::client); then its session goes
//! along with its socket into the load. Certificates are checked as redis-cli and redis-benchmark check
//! them: somebody who is trusted must have signed the server's, but it may bear any name, since servers are
//! asked at addresses that no certificate names.
//!
//! No session is resumed: every connection costs the server what the first one of a client costs.

mod ciphers;

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error,
    InvalidMessage, RootCertStore, SignatureScheme,
};

use ciphers::Ciphers;

/// How connections are protected.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsOptions {
    /// Speaks TLS. The server's certificate has to be signed by an authority that is trusted; which names
    /// are in it does not matter.
    #[arg(long)]
    pub tls: bool,
    /// File with the certificates of trusted authorities, in PEM, instead of those of this system.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub cacert: Option<PathBuf>,
    /// Folder with such files: *.pem and *.crt.
    #[arg(long, value_name = "DIRECTORY", requires = "tls")]
    pub cacertdir: Option<PathBuf>,
    /// Trusts whoever answers.
    #[arg(long, requires = "tls", conflicts_with_all = ["cacert", "cacertdir"])]
    pub insecure: bool,
    /// Certificate to show the server, in PEM, with those between it and its authority.
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    pub cert: Option<PathBuf>,
    /// Private key of --cert, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["tls", "cert"])]
    pub key: Option<PathBuf>,
    /// Name of the server to ask for; by default the host.
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub sni: Option<String>,
    /// Ciphers of TLS 1.2 to offer, the preferred one first, by their names in OpenSSL with ':' between them (a
    /// wrong name lists all); by default all.
    #[arg(long, value_name = "NAMES", requires = "tls", value_parser = Ciphers::tls12())]
    pub tls_ciphers: Option<Ciphers>,
    /// The same of TLS 1.3. Neither flag keeps a server from choosing the other version.
    #[arg(long, value_name = "NAMES", requires = "tls", value_parser = Ciphers::tls13())]
    pub tls_ciphersuites: Option<Ciphers>,
    /// What the files say, read once.
    #[arg(skip)]
    read: OnceLock<Arc<ClientConfig>>,
}

/// What a connection needs to begin a session.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    sni: Option<String>,
}

impl TlsOptions {
    /// Reads the files, once; `None` without --tls. The error names the option.
    pub fn read(&self) -> Result<Option<Tls>, String> {
        if !self.tls {
            return Ok(None);
        }
        let config = match self.read.get() {
            Some(config) => Arc::clone(config),
            None => {
                let config = Arc::new(self.config()?);
                Arc::clone(self.read.get_or_init(|| config))
            }
        };
        Ok(Some(Tls { config, sni: self.sni.clone() }))
    }

    /// The options as they were given, word by word.
    pub fn words(&self) -> Vec<String> {
        let flags = [("--tls", self.tls), ("--insecure", self.insecure)];
        let mut words: Vec<String> =
            flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_string()).collect();
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let names = |ciphers: &Option<Ciphers>| ciphers.as_ref().map(|ciphers| ciphers.text.clone());
        let values = [
            ("--cacert", text(&self.cacert)),
            ("--cacertdir", text(&self.cacertdir)),
            ("--cert", text(&self.cert)),
            ("--key", text(&self.key)),
            ("--sni", self.sni.clone()),
            ("--tls-ciphers", names(&self.tls_ciphers)),
            ("--tls-ciphersuites", names(&self.tls_ciphersuites)),
        ];
        for (flag, value) in values {
            words.extend(value.into_iter().flat_map(|value| [flag.to_string(), value]));
        }
        words
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites = ciphers::offered(self.tls_ciphers.as_ref(), self.tls_ciphersuites.as_ref());
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("--tls: {error}"))?;
        // Signatures are checked in any case; without authorities nothing else is.
        let authorities = match self.insecure {
            true => None,
            false => {
                let roots = Arc::new(self.roots()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
                Some(verifier.build().map_err(|error| format!("--cacert: {error}"))?)
            }
        };
        let algorithms = provider.signature_verification_algorithms;
        let verifier = AnyName { authorities, algorithms };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates("--cert", cert)?, private_key(key)?)
                .map_err(|error| format!("--cert and --key: {error}"))?,
            _ => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut found = Vec::new();
        if let Some(path) = &self.cacert {
            found.extend(certificates("--cacert", path)?);
        }
        if let Some(folder) = &self.cacertdir {
            for path in certificate_files(folder)? {
                found.extend(certificates("--cacertdir", &path)?);
            }
        }
        if self.cacert.is_none() && self.cacertdir.is_none() {
            found = rustls_native_certs::load_native_certs().certs;
            if found.is_empty() {
                return Err("--tls: this system has no trusted certificates: give --cacert".into());
            }
        }
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found);
        match added {
            0 => Err("--cacert: none of the certificates can be used".into()),
            _ => Ok(roots),
        }
    }
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{option} {}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(failed(&"there is no certificate in PEM in it")),
        found => found.map_err(|error| failed(&error)),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("--key {}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            failed(&"there is no private key in PEM without a passphrase in it")
        }
        error => failed(&error),
    })
}

fn certificate_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("--cacertdir {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "pem" || extension == "crt") {
            files.push(path);
        }
    }
    match files.is_empty() {
        true => Err(failed(&"there is no *.pem and no *.crt in it")),
        false => Ok(files),
    }
}

/// Trusts certificates of known authorities, or all, whatever their names.
#[derive(Debug)]
struct AnyName {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    algorithms: rustls::crypto::WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Names are looked at last, when all else is right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The TLS state of one connection.
pub struct Session {
    connection: Box<ClientConnection>,
    /// A buffer for records; while it is being sent, the bytes that were sealed.
    other: Vec<u8>,
}

impl Session {
    /// Does the handshake over a connected socket that blocks, but not for ever.
    pub fn begin(tls: &Tls, host: &str, socket: &mut (impl Read + Write)) -> io::Result<Session> {
        let name = tls.sni.as_deref().unwrap_or(host).to_string();
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("TLS: '{name}' is no name of a server"))
        })?;
        let mut connection = ClientConnection::new(Arc::clone(&tls.config), name).map_err(explain)?;
        // What a pipeline sends is as long as it is.
        connection.set_buffer_limit(None);
        connection.complete_io(socket).map_err(|error| handshake_failed(error, &mut connection, socket))?;
        Ok(Session { connection: Box::new(connection), other: Vec::new() })
    }

    /// Turns bytes into the records to send. They are kept until the records are [given back](Self::restore).
    pub fn seal(&mut self, plain: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut records = std::mem::take(&mut self.other);
        records.clear();
        self.seal_into(&plain, &mut records)?;
        self.other = plain;
        Ok(records)
    }

    /// Exchanges sent records for the bytes in them.
    pub fn restore(&mut self, records: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.other, records)
    }

    /// Appends the records of some bytes, and whatever else the session has to tell.
    pub fn seal_into(&mut self, plain: &[u8], records: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(plain)?;
        while self.connection.wants_write() {
            self.connection.write_tls(records)?;
        }
        Ok(())
    }

    /// Hands the bytes in received records to `take`, which may refuse them; records may come in pieces.
    pub fn open<E: From<io::Error>>(
        &mut self,
        mut records: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !records.is_empty() {
            if self.connection.read_tls(&mut records)? == 0 {
                // The server has said that nothing more comes.
                return Ok(());
            }
            self.connection.process_new_packets().map_err(explain)?;
            let mut reader = self.connection.reader();
            while let Ok(plain) = reader.fill_buf()
                && !plain.is_empty()
            {
                take(plain)?;
                let length = plain.len();
                reader.consume(length);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

fn handshake_failed(
    error: io::Error,
    connection: &mut ClientConnection,
    socket: &mut impl Read,
) -> io::Error {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return explain(inner.clone());
    }
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            let text = "TLS: the server does not answer: is this a port without TLS?";
            io::Error::new(io::ErrorKind::TimedOut, text)
        }
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            // What the server said before it closed may have arrived.
            let _ = connection.read_tls(socket);
            match connection.process_new_packets() {
                Err(inner) => explain(inner),
                Ok(_) => {
                    io::Error::new(error.kind(), "TLS: the server closed the connection in the handshake")
                }
            }
        }
        _ => error,
    }
}

/// What went wrong, with what to do about it.
fn explain(error: Error) -> io::Error {
    let hint = match &error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            ": give the certificate of its authority with --cacert, or --insecure"
        }
        Error::InvalidCertificate(_) => ": --insecure takes it nevertheless",
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => ": is this a port without TLS?",
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            ": does the server want to see a certificate? see --cert"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            ": does the server want to see a certificate? see --cert; or other ciphers? see --tls-ciphers and \
             --tls-ciphersuites"
        }
        _ => "",
    };
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_wrong_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.txt");
        std::fs::write(&empty, "nothing").unwrap();
        let options = TlsOptions { tls: true, cacert: Some("/no/such.pem".into()), ..TlsOptions::default() };
        let error = options.read().unwrap_err();
        assert!(error.starts_with("--cacert /no/such.pem: "), "{error}");
        let options = TlsOptions { tls: true, cacert: Some(empty.clone()), ..TlsOptions::default() };
        let error = options.read().unwrap_err();
        assert!(error.contains("no certificate"), "{error}");
        let cacertdir = Some(folder.path().to_path_buf());
        let options = TlsOptions { tls: true, cacertdir, ..TlsOptions::default() };
        assert!(options.read().unwrap_err().contains("no *.pem"));
        let error = private_key(&empty).unwrap_err();
        assert!(error.starts_with("--key ") && error.contains("no private key"), "{error}");
        assert!(TlsOptions::default().read().unwrap().is_none());
    }
}
