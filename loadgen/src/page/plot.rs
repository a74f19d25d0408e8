//! Lines over an axis, as SVG.

use maud::{Markup, html};

use super::axis::Axis;
use super::figure::{Figure, LegendEntry, Size, Table, at, colour, text_width};

/// Above and right of the area, below it, and between it and its labels.
const TOP: f64 = 26.0;
const RIGHT: f64 = 18.0;
const BOTTOM: f64 = 44.0;
const GAP: f64 = 7.0;
/// Lines that a label of a vertical axis takes.
const LABEL_HEIGHT: f64 = 22.0;
/// Rows of the table: more are thinned, the drawing has them all.
const ROWS_MAX: usize = 200;

pub struct Series {
    pub name: String,
    pub colour: usize,
    pub dashed: bool,
    /// In the order of x.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// A line without a point would have a legend and nothing else.
    pub fn into_non_empty(self) -> Option<Series> {
        (!self.points.is_empty()).then_some(self)
    }
}

pub struct Plot {
    pub id: String,
    pub title: String,
    pub explanation: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Points are shown, not only the lines between them.
    pub marked: bool,
}

impl Plot {
    pub fn render(&self) -> Markup {
        let legend = self.series.iter().map(|series| LegendEntry {
            colour: series.colour,
            dashed: series.dashed,
            name: &series.name,
        });
        let figure = Figure {
            id: self.id.clone(),
            title: &self.title,
            explanation: &self.explanation,
            legend: legend.collect(),
            table: self.table(),
        };
        figure.render(|size| self.draw(size))
    }

    /// A row for each x that any series has.
    fn table(&self) -> Table {
        let mut places: Vec<f64> =
            self.series.iter().flat_map(|series| series.points.iter().map(|point| point.0)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let step = places.len().div_ceil(ROWS_MAX).max(1);
        let row = |&x: &f64| {
            let value = |series: &Series| {
                let found = series.points.iter().find(|point| point.0 == x);
                found.map_or_else(|| "–".into(), |point| self.y.unit.text(point.1))
            };
            [self.x.unit.text(x)].into_iter().chain(self.series.iter().map(value)).collect()
        };
        let names = self.series.iter().map(|series| series.name.clone());
        Table {
            head: [self.x.name.clone()].into_iter().chain(names).collect(),
            rows: places.iter().step_by(step).map(row).collect(),
        }
    }

    fn draw(&self, size: Size) -> Markup {
        let (width, height) = (size.width(), if size == Size::Wide { 380.0 } else { 320.0 });
        let bottom = height - BOTTOM;
        let y_ticks = self.y.ticks(bottom - TOP, |_| LABEL_HEIGHT);
        let label = y_ticks.iter().map(|(_, label)| text_width(label)).fold(0.0, f64::max);
        let (left, right) = (label + 2.0 * GAP, width - RIGHT);
        let x_ticks = self.x.ticks(right - left, |label| text_width(label) + 2.0 * GAP);
        let x_at = |x: f64| left + self.x.place(x) * (right - left);
        let y_at = |y: f64| bottom - self.y.place(y) * (bottom - TOP);
        let name = format!("{}-{}", self.id, size.class());
        html! {
            svg.(size.class()) viewBox=(format!("0 0 {width} {height}")) role="img" aria-labelledby=(name) {
                title id=(name) { (self.title) ": " (self.y.name) " over " (self.x.name) }
                g.grid aria-hidden="true" {
                    @for (value, _) in &x_ticks {
                        line x1=(at(x_at(*value))) x2=(at(x_at(*value))) y1=(at(TOP)) y2=(at(bottom)) {}
                    }
                    @for (value, _) in &y_ticks {
                        line x1=(at(left)) x2=(at(right)) y1=(at(y_at(*value))) y2=(at(y_at(*value))) {}
                    }
                }
                g.labels aria-hidden="true" {
                    @for (value, text) in &x_ticks { (x_label(x_at(*value), bottom, text, width)) }
                    @for (value, text) in &y_ticks {
                        text.end x=(at(left - GAP)) y=(at(y_at(*value) + 4.0)) { (text) }
                    }
                    text.middle.name x=(at((left + right) / 2.0)) y=(at(height - 6.0)) { (self.x.name) }
                    text.name x="2" y="12" { (self.y.name) }
                }
                @for series in &self.series {
                    g.series.dashed[series.dashed].marked[self.marked].(colour(series.colour)) {
                        path d=(path(&series.points, x_at, y_at)) {}
                        @for &(x, y) in &series.points {
                            circle cx=(at(x_at(x))) cy=(at(y_at(y))) r="3" {
                                title {
                                    (series.name) " — " (self.x.unit.text(x)) ": " (self.y.unit.text(y))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Centred below its place, but never over the edge.
fn x_label(x: f64, bottom: f64, text: &str, width: f64) -> Markup {
    let half = text_width(text) / 2.0;
    html! {
        text.middle x=(at(x.clamp(half, width - half))) y=(at(bottom + 18.0)) { (text) }
    }
}

fn path(points: &[(f64, f64)], x_at: impl Fn(f64) -> f64, y_at: impl Fn(f64) -> f64) -> String {
    let step = |(index, point): (usize, &(f64, f64))| {
        format!("{}{} {}", if index == 0 { "M" } else { "L" }, at(x_at(point.0)), at(y_at(point.1)))
    };
    points.iter().enumerate().map(step).collect()
}
