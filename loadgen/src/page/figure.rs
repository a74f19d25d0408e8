//! What plots of all kinds have in common: a heading, a legend, the drawing in two sizes, a table.

use maud::{Markup, html};

/// Colours of the style: `s0`, `s1`, …
pub const COLOURS: usize = 8;

/// The drawings are as wide as this many units, which are pixels if the window is that wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Wide,
    Narrow,
}

impl Size {
    pub fn width(self) -> f64 {
        match self {
            Size::Wide => 840.0,
            Size::Narrow => 370.0,
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Size::Wide => "wide",
            Size::Narrow => "narrow",
        }
    }
}

/// Units that a text of the style's font size takes; rather too many than too few.
pub fn text_width(text: &str) -> f64 {
    let one = |character: char| match character {
        ' ' | '.' | ',' | ':' | '\'' | 'i' | 'j' | 'l' | '|' => 4.5,
        'm' | 'w' | 'A'..='Z' | '@' | '%' | '—' => 11.0,
        _ if character.is_ascii() || matches!(character, 'µ' | '×' | '…' | '–') => 7.8,
        _ => 14.0,
    };
    text.chars().map(one).sum()
}

/// A coordinate: tenths are finer than any screen.
pub fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

pub struct LegendEntry<'a> {
    pub colour: usize,
    pub dashed: bool,
    pub name: &'a str,
}

pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

pub struct Figure<'a> {
    /// Unique on the page.
    pub id: String,
    pub title: &'a str,
    /// One sentence that says how to read it; may be empty.
    pub explanation: &'a str,
    pub legend: Vec<LegendEntry<'a>>,
    pub table: Table,
}

impl Figure<'_> {
    pub fn render(&self, draw: impl Fn(Size) -> Markup) -> Markup {
        html! {
            figure.plot id=(self.id) {
                figcaption id=(format!("{}-title", self.id)) { (self.title) }
                @if !self.explanation.is_empty() { p.explanation { (self.explanation) } }
                @if self.legend.len() > 1 { (legend(&self.legend)) }
                (draw(Size::Wide))
                (draw(Size::Narrow))
                details {
                    summary { "Values as a table" span.unseen { ": " (self.title) } }
                    (self.table.render(self.title))
                }
            }
        }
    }
}

fn legend(entries: &[LegendEntry]) -> Markup {
    html! {
        ul.legend {
            @for entry in entries {
                li {
                    span.swatch.dashed[entry.dashed].(colour(entry.colour)) {}
                    (entry.name)
                }
            }
        }
    }
}

pub fn colour(number: usize) -> String {
    format!("s{}", number % COLOURS)
}

impl Table {
    /// First cells of rows are their headings. What is too wide scrolls by itself.
    pub fn render(&self, title: &str) -> Markup {
        html! {
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr { @for cell in &self.head { th scope="col" { (cell) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (index, cell) in row.iter().enumerate() {
                                    @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
