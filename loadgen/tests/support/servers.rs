//! Our own server, for tests of the generator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The server of this workspace as its sources are now. The tests of a package do not build the others' binaries,
/// so that one left beside the generator could be of any age; cargo builds it, in a moment if it is fresh.
pub fn polder_server() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let beside = Path::new(env!("CARGO_BIN_EXE_polder-loadgen")).with_file_name("polder-server");
        let target = beside.parent().and_then(Path::parent).unwrap();
        let profile = if cfg!(debug_assertions) { "test" } else { "release" };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bin", "polder-server", "--profile", profile]);
        build.arg("--target-dir").arg(target);
        assert!(build.status().unwrap().success(), "polder-server cannot be built");
        beside
    })
}
