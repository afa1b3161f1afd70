//! Two kinds of plots in SVG: lines over a few given values, and bars. Colours come from the page.

use std::fmt::Write as _;

/// What stands at the points of a line: lines that lie close are told apart by it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    Circle,
    Square,
    Diamond,
}

impl Mark {
    /// From its middle.
    fn path(self) -> &'static str {
        match self {
            Self::Circle => "m-2.8 0a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0 -5.6 0",
            Self::Square => "m-2.6 -2.6h5.2v5.2h-5.2z",
            Self::Diamond => "m0 -3.8l3.8 3.8l-3.8 3.8l-3.8 -3.8z",
        }
    }
}

/// One line of a plot, or one colour of bars.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Which of the page's colours.
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    pub(crate) mark: Mark,
    /// One for each value of x; none where nothing is known.
    pub(crate) values: Vec<Option<f64>>,
}

/// Lines over equally spaced values of x, with a logarithmic y axis.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    pub(crate) xs: Vec<String>,
    pub(crate) series: Vec<Series>,
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// Whole decades around the values, and below them a step for those that are nothing.
#[derive(Debug, Clone, Copy)]
struct Decades {
    low: i32,
    high: i32,
    zero: bool,
}

impl Decades {
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high, mut zero) = (f64::INFINITY, f64::NEG_INFINITY, false);
        for value in values {
            if value > 0.0 {
                low = low.min(value);
                high = high.max(value);
            } else {
                zero = true;
            }
        }
        let (low, high) = if low > high {
            (0, 1)
        } else {
            let low = low.log10().floor() as i32;
            (low, (high.log10().ceil() as i32).max(low + 1))
        };
        Self { low, high, zero }
    }

    /// From 0 to 1; what is nothing lies at the bottom.
    fn part(self, value: f64) -> f64 {
        if value <= 0.0 {
            return 0.0;
        }
        let step = f64::from(i32::from(self.zero));
        let steps = f64::from(self.high - self.low) + step;
        let part = (value.log10() - f64::from(self.low) + step) / steps;
        part.clamp(0.0, 1.0)
    }

    fn ticks(self) -> impl Iterator<Item = f64> {
        let decades = (self.low..=self.high).map(|decade| 10f64.powi(decade));
        self.zero.then_some(0.0).into_iter().chain(decades)
    }
}

impl Lines<'_> {
    /// A figure with its legend.
    pub(crate) fn svg(&self) -> String {
        let all = self.series.iter().flat_map(|series| &series.values);
        let decades = Decades::around(all.flatten().copied());
        let y = |value: f64| HEIGHT - BOTTOM - decades.part(value) * (HEIGHT - BOTTOM - TOP);
        let step = (WIDTH - LEFT - RIGHT) / self.xs.len().max(1) as f64;
        let x = |index: usize| LEFT + (index as f64 + 0.5) * step;
        let mut out = open(self.title, WIDTH, HEIGHT);
        for tick in decades.ticks() {
            grid_line(&mut out, LEFT, WIDTH - RIGHT, y(tick), tick);
        }
        for (index, label) in self.xs.iter().enumerate() {
            let (x, y) = (x(index), HEIGHT - BOTTOM + 17.0);
            let label = escaped(label);
            let _ = write!(
                out,
                r#"<text class="tick" x="{x:.1}" y="{y:.1}" text-anchor="middle">{label}</text>"#
            );
        }
        axis_titles(&mut out, self.x_title, self.y_title);
        for series in &self.series {
            let points: Vec<(f64, f64)> = series
                .values
                .iter()
                .enumerate()
                .filter_map(|(index, value)| Some((x(index), y((*value)?))))
                .collect();
            line(&mut out, series, &points);
        }
        out.push_str("</svg>");
        figure(self.title, &out, &self.series)
    }
}

fn open(title: &str, width: f64, height: f64) -> String {
    let title = escaped(title);
    format!(r#"<svg viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{title}">"#)
}

fn grid_line(out: &mut String, from: f64, to: f64, y: f64, tick: f64) {
    let label = short(tick);
    let _ = write!(
        out,
        r#"<line class="grid" x1="{from:.1}" x2="{to:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
        from - 6.0,
        y + 4.0,
    );
}

fn axis_titles(out: &mut String, x_title: &str, y_title: &str) {
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    let (x_title, y_title) = (escaped(x_title), escaped(y_title));
    let height = (HEIGHT - BOTTOM + TOP) / 2.0;
    let bottom = HEIGHT - 8.0;
    let _ = write!(
        out,
        r#"<text class="axis" x="{middle:.1}" y="{bottom:.1}" text-anchor="middle">{x_title}</text><text class="axis" transform="translate(14 {height:.1}) rotate(-90)" text-anchor="middle">{y_title}</text>"#
    );
}

fn line(out: &mut String, series: &Series, points: &[(f64, f64)]) {
    let mut path = String::new();
    for (x, y) in points {
        let _ = write!(path, "{x:.1},{y:.1} ");
    }
    let dashed = if series.dashed { " dashed" } else { "" };
    let colour = series.colour;
    let name = escaped(&series.name);
    let _ = write!(
        out,
        r#"<g class="c{colour}{dashed}"><title>{name}</title><polyline points="{}"/>"#,
        path.trim_end()
    );
    for (x, y) in points {
        let (x, y) = (format!("{x:.1}"), format!("{y:.1}"));
        let _ = write!(
            out,
            r#"<path class="mark" d="M{x} {y}{}"/>"#,
            series.mark.path()
        );
    }
    out.push_str("</g>");
}

/// Horizontal bars on a logarithmic axis: a row for each label, in it a bar for each series.
#[derive(Debug)]
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) labels: Vec<String>,
    pub(crate) series: Vec<Series>,
}

impl Bars<'_> {
    pub(crate) fn svg(&self) -> String {
        const NAMES: f64 = 190.0;
        const VALUES: f64 = 56.0;
        const BAR: f64 = 11.0;
        const WIDE: f64 = 530.0;
        let row = BAR * self.series.len() as f64 + 8.0;
        let height = 8.0 + row * self.labels.len() as f64 + 36.0;
        let all = self.series.iter().flat_map(|series| &series.values);
        let decades = Decades {
            zero: true,
            ..Decades::around(all.flatten().copied())
        };
        let wide = WIDE - NAMES - VALUES;
        let mut out = open(self.title, WIDE, height);
        let bottom = height - 36.0;
        for tick in decades.ticks() {
            let x = NAMES + decades.part(tick) * wide;
            let label = short(tick);
            let _ = write!(
                out,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="4" y2="{bottom:.1}"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                bottom + 14.0
            );
        }
        for (index, label) in self.labels.iter().enumerate() {
            let top = 8.0 + row * index as f64;
            let label = escaped(label);
            let _ = write!(
                out,
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
                NAMES - 8.0,
                top + (row - 8.0) / 2.0 + 4.0
            );
            for (place, series) in self.series.iter().enumerate() {
                let Some(value) = series.values.get(index).copied().flatten() else {
                    continue;
                };
                let long = decades.part(value) * wide;
                let y = top + BAR * place as f64;
                let _ = write!(
                    out,
                    r#"<g class="c{}"><rect x="{NAMES:.1}" y="{y:.1}" width="{long:.1}" height="{:.1}"/></g><text class="value" x="{:.1}" y="{:.1}">{}</text>"#,
                    series.colour,
                    BAR - 1.0,
                    NAMES + long + 4.0,
                    y + BAR - 1.2,
                    brief(value)
                );
            }
        }
        let _ = write!(
            out,
            r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text></svg>"#,
            NAMES + wide / 2.0,
            height - 5.0,
            escaped(self.unit)
        );
        figure(self.title, &out, &self.series)
    }
}

fn figure(title: &str, svg: &str, series: &[Series]) -> String {
    let mut legend = String::new();
    for one in series {
        let dashed = if one.dashed { " dashed" } else { "" };
        let _ = write!(
            legend,
            r#"<li class="c{}{dashed}"><svg viewBox="0 0 24 10" aria-hidden="true"><polyline points="1,5 23,5"/><path class="mark" d="M12 5{}"/></svg>{}</li>"#,
            one.colour,
            one.mark.path(),
            escaped(&one.name)
        );
    }
    let title = escaped(title);
    format!(
        "<figure><figcaption>{title}</figcaption>{svg}<ul class=\"legend\">{legend}</ul></figure>\n"
    )
}

/// A tick's number.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{}G", v / 1e9),
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        _ => crate::sync::number(value),
    }
}

/// A bar's number: where it is large, three digits of it.
fn brief(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e9 => (v / 1e9, " G"),
        v if v >= 1e6 => (v / 1e6, " M"),
        v if v >= 1e4 => (v / 1e3, " k"),
        v => (v, ""),
    };
    format!("{}{unit}", crate::sync::number(value))
}

/// Text as HTML and SVG take it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_at_the_bottom_and_decades_are_whole() {
        let decades = Decades::around([0.0, 3.0, 420.0].into_iter());
        assert_eq!((decades.low, decades.high), (0, 3));
        assert_eq!(decades.part(0.0), 0.0);
        assert!((decades.part(1.0) - 0.25).abs() < 1e-9);
        assert!((decades.part(1000.0) - 1.0).abs() < 1e-9);
        assert_eq!(decades.ticks().count(), 5);
        let without = Decades::around([3.0, 420.0].into_iter());
        assert!((without.part(1.0)).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(short(1e6), "1M");
        assert_eq!(short(0.01), "0.010");
        assert_eq!(brief(171_974_711.0), "172 M");
        assert_eq!(brief(576_517.0), "577 k");
        assert_eq!(brief(1509.0), "1509");
    }
}
