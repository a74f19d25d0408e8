//! `report`: one or several results as one HTML page that needs nothing but itself.
//!
//! ```text
//!   files ─► data: every run with its label and its histograms
//!              └─► sections: which plots, of which series
//!                    └─► plot, bars: SVG ─► page: head, tables, style
//! ```
//!
//! The page has no script: values are the titles of points, and every plot has a table below it that opens
//! with a key. A plot is drawn twice, for wide and for narrow windows; the style shows one of them.

mod axis;
mod bars;
mod data;
mod figure;
mod plot;
mod sections;
mod summary;

use std::path::{Path, PathBuf};

use clap::Args;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::error::Failure;
use crate::result::ResultFile;
use data::Source;

const STYLE: &str = include_str!("style.css");
/// Nothing may be fetched, whatever a result's texts say.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

#[derive(Debug, Clone, Args)]
pub struct ReportOptions {
    /// Results that --json wrote. Several are shown side by side.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The page.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
    /// What the page is called.
    #[arg(long, value_name = "TEXT", default_value = "Load test report")]
    pub title: String,
}

pub fn run(options: &ReportOptions) -> Result<(), Failure> {
    let files = options.files.iter().map(|path| Ok((stem(path), read(path)?)));
    let files: Vec<(String, ResultFile)> = files.collect::<Result<_, Failure>>()?;
    let page = page(&options.title, files).map_err(Failure::Options)?;
    let failed = |error| Failure::System(format!("{}: {error}", options.output.display()));
    std::fs::write(&options.output, page).map_err(failed)?;
    println!("{}", options.output.display());
    Ok(())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<ResultFile, Failure> {
    let failed = |error: String| Failure::Options(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    ResultFile::parse(&bytes).map_err(failed)
}

/// The page of named results. An error says which result cannot be shown.
pub fn page(title: &str, files: Vec<(String, ResultFile)>) -> Result<String, String> {
    let sources = data::sources(files)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    (origins(&sources))
                }
                main {
                    (summary::summary(&sources))
                    (sections::sections(&sources))
                }
                footer { p { "Made by polder-loadgen " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    };
    Ok(page.into_string())
}

/// Where the results come from.
fn origins(sources: &[Source]) -> Markup {
    html! {
        div.origins {
            @for source in sources {
                section.origin aria-label=(source.label) {
                    h2 { span.swatch.(format!("s{}", source.number % figure::COLOURS)) {} (source.label) }
                    dl {
                        dt { "Server" } dd { (source.file.server) }
                        dt { "Machine" } dd { (source.file.machine) }
                        dt { "Date" } dd { time datetime=(source.file.started_at) { (source.file.started_at) } }
                        dt { "Generator" } dd { (source.file.generator) }
                        dt { "Command" } dd { code { (command_line(&source.file.command_line)) } }
                    }
                }
            }
        }
    }
}

/// Words as a shell would want them.
fn command_line(words: &[String]) -> String {
    let plain = |word: &String| {
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./:=,+@%".contains(c))
    };
    let words = words
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) });
    words.collect::<Vec<_>>().join(" ")
}
