//! Why a run failed, by consequence: the exit code follows from it.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What was asked for cannot be done.
    Options(String),
    /// The server is not there, went away in the middle or does not speak RESP.
    ServerGone(String),
    /// The load ran, but replies were errors or wrong.
    Replies(String),
    /// The generator, not the server, was the bottleneck of an open loop.
    Bottleneck(String),
    /// The user ended the load early.
    Interrupted(String),
    /// The server lacks a command that the load needs.
    NotAvailable(String),
    /// Something on this machine: files, processes.
    System(String),
}

impl Failure {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::ServerGone(_) => 2,
            Failure::Bottleneck(_) => 3,
            // As shells say of what SIGINT ended.
            Failure::Interrupted(_) => 130,
            Failure::Options(_) | Failure::Replies(_) | Failure::NotAvailable(_) | Failure::System(_) => 1,
        }
    }

    /// Of a question that was not answered well: by an error reply, or because the server is gone.
    pub fn of_answer(what: &str, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::Other => Failure::Replies(format!("{what}: {error}")),
            _ => Failure::ServerGone(format!("{what}: {error}")),
        }
    }

    /// The same, told behind what it is about.
    pub fn behind(self, what: &str) -> Failure {
        let told = |text: String| format!("{what}: {text}");
        match self {
            Failure::Options(text) => Failure::Options(told(text)),
            Failure::ServerGone(text) => Failure::ServerGone(told(text)),
            Failure::Replies(text) => Failure::Replies(told(text)),
            Failure::Bottleneck(text) => Failure::Bottleneck(told(text)),
            Failure::Interrupted(text) => Failure::Interrupted(told(text)),
            Failure::NotAvailable(text) => Failure::NotAvailable(told(text)),
            Failure::System(text) => Failure::System(told(text)),
        }
    }

    pub fn is_server_gone(&self) -> bool {
        matches!(self, Failure::ServerGone(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Options(text)
            | Failure::ServerGone(text)
            | Failure::Replies(text)
            | Failure::Bottleneck(text)
            | Failure::Interrupted(text)
            | Failure::NotAvailable(text)
            | Failure::System(text) => formatter.write_str(text),
        }
    }
}
