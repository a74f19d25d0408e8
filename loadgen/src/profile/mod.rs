//! Workloads described in files: what an application does, as weighted operations over key spaces.
//!
//! ```text
//!   file: text of a profile (TOML) ─► Profile as it is written
//!   compile: its words and placeholders ─► requests: bytes with places that are filled for each
//!   route: which node of a cluster;  fill: setup, required commands, preload
//! ```

pub mod fill;
pub mod compile;
pub mod route;
pub mod requests;
pub mod file;

use compile::Parts;

use crate::error::Failure;

/// Reads a built-in profile or a file and compiles it: its name, its parts.
pub fn load(name_or_path: &str) -> Result<(String, Parts), Failure> {
    let (name, text) = file::read(name_or_path)?;
    let parts = file::parse(&text).and_then(|profile| compile::compile(&text, &profile));
    parts
        .map(|parts| (name.clone(), parts))
        .map_err(|error| Failure::Options(format!("profile {name}: {error}")))
}

/// What `polder-loadgen profiles` prints: all names, or the text of one.
pub fn list(name: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = name {
        return file::read(name).map(|(_, text)| text);
    }
    let mut lines = String::new();
    for (name, text) in BUILT_IN {
        let about =
            file::parse(text).map_err(|error| Failure::Options(format!("profile {name}: {error}")))?.about;
        lines.push_str(&format!("{name:14} {about}\n"));
    }
    Ok(lines)
}

/// The profiles that are part of the program: name and text.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("cache-aside", include_str!("../../profiles/cache-aside.toml")),
    ("sessions", include_str!("../../profiles/sessions.toml")),
    ("counters", include_str!("../../profiles/counters.toml")),
    ("leaderboard", include_str!("../../profiles/leaderboard.toml")),
    ("work-queue", include_str!("../../profiles/work-queue.toml")),
    ("stream-groups", include_str!("../../profiles/stream-groups.toml")),
    ("pubsub", include_str!("../../profiles/pubsub.toml")),
    ("lua-lock", include_str!("../../profiles/lua-lock.toml")),
    ("transfer", include_str!("../../profiles/transfer.toml")),
    ("geo", include_str!("../../profiles/geo.toml")),
];
