//! From the command line to a [`Startup`]: the file, standard input and the options become one text, which
//! is read line by line.
//!
//! ```text
//!   polder-server my.conf --port 7000 --save 60 1 -
//!                 ──┬───  ──────────┬──────────── ┬
//!   lines of my.conf│               │             │     1 ..
//!   lines of standard input ────────┼─────────────┘     then
//!   an empty line, then  port "7000"│ and  save "60" "1"
//! ```
//! So an option overrides the file (and `save` adds to it), and a faulty option is reported like a faulty
//! line, with its number in this text. An included file has numbers of its own.
//!
//! Nothing is put into effect here: `dir` is not entered, users are not made, commands are not renamed. The
//! server does so with what it finds in the `Startup`, and reports a refusal at the line in question.

use super::directives::{Config, DIRECTIVES, Directive, FILE_ONLY, FileAction, FileOnly, Status, find};
use super::error::{self, SourceLine, StartError, ValueError};
use super::help::{help, version};
use super::value::Source;
use super::words::{quote, split_words};
use crate::glob::{glob_match, is_glob};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// How deep files may include each other.
const INCLUDE_DEPTH_MAX: usize = 16;

/// The largest file that is taken for a configuration.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What the command line asks for.
pub enum Launch {
    Serve(Box<Startup>),
    /// A text for the standard output, after which the process ends well.
    Print(String),
}

/// A line that names a user, a command or a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLine {
    pub line: SourceLine,
    /// The words after the directive.
    pub words: Vec<Vec<u8>>,
}

/// All that the server starts from.
#[derive(Debug, Default)]
pub struct Startup {
    pub config: Config,
    /// The absolute path of the main file: what CONFIG REWRITE rewrites.
    pub config_file: Option<PathBuf>,
    pub users: Vec<NamedLine>,
    /// The old name and the new one; an empty new name takes the command away.
    pub renamed_commands: Vec<NamedLine>,
    pub modules: Vec<NamedLine>,
    /// Directives that were set to something else than their default and have no effect yet, in the
    /// order of the table.
    pub not_in_effect: Vec<&'static str>,
    lines: HashMap<&'static str, SourceLine>,
}

impl Startup {
    /// The last line that set the directive, for an error that only shows when the value is put into
    /// effect. Takes the name in the table's spelling.
    pub fn line_of(&self, name: &str) -> Option<&SourceLine> {
        self.lines.get(name)
    }
}

/// Reads the arguments after the program's name, and the files that they name.
pub fn load(arguments: impl IntoIterator<Item = OsString>) -> Result<Launch, StartError> {
    let arguments: Vec<Vec<u8>> = arguments.into_iter().map(OsString::into_vec).collect();
    match arguments.first().map(Vec::as_slice) {
        Some(b"-v" | b"--version") => return Ok(Launch::Print(version())),
        Some(b"-h" | b"--help") => return Ok(Launch::Print(help())),
        _ => {}
    }
    let mut arguments = arguments.as_slice();
    let mut text = Vec::new();
    let mut config_file = None;
    let mut from_stdin = false;
    match arguments {
        [first, rest @ ..] if first == b"-" => {
            from_stdin = true;
            arguments = rest;
        }
        [first, rest @ ..] if !first.starts_with(b"-") => {
            let path = Path::new(OsStr::from_bytes(first));
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            text = read_file(Some(&path))?;
            config_file = Some(path);
            arguments = rest;
        }
        _ => {}
    }
    if let [rest @ .., last] = arguments
        && last == b"-"
    {
        from_stdin = true;
        arguments = rest;
    }
    if from_stdin {
        text.extend(read_file(None)?);
    }
    if !arguments.is_empty() {
        text.push(b'\n');
        text.extend(options_text(arguments));
    }
    let mut reader = Reader::default();
    reader.startup.config_file = config_file;
    reader.read(&text, 0)?;
    Ok(Launch::Serve(Box::new(reader.finish())))
}

/// Options as lines of a file. A word with two dashes begins one, unless it comes where the option before
/// still waits for its value: `--requirepass --secret`. Only `save` may do without a value in that place.
fn options_text(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut awaits_value = false;
    for argument in arguments {
        match argument.strip_prefix(b"--") {
            Some(option) if !awaits_value => {
                if !text.is_empty() {
                    text.push(b'\n');
                }
                text.extend(option);
                // An option may bring its values along: '--save 60 1'.
                awaits_value = split_words(option).is_some_and(|words| words.len() == 1)
                    && !option.eq_ignore_ascii_case(b"save");
            }
            _ => {
                if !text.is_empty() {
                    text.push(b' ');
                }
                text.extend(quote(argument));
                awaits_value = false;
            }
        }
    }
    text
}

/// Reads a whole file, or standard input: the only place where this module reads from outside.
fn read_file(path: Option<&Path>) -> Result<Vec<u8>, StartError> {
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) => File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)),
        None => io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes),
    };
    let read = read.and_then(|length| {
        if length as u64 > FILE_BYTES_MAX { Err(io::Error::other("File too large")) } else { Ok(()) }
    });
    let path = path.unwrap_or(Path::new("-"));
    read.map(|()| bytes).map_err(|error| StartError::File { path: path.to_owned(), error })
}

/// The files that an include names, sorted; a pattern may name none.
fn expand(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let pattern = component.as_os_str().as_bytes();
        if !matches!(component, Component::Normal(_)) || !is_glob(pattern) {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        let mut next = Vec::new();
        for directory in found {
            let place = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let hidden = name.as_bytes().starts_with(b".") && !pattern.starts_with(b".");
                if !hidden && glob_match(pattern, name.as_bytes(), false) {
                    next.push(directory.join(name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

#[derive(Default)]
struct Reader {
    startup: Startup,
    /// Whether the next `save` adds to the points so far; the first of a file replaces them.
    save_adds: bool,
}

impl Reader {
    fn read(&mut self, text: &[u8], depth: usize) -> Result<(), StartError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let line = SourceLine { number: index + 1, text: line.to_vec() };
            let Some(mut words) = split_words(&line.text) else {
                return Err(StartError::at(&line, error::UNBALANCED_QUOTES));
            };
            if words.is_empty() {
                continue;
            }
            let name = words.remove(0);
            self.directive(&name, words, line, depth)?;
        }
        // As in Redis, where the end of an included file counts, too.
        self.save_adds = false;
        Ok(())
    }

    fn directive(
        &mut self,
        name: &[u8],
        words: Vec<Vec<u8>>,
        line: SourceLine,
        depth: usize,
    ) -> Result<(), StartError> {
        if let Some(directive) = find(name) {
            self.assign(directive, &words).map_err(|error| StartError::at(&line, error))?;
            self.startup.lines.insert(directive.name, line);
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"sentinel") {
            return Err(StartError::at(&line, error::SENTINEL));
        }
        let known = FILE_ONLY.iter().find(|only| name.eq_ignore_ascii_case(only.name.as_bytes()));
        match known {
            Some(FileOnly { action, words: (least, most), .. })
                if (*least..=*most).contains(&words.len()) =>
            {
                match action {
                    FileAction::Include => self.include(&words[0], &line, depth)?,
                    FileAction::User => self.startup.users.push(NamedLine { line, words }),
                    FileAction::RenameCommand => {
                        self.startup.renamed_commands.push(NamedLine { line, words });
                    }
                    FileAction::LoadModule => self.startup.modules.push(NamedLine { line, words }),
                    FileAction::Ignore => {}
                }
                Ok(())
            }
            _ => Err(StartError::at(&line, error::UNKNOWN_DIRECTIVE)),
        }
    }

    fn assign(&mut self, directive: &Directive, words: &[Vec<u8>]) -> Result<(), ValueError> {
        let config = &mut self.startup.config;
        if directive.name != "save" {
            return directive.assign(config, words, Source::Start);
        }
        // The first replaces the default points, those that follow add to it.
        let source = if self.save_adds { Source::Start } else { Source::Set };
        directive.assign(config, words, source)?;
        self.save_adds = true;
        Ok(())
    }

    /// Reads the files that an include names. A relative path starts from `dir`, where one was given
    /// before, because Redis enters that directory at once.
    fn include(&mut self, path: &[u8], line: &SourceLine, depth: usize) -> Result<(), StartError> {
        if depth == INCLUDE_DEPTH_MAX {
            return Err(StartError::at(line, error::INCLUDES_TOO_DEEP));
        }
        let mut full = PathBuf::from(OsStr::from_bytes(path));
        if full.is_relative() && self.startup.lines.contains_key("dir") {
            full = self.startup.config.dir.as_path().join(full);
        }
        let paths = if is_glob(path) { expand(&full) } else { vec![full] };
        for path in paths {
            let text = read_file(Some(&path))?;
            self.read(&text, depth + 1)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Startup {
        self.startup.config.settle();
        let defaults = Config::default();
        let ineffective = |directive: &&Directive| {
            directive.status == Status::NotYet && !directive.same(&self.startup.config, &defaults)
        };
        self.startup.not_in_effect =
            DIRECTIVES.iter().filter(ineffective).map(|directive| directive.name).collect();
        if !self.startup.modules.is_empty() {
            self.startup.not_in_effect.push("loadmodule");
        }
        self.startup
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Startup, StartError> {
        let mut reader = Reader::default();
        reader.read(text.as_bytes(), 0)?;
        Ok(reader.finish())
    }

    fn start(arguments: &[&str]) -> Result<Startup, StartError> {
        match load(arguments.iter().map(OsString::from))? {
            Launch::Serve(startup) => Ok(*startup),
            Launch::Print(text) => panic!("{text}"),
        }
    }

    fn show(startup: &Startup, name: &str) -> String {
        String::from_utf8(find(name.as_bytes()).unwrap().show(&startup.config)).unwrap()
    }

    /// A directory of its own for a test, removed at the end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("polder-config-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_faulty_line_is_reported_in_the_words_of_redis() {
        assert_eq!(
            read("port 0\n# c\n  prot 7000 \n").unwrap_err().to_string(),
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\n\
             Reading the configuration file, at line 3\n>>> 'prot 7000'\n\
             Bad directive or wrong number of arguments\n"
        );
        for (line, reason) in [
            ("port", "wrong number of arguments"),
            ("port 1 2", "wrong number of arguments"),
            ("port 0 # no comment", "wrong number of arguments"),
            ("port x", "argument couldn't be parsed into an integer"),
            ("port 70000", "argument must be between 0 and 65535 inclusive"),
            ("appendonly maybe", "argument must be 'yes' or 'no'"),
            ("appendfsync x", "argument(s) must be one of the following: everysec, always, no"),
            ("maxmemory 10zb", "argument must be a memory value"),
            ("maxmemory-clients x%", "argument must be a memory or percent value"),
            ("unixsocketperm 999", "argument couldn't be parsed as an octal number"),
            ("unixsocketperm 7777", "argument must be between 0 and 777 inclusive"),
            ("dir \"abc", "Unbalanced quotes in configuration line"),
            ("save 60", "Invalid save parameters"),
            (
                "client-output-buffer-limit normal 0 0",
                "Wrong number of arguments in buffer limit configuration.",
            ),
            ("oom-score-adj-values 1 2", "wrong number of arguments"),
            ("notify-keyspace-events K E", "wrong number of arguments"),
            (
                "latency-tracking-info-percentiles \"1 2\" 3",
                "Invalid latency-tracking-info-percentiles parameters",
            ),
            ("replicaof a", "wrong number of arguments"),
            ("replicaof a b", "Invalid master port"),
            ("appendfilename \"\"", "appendfilename can't be empty"),
            ("dbfilename a/b", "dbfilename can't be a path, just a filename"),
            ("proc-title-template {foo}", "template format is invalid or contains unknown variables"),
            ("sentinel monitor x", "sentinel directive while not in sentinel mode"),
            ("rename-command FOO", "Bad directive or wrong number of arguments"),
            ("loadmodule", "Bad directive or wrong number of arguments"),
            ("include", "Bad directive or wrong number of arguments"),
            ("list-max-ziplist-entries", "Bad directive or wrong number of arguments"),
        ] {
            match read(line).unwrap_err() {
                StartError::Line { reason: found, .. } => assert_eq!(found, reason, "{line}"),
                StartError::File { .. } => panic!("{line}"),
            }
        }
    }

    #[test]
    fn the_grammar_of_a_file() {
        let startup = read(
            "# comment\r\n\n PORT 7000\r\n\tport '7001'\nloglevel \"verb\\x6fse\"\nslave-read-only no\n\
             client-output-buffer-limit normal 1kb 1k 3 \nclient-output-buffer-limit \"pubsub 5 6 7\"\n\
             bind 127.0.0.1 -::1\nuser alice on >x\nrename-command DEBUG \"\"\nlist-max-ziplist-value 4\n\
             maxmemory 256mb\nreplicaof no one\nshutdown-on-sigint save now\nlogfile \"\"",
        )
        .unwrap();
        let config = &startup.config;
        assert_eq!(config.port, 7001);
        assert_eq!(startup.line_of("port").unwrap().number, 4);
        assert_eq!((config.maxmemory, config.replica_read_only), (256 << 20, false));
        assert_eq!(show(&startup, "loglevel"), "verbose");
        assert_eq!(show(&startup, "bind"), "127.0.0.1 -::1");
        assert_eq!(
            show(&startup, "client-output-buffer-limit"),
            "normal 1024 1000 3 slave 268435456 67108864 60 pubsub 5 6 7"
        );
        assert_eq!(startup.users[0].words, [b"alice".to_vec(), b"on".to_vec(), b">x".to_vec()]);
        assert_eq!(startup.renamed_commands[0].words[1], b"");
        assert_eq!(startup.not_in_effect, ["shutdown-on-sigint", "replica-read-only"]);
    }

    #[test]
    fn save_lines_make_one_list() {
        let save = |text| show(&read(text).unwrap(), "save");
        assert_eq!(save("port 1"), "3600 1 300 100 60 10000");
        assert_eq!(save("save 1 2\nsave 3 4"), "1 2 3 4");
        assert_eq!(save("save 1 1 2 2\nsave \"3 3\""), "1 1 2 2 3 3");
        assert_eq!(save("save 7 8\nsave \"\"\nsave 3 3"), "3 3");
        assert_eq!(save("save"), "");
    }

    #[test]
    fn options_become_lines() {
        let text = |arguments: &[&str]| {
            let arguments: Vec<Vec<u8>> = arguments.iter().map(|word| word.as_bytes().to_vec()).collect();
            String::from_utf8(options_text(&arguments)).unwrap()
        };
        assert_eq!(text(&["--port", "7000", "--save", "60", "1"]), "port \"7000\"\nsave \"60\" \"1\"");
        assert_eq!(text(&["--requirepass", "--x"]), "requirepass \"--x\"");
        assert_eq!(text(&["--save", "--port", "1"]), "save\nport \"1\"");
        assert_eq!(text(&["--port 0", "--hz 3"]), "port 0\nhz 3");
        assert_eq!(text(&["--foo", "--bar", "1"]), "foo \"--bar\" \"1\"");
        assert_eq!(text(&["-x"]), "\"-x\"");
    }

    #[test]
    fn options_come_after_the_file() {
        let directory = Directory::new("options");
        let file = directory.write("a.conf", "port 1\nhz 3");
        let startup = start(&[&file, "--port", "2", "--save", "60", "1", "--loglevel", "verbose"]).unwrap();
        assert_eq!((startup.config.port, startup.config.hz), (2, 3));
        assert_eq!(show(&startup, "save"), "60 1");
        assert_eq!(startup.config_file.unwrap(), Path::new(&file));
        let line = |arguments: &[&str]| match start(arguments).unwrap_err() {
            StartError::Line { line, .. } => (line.number, String::from_utf8(line.text).unwrap()),
            StartError::File { error, .. } => panic!("{error}"),
        };
        assert_eq!(line(&[&file, "--prot", "1"]), (3, "prot \"1\"".to_owned()));
        assert_eq!(line(&["--port", "1", "--prot"]), (3, "prot".to_owned()));
        assert!(start(&[]).unwrap().config_file.is_none());
    }

    #[test]
    fn included_files_are_read_in_place() {
        let directory = Directory::new("include");
        directory.write("inc-b.conf", "hz 7\nsave 7 8\n");
        directory.write("inc-a.conf", "hz 6\nloglevel debug\n");
        directory.write("bad.conf", "hz 3\nprot 1\n");
        let main = directory.write("main.conf", "");
        let path = directory.0.to_str().unwrap();
        fs::write(&main, format!("include {path}/inc*.conf\ndir {path}\ninclude none*.conf\nport 9\n"))
            .unwrap();
        let startup = start(&[&main]).unwrap();
        assert_eq!((startup.config.hz, startup.config.port), (7, 9), "sorted by name");
        assert_eq!(show(&startup, "loglevel"), "debug");
        fs::write(&main, format!("port 1\n\ndir {path}\ninclude bad.conf\n")).unwrap();
        let error = start(&[&main]).unwrap_err().to_string();
        assert!(error.contains("at line 2\n>>> 'prot 1'"), "{error}");
        fs::write(&main, format!("include {main}")).unwrap();
        let error = start(&[&main]).unwrap_err().to_string();
        assert!(error.contains("Too many nested includes"), "{error}");
        fs::write(&main, "include /nonexistent/file").unwrap();
        assert_eq!(
            start(&[&main]).unwrap_err().to_string(),
            "Fatal error, can't open config file '/nonexistent/file': No such file or directory"
        );
        assert!(matches!(start(&[path]), Err(StartError::File { .. })), "a directory is no file");
    }

    #[test]
    fn help_and_version_are_printed() {
        for argument in ["-v", "--version", "-h", "--help"] {
            assert!(matches!(load([OsString::from(argument), "x".into()]), Ok(Launch::Print(_))));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::default().read(&text, INCLUDE_DEPTH_MAX);
        }

        #[test]
        fn any_words_after_a_name_are_read_or_refused(
            index in 0..DIRECTIVES.len(),
            words in "[ -~]{0,30}",
        ) {
            let line = format!("{} {words}", DIRECTIVES[index].name);
            let _ = read(&line);
        }
    }
}
