//! Two reports side by side.

use serde_json::Value;

use super::rows::{Report, Row};

/// A row that both reports have.
#[derive(Clone, Debug)]
pub struct Ratio {
    /// What was measured.
    pub name: String,
    /// The value in each report.
    pub values: [f64; 2],
    /// How many times as fast the second is.
    pub speedup: f64,
}

/// Pairs the rows of two reports, in the first one's order; rows that only one has are left out.
pub fn compare(a: &Report, b: &Report) -> Vec<Ratio> {
    let others: Vec<(String, f64, bool)> = b.rows.iter().flat_map(measured).collect();
    let pair = |(name, first, more_is_better): (String, f64, bool)| {
        let (_, second, _) = others.iter().find(|(other, ..)| *other == name)?;
        let speedup = if more_is_better { second / first } else { first / second };
        Some(Ratio { name, values: [first, *second], speedup })
    };
    a.rows.iter().flat_map(measured).filter_map(pair).collect()
}

/// What a row measures, each value, and whether more of it is better.
fn measured(row: &Row) -> Vec<(String, f64, bool)> {
    match row {
        Row::Peak(row) => {
            let name = format!("peak {} {} [{}]", row.name, row.precision, row.unit);
            vec![(name, row.value, row.unit.ends_with("/s"))]
        }
        Row::Step(row) => {
            let name = |what| format!("{what} {} {}² {} [s]", row.network, row.size, row.precision);
            // An engine that has no gradient has no step.
            let values = [("step", row.seconds_per_step), ("forward", row.forward_seconds)];
            let there = values.into_iter().filter(|(_, seconds)| *seconds > 0.0);
            there.map(|(what, seconds)| (name(what), seconds, false)).collect()
        }
        Row::Kernels(row) => {
            let [c, o, h, w] = row.shape;
            let (op, layer, variant) = (&row.op, &row.layer, &row.variant);
            let (direction, precision) = (row.direction.name(), &row.precision);
            let name =
                format!("{op} {layer} {c}→{o} {h}×{w} {direction} {variant} {precision} [µs]");
            vec![(name, row.median_us, false)]
        }
    }
}

/// Reads a report, also one that another engine's bench wrote: rows with more fields are fine, kinds of rows
/// that are unknown here are left out.
///
/// # Errors
/// What is wrong with the text.
pub fn read(text: &str) -> Result<Report, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let known = ["peak", "kernels", "step"];
    if let Some(rows) = value.get_mut("rows").and_then(Value::as_array_mut) {
        rows.retain(|row| row["bench"].as_str().is_some_and(|kind| known.contains(&kind)));
    }
    serde_json::from_value(value).map_err(|e| e.to_string())
}
