//! Bars side by side, as SVG: a group for each run, a bar for each file.

use maud::{Markup, html};

use super::axis::Unit;
use super::figure::{Figure, LegendEntry, Size, Table, at, colour, text_width};

const BAR: f64 = 18.0;
const BAR_STEP: f64 = 22.0;
const GROUP_HEAD: f64 = 20.0;
const GROUP_GAP: f64 = 12.0;

pub struct Bar {
    /// Index into the names of the series.
    pub series: usize,
    pub value: f64,
}

pub struct Group {
    pub name: String,
    pub bars: Vec<Bar>,
}

pub struct Bars {
    pub id: String,
    pub title: String,
    pub explanation: String,
    pub unit: Unit,
    pub series: Vec<String>,
    pub groups: Vec<Group>,
}

impl Bars {
    pub fn render(&self) -> Markup {
        let legend = self.series.iter().enumerate();
        let legend = legend.map(|(colour, name)| LegendEntry { colour, dashed: false, name });
        let figure = Figure {
            id: self.id.clone(),
            title: &self.title,
            explanation: &self.explanation,
            legend: legend.collect(),
            table: self.table(),
        };
        figure.render(|size| self.draw(size))
    }

    /// The value, and how it compares with the group's first.
    fn text(&self, group: &Group, bar: &Bar) -> String {
        let text = self.unit.text(bar.value);
        match group.bars.first() {
            Some(first) if first.series != bar.series && first.value > 0.0 => {
                format!("{text} (× {:.2})", bar.value / first.value)
            }
            _ => text,
        }
    }

    fn table(&self) -> Table {
        let row = |group: &Group| {
            let cell = |series: usize| {
                let bar = group.bars.iter().find(|bar| bar.series == series);
                bar.map_or_else(|| "–".into(), |bar| self.text(group, bar))
            };
            [group.name.clone()].into_iter().chain((0..self.series.len()).map(cell)).collect()
        };
        Table {
            head: ["Run".to_string()].into_iter().chain(self.series.iter().cloned()).collect(),
            rows: self.groups.iter().map(row).collect(),
        }
    }

    fn draw(&self, size: Size) -> Markup {
        let width = size.width();
        let bars = || self.groups.iter().flat_map(|group| group.bars.iter().map(move |bar| (group, bar)));
        let max = bars().map(|(_, bar)| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        // The longest text stands right of the longest bar.
        let room = bars().map(|(group, bar)| text_width(&self.text(group, bar))).fold(0.0, f64::max) + 16.0;
        let length = |value: f64| (value / max).clamp(0.0, 1.0) * (width - room).max(40.0);
        let group_height = |group: &Group| GROUP_HEAD + BAR_STEP * group.bars.len() as f64 + GROUP_GAP;
        let height: f64 = self.groups.iter().map(group_height).sum();
        let mut tops = Vec::new();
        let mut top = 0.0;
        for group in &self.groups {
            tops.push(top);
            top += group_height(group);
        }
        let name = format!("{}-{}", self.id, size.class());
        html! {
            svg.bars.(size.class()) viewBox=(format!("0 0 {width} {}", at(height.max(1.0)))) role="img"
                aria-labelledby=(name) {
                title id=(name) { (self.title) }
                @for (group, top) in self.groups.iter().zip(&tops) {
                    g.labels aria-hidden="true" {
                        text.name x="2" y=(at(top + 14.0)) { (shortened(&group.name, width - 8.0)) }
                    }
                    @for (index, bar) in group.bars.iter().enumerate() {
                        @let y = top + GROUP_HEAD + BAR_STEP * index as f64;
                        g.series.(colour(bar.series)) {
                            rect x="2" y=(at(y)) width=(at(length(bar.value).max(1.0))) height=(at(BAR)) rx="2" {
                                title { (self.series[bar.series]) " — " (group.name) ": " (self.text(group, bar)) }
                            }
                        }
                        g.labels aria-hidden="true" {
                            text x=(at(length(bar.value) + 8.0)) y=(at(y + 13.0)) { (self.text(group, bar)) }
                        }
                    }
                }
            }
        }
    }
}

/// Cuts a text that is wider than its place; the table has all of it.
fn shortened(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.to_string();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if text_width(&kept) + text_width("…") > width {
            kept.pop();
            break;
        }
    }
    kept + "…"
}
