//! `--help` and `--version`, from the table.

use super::directives::{Change, Config, DIRECTIVES, Directive, FILE_ONLY, Status};
use super::error::REDIS_VERSION;

const USAGE: &str = "\
Usage: polder-server [CONFIG_FILE | -] [--DIRECTIVE VALUE ...] [-]
       polder-server - (reads the configuration from standard input)
       polder-server -v or --version
       polder-server -h or --help

Examples:
       polder-server
       polder-server /etc/redis/redis.conf
       polder-server --port 7777 --shards 4 --maxmemory 2gb
       polder-server /etc/redis/redis.conf --loglevel verbose
       echo 'maxmemory 128mb' | polder-server -

Every directive of a configuration file is an option too. Its values are the words up to the next word
that begins with two dashes. An option overrides the file, except that `save` adds to it.

After each name: what it takes, its default, and whether it changes only at the start (start), at run time
too (no word) or at run time under enable-protected-configs (protected). Directives that are accepted but
do nothing yet are marked with (*).
";

/// The text of `--version`, one line.
///
/// Tools read the number behind `v=` as Redis's version, so our own comes last.
pub fn version() -> String {
    format!(
        "Polder server v={REDIS_VERSION} sha=00000000:0 malloc=mimalloc bits={} build=polder-{}\n",
        usize::BITS,
        env!("CARGO_PKG_VERSION")
    )
}

/// The text of `--help`: usage, Polder's own directives, then those of Redis.
pub fn help() -> String {
    let defaults = Config::default();
    let mut text = String::from(USAGE);
    let mut section = "";
    for directive in DIRECTIVES {
        if directive.section != section {
            section = directive.section;
            text.push_str(&format!("\n{section}:\n"));
        }
        text.push_str(&entry(directive, &defaults));
    }
    text.push_str("\nIn files and on the command line only:\n");
    for directive in FILE_ONLY {
        text.push_str(&format!("  --{}\n      {}\n", directive.name, directive.help));
    }
    text
}

fn entry(directive: &Directive, defaults: &Config) -> String {
    let default = directive.show(defaults);
    let default = match default.as_slice() {
        b"" => "\"\"".into(),
        shown => String::from_utf8_lossy(shown),
    };
    let change = match directive.change {
        Change::Live => "",
        Change::StartOnly => ", start",
        Change::Protected => ", protected",
    };
    let mark = if directive.status == Status::NotYet { " (*)" } else { "" };
    let aliases = match directive.aliases {
        [] => String::new(),
        aliases => format!(" Also: {}.", aliases.join(", ")),
    };
    let Directive { name, kind, help, .. } = directive;
    format!("  --{name} <{kind}> [{default}{change}]{mark}\n      {help}{aliases}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_directive_and_our_own_first() {
        let text = help();
        for name in DIRECTIVES.iter().flat_map(Directive::names).chain(FILE_ONLY.iter().map(|only| only.name))
        {
            assert!(text.contains(name), "{name}");
        }
        assert!(text.find("--shards").unwrap() < text.find("  --port <").unwrap());
        assert!(text.contains("  --port <integer 0..65535> [6379]\n"));
        assert!(text.contains("  --databases <integer 1..> [16, start]\n"));
    }

    #[test]
    fn version_is_one_line() {
        assert!(version().starts_with("Polder server v=") && version().lines().count() == 1);
        assert!(version().contains("v=7.2.4 ") && version().contains("build=polder-"));
    }
}
