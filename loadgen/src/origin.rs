//! What a result was made on, with and of: what makes it worth keeping.

use std::time::SystemTime;

use crate::client::{Client, Value};
use crate::result::{FORMAT, ResultFile};

/// What INFO says of servers that have another name than Redis, before what Redis itself says.
const VERSION_FIELDS: [(&str, &str); 5] = [
    ("polder_version:", "polder-server"),
    ("valkey_version:", "valkey-server"),
    ("dragonfly_version:", "dragonfly"),
    ("garnet_version:", "garnet"),
    ("redis_version:", "redis-server"),
];

impl ResultFile {
    /// A result that begins now and has no run yet.
    pub fn begin(server: String) -> ResultFile {
        ResultFile {
            format: FORMAT,
            generator: concat!("polder-loadgen ", env!("CARGO_PKG_VERSION")).into(),
            started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            command_line: without_password(std::env::args()),
            machine: machine(),
            server,
            runs: Vec::new(),
        }
    }
}

/// `AMD EPYC 7763, 8 processors, Linux 6.1.0 x86_64`
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let ending = if processors == 1 { "" } else { "s" };
    let (release, architecture) = polder::runtime::process::kernel();
    format!("{}, {processors} processor{ending}, Linux {release} {architecture}", processor())
}

/// The processor's model.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown".into(), |(_, name)| name.trim().to_string())
}

/// What a server calls itself, as `redis-server 7.0.15`; a server may refuse to say it.
pub fn server_name(client: &mut Client) -> String {
    match client.ask(&["INFO", "server"]) {
        Ok(Value::Text(text)) => name_in(&text),
        _ => "unknown server".into(),
    }
}

/// The same, from what INFO says.
pub fn name_in(info: &str) -> String {
    let named =
        VERSION_FIELDS.iter().find_map(|(field, name)| Some(format!("{name} {}", field_in(info, field)?)));
    named.unwrap_or_else(|| "unknown server".into())
}

/// What stands behind `field:` in INFO.
pub fn field_in<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(field)).map(str::trim)
}

/// Flags whose value is a password.
const PASSWORD_FLAGS: [&str; 3] = ["--pass", "--a-pass", "--b-pass"];

/// A result is shown to others: passwords are left out of the command line.
pub fn without_password(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut hidden = false;
    let mut kept = Vec::new();
    for word in words {
        let short = word.starts_with("-a") && !word.starts_with("--");
        let shown = match word.split_once('=') {
            Some((flag, _)) if PASSWORD_FLAGS.contains(&flag) => Some(format!("{flag}=***")),
            _ if short && word.len() > 2 => Some("-a***".into()),
            _ => None,
        };
        if std::mem::take(&mut hidden) {
            kept.push("***".into());
        } else {
            hidden = word == "-a" || PASSWORD_FLAGS.contains(&word.as_str());
            kept.push(shown.unwrap_or(word));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named() {
        let polder = "# Server\r\nredis_version:7.2.0\r\npolder_version:0.1.0\r\n";
        assert_eq!(name_in(polder), "polder-server 0.1.0");
        assert_eq!(name_in("# Server\r\nredis_version:7.0.15\r\n"), "redis-server 7.0.15");
        assert_eq!(name_in("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n"), "valkey-server 8.0.1");
        assert_eq!(name_in(""), "unknown server");
    }

    #[test]
    fn passwords_are_left_out() {
        let shown = |line: &str| without_password(line.split(' ').map(String::from)).join(" ");
        assert_eq!(shown("x -a secret -t get"), "x -a *** -t get");
        assert_eq!(shown("x --pass secret --pass=secret -asecret"), "x --pass *** --pass=*** -a***");
        assert_eq!(shown("x -a -a -p 1"), "x -a *** -p 1");
        assert_eq!(shown("x --all -h a"), "x --all -h a");
        assert_eq!(shown("x --a-pass secret --b-pass=secret --a x"), "x --a-pass *** --b-pass=*** --a x");
    }

    #[test]
    fn a_result_says_where_it_was_made() {
        let result = ResultFile::begin("s".into());
        assert!(
            result.machine.contains("processor") && result.machine.contains("Linux"),
            "{}",
            result.machine
        );
        assert!(humantime::parse_rfc3339(&result.started_at).is_ok(), "{}", result.started_at);
        let text = serde_json::to_vec(&result).unwrap();
        assert_eq!(ResultFile::parse(&text).unwrap(), result);
        let older = String::from_utf8(text).unwrap().replace("\"format\":1", "\"format\":0");
        assert_eq!(
            ResultFile::parse(older.as_bytes()).unwrap_err(),
            "has format 0, but this version reads 1"
        );
        assert!(ResultFile::parse(b"[]").unwrap_err().starts_with("is no result of polder-loadgen --json"));
    }
}
