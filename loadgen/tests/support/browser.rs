//! Shows a page in headless Chromium, in a wide and in a narrow frame, and tells what there is to see.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Deserialize)]
pub struct Plot {
    pub id: String,
    /// Drawings that are shown: one of the two.
    pub drawings: usize,
    /// Of each series.
    pub points: Vec<usize>,
    pub titles: usize,
    pub rows: usize,
}

#[derive(Debug, Deserialize)]
pub struct Frame {
    pub width: usize,
    /// Elements that run or fetch something.
    pub scripts: usize,
    /// The page as a whole is wider than the window.
    pub scrolls: bool,
    pub outside: Vec<String>,
    pub overlaps: Vec<String>,
    pub plots: Vec<Plot>,
    /// Addresses that the page asked for.
    pub requests: Vec<String>,
}

pub struct Seen {
    pub frames: Vec<Frame>,
    /// What the browser complained about.
    pub complaints: Vec<String>,
}

pub fn browse(page: &str) -> Seen {
    let browser = BROWSERS.into_iter().find(|name| on_path(name)).unwrap_or_else(|| {
        panic!("this test needs Chromium: apt-get install chromium (scripts/test does that)")
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("harness.html");
    std::fs::write(&file, harness(page)).unwrap();
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
        ])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .args([
            "--enable-logging=stderr",
            "--window-size=1400,1000",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        // Nothing listens there: neither the page nor the browser itself reaches anything outside.
        .args(["--proxy-server=127.0.0.1:1", "--proxy-bypass-list=<-loopback>"])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let output = std::thread::spawn(move || text_of(&mut output));
    let errors = std::thread::spawn(move || text_of(&mut errors));
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{browser} did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (output, errors) = (output.join().unwrap(), errors.join().unwrap());
    let found = output.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split('<').next());
    let found =
        found.filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{browser} saw nothing: {errors}"));
    Seen {
        frames: serde_json::from_slice(&STANDARD.decode(found).unwrap()).unwrap(),
        complaints: errors.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect(),
    }
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(name).is_file())
}

fn text_of(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn harness(page: &str) -> String {
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    let frame = |width: u32| format!("<iframe width={width} height=900 srcdoc=\"{quoted}\"></iframe>");
    let script = include_str!("inspect.js");
    format!(
        "<!DOCTYPE html><meta charset=utf-8>{}{}<pre id=\"seen\"></pre><script>{script}</script>",
        frame(1200),
        frame(360)
    )
}
