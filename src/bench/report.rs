//! The HTML report: one self-contained file with a roofline plot and a bar chart by layer.

use std::fmt::Write;

use super::peak::Ceilings;
use super::rows::{Direction, KernelRow, Report, Row};

/// Size of the roofline plot in px, its margins taken off.
const PLOT: [f64; 2] = [720.0, 360.0];
/// px between the plot and the picture's edge, for the axes.
const MARGIN: f64 = 56.0;
/// A colour for each variant, by its place in the report; they differ in brightness as well.
const COLOURS: [&str; 6] = ["#1f5fa8", "#d9822b", "#3c8f5a", "#8a8a8a", "#8e4fa8", "#b5403a"];
const STYLE: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:960px;color:#222}\
    table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px}\
    td,th{padding:2px 9px;text-align:right;border-bottom:1px solid #ddd}\
    td:nth-child(-n+4),th:nth-child(-n+4){text-align:left}tr.chosen{font-weight:600}\
    svg{display:block;margin:1em 0}text{font:12px system-ui,sans-serif;fill:#333}\
    .key span{margin-right:1.5em}.key b{display:inline-block;width:.8em;height:.8em;margin-right:.4em}";

/// Draws a report of kernels.
pub fn html(report: &Report, ceilings: &Ceilings) -> String {
    let rows = report.rows.iter();
    let rows: Vec<&KernelRow> =
        rows.filter_map(|row| if let Row::Kernels(row) = row { Some(row) } else { None }).collect();
    let mut variants: Vec<&str> = Vec::new();
    for row in &rows {
        if !variants.contains(&row.variant.as_str()) {
            variants.push(&row.variant);
        }
    }
    let colour = |variant: &str| {
        let at = variants.iter().position(|v| *v == variant).unwrap_or(0);
        COLOURS[at % COLOURS.len()]
    };
    let mut page = head(report, ceilings);
    for variant in &variants {
        // Writing to a string does not fail.
        let _ =
            write!(page, "<span><b style=\"background:{}\"></b>{variant}</span>", colour(variant));
    }
    page.push_str("</p>\n<h2>Roofline</h2>\n");
    page.push_str(&roofline(&rows, ceilings, &colour));
    for direction in Direction::ALL {
        let rows: Vec<_> = rows.iter().copied().filter(|row| row.direction == direction).collect();
        if !rows.is_empty() {
            let _ = writeln!(page, "<h2>{direction:?}, GFLOP/s by layer</h2>");
            page.push_str(&bars(&rows, &colour));
        }
    }
    page.push_str(&table(&rows));
    page.push_str("</html>\n");
    page
}

/// Everything before the legend's entries.
fn head(report: &Report, ceilings: &Ceilings) -> String {
    let (adapter, driver) = (escape(&report.adapter), escape(&report.driver));
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>impasto kernels: {adapter}</title>\n\
         <style>{STYLE}</style>\n\
         <h1>Kernels of {adapter}</h1>\n<p>{driver}. Measured ceilings: {:.1} GFLOP/s (f32 multiply-add), {:.1} GB/s, \
         {:.1} µs a dispatch. FLOPs are those of the direct computation, so Winograd's rate can be above the ceiling. \
         Bold: what runs by default.</p>\n<p class=\"key\">",
        ceilings.flops / 1e9,
        ceilings.bandwidth / 1e9,
        1e6 * ceilings.dispatch,
    )
}

fn table(rows: &[&KernelRow]) -> String {
    let mut table = String::from(
        "<h2>All rows</h2>\n<table><tr><th>op<th>layer<th>direction<th>variant<th>shape<th>µs<th>GFLOP/s<th>GB/s\
         <th>of ceiling<th>error</tr>\n",
    );
    for row in rows {
        let [c, o, h, w] = row.shape;
        let _ = writeln!(
            table,
            "<tr{}><td>{}<td>{}<td>{:?}<td>{}<td>{c}→{o}, {h}×{w}<td>{:.0}<td>{:.1}<td>{:.2}<td>{:.0} %<td>{:.1e}</tr>",
            if row.chosen { " class=\"chosen\"" } else { "" },
            row.op,
            row.layer,
            row.direction,
            row.variant,
            row.median_us,
            row.gflops,
            row.gbps,
            100.0 * row.ceiling_share,
            row.error,
        );
    }
    table.push_str("</table>");
    table
}

/// Where FLOP a byte and GFLOP/s lie in the plot, both logarithmic.
struct Axes {
    x: [f64; 2],
    y: [f64; 2],
}

impl Axes {
    /// Room for all rows and for the ceilings' ridge.
    fn around(rows: &[&KernelRow], ceilings: &Ceilings) -> Self {
        let most = rows.iter().map(|r| r.gflops).fold(ceilings.flops / 1e9, f64::max) * 1.5;
        let least = rows.iter().map(|r| r.gflops).fold(most, f64::min) / 2.0;
        let ridge = ceilings.flops / ceilings.bandwidth;
        let left = rows.iter().map(|r| intensity(r)).fold(ridge, f64::min) / 2.0;
        let right = rows.iter().map(|r| intensity(r)).fold(ridge, f64::max) * 2.0;
        Axes { x: [left, right], y: [least, most] }
    }

    fn x(&self, v: f64) -> f64 {
        let [left, right] = self.x;
        MARGIN + PLOT[0] * (v / left).ln() / (right / left).ln()
    }

    fn y(&self, v: f64) -> f64 {
        let [least, most] = self.y;
        10.0 + PLOT[1] * (1.0 - (v / least).ln() / (most / least).ln())
    }

    /// Lines, numbers and the axes' names.
    fn draw(&self) -> String {
        let mut svg = String::new();
        for value in ticks(self.y) {
            let at = self.y(value);
            let _ = writeln!(
                svg,
                "<line x1=\"{MARGIN}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                MARGIN + PLOT[0],
                MARGIN - 6.0,
                at + 4.0,
            );
        }
        for value in ticks(self.x) {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>",
                self.x(value),
                PLOT[1] + 28.0,
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">FLOP per byte (GFLOP/s upwards)</text>",
            MARGIN + PLOT[0] / 2.0,
            PLOT[1] + 46.0,
        );
        svg
    }
}

/// FLOP a byte.
fn intensity(row: &KernelRow) -> f64 {
    row.gflops / row.gbps
}

/// FLOP/s over FLOP a byte.
fn roofline(
    rows: &[&KernelRow],
    ceilings: &Ceilings,
    colour: &dyn Fn(&str) -> &'static str,
) -> String {
    let axes = Axes::around(rows, ceilings);
    let (width, height) = (PLOT[0] + 2.0 * MARGIN, PLOT[1] + MARGIN);
    let mut svg = format!(
        "<svg width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"roofline\">\n"
    );
    let ([left, right], [least, _]) = (axes.x, axes.y);
    let roof = |v: f64| (ceilings.roofline(v, 1.0) / 1e9).max(least);
    let start = left.max(least * 1e9 / ceilings.bandwidth);
    let corners = [start, ceilings.flops / ceilings.bandwidth, right];
    let points = corners.map(|v| format!("{:.1},{:.1}", axes.x(v), axes.y(roof(v)))).join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"#222\" stroke-width=\"2\"/>"
    );
    svg.push_str(&axes.draw());
    for row in rows {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\" fill=\"{}\" fill-opacity=\".75\"><title>{} {} {:?} {}: {:.1} GFLOP/s\
             </title></circle>",
            axes.x(intensity(row)),
            axes.y(row.gflops),
            if row.chosen { 6 } else { 4 },
            colour(&row.variant),
            row.op,
            row.layer,
            row.direction,
            row.variant,
            row.gflops,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// 1, 2, 5, 10, 20 … between two numbers.
fn ticks([least, most]: [f64; 2]) -> Vec<f64> {
    let decades = (least.log10().floor() as i32)..=(most.log10().ceil() as i32);
    let all = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(d)));
    all.filter(|v| (least..=most).contains(v)).collect()
}

/// A bar for each row, those of a layer together.
fn bars(rows: &[&KernelRow], colour: &dyn Fn(&str) -> &'static str) -> String {
    let most = rows.iter().map(|row| row.gflops).fold(1.0, f64::max);
    let (mut bars, mut y, mut last) = (String::new(), 0.0, String::new());
    for row in rows {
        let layer = format!("{} {}", row.op, row.layer);
        if layer != last {
            y += 8.0;
            let _ = writeln!(bars, "<text x=\"0\" y=\"{:.0}\">{layer}</text>", y + 10.0);
            last = layer;
        }
        let width = 560.0 * row.gflops / most;
        let _ = writeln!(
            bars,
            "<rect x=\"120\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"11\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.0}\">\
             {:.1}{}</text>",
            colour(&row.variant),
            width + 126.0,
            y + 10.0,
            row.gflops,
            if row.chosen { " ●" } else { "" },
        );
        y += 14.0;
    }
    format!(
        "<svg width=\"760\" height=\"{:.0}\" role=\"img\" aria-label=\"GFLOP/s by layer\">\n{bars}</svg>\n",
        y + 8.0
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
