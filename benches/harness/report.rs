//! What is printed: a table for people, or a line of JSON for each row.

use super::measure::Figure;
use super::table::{Row, Target};

/// The names of the rows.
pub fn list<S>(rows: &[Row<S>]) {
    for row in rows {
        println!("{:<26} {}", row.name, row.what);
    }
}

/// What stands above the table.
pub fn head() {
    println!(
        "{:<26} {:>12} {:>12} {:>8} {:>17}  {:<11} {:>15}  unit",
        "row", "ours", "bare", "ratio", "spread", "target", "cpu us/op"
    );
}

/// Whether a row came out as it should; unknown if it has no binding target.
fn met<S>(row: &Row<S>, figure: &Figure) -> Option<bool> {
    match row.target {
        Target::AtLeast(bound) => Some(figure.ratio >= bound),
        Target::AtMost(bound) => Some(figure.ratio <= bound),
        Target::About(_) | Target::Report => None,
    }
}

fn mark<S>(row: &Row<S>, figure: &Figure) -> String {
    let mark = match met(row, figure) {
        Some(true) => " ok",
        Some(false) => " MISSED",
        None => "",
    };
    match row.target {
        Target::AtLeast(bound) => format!(">={bound}{mark}"),
        Target::AtMost(bound) => format!("<={bound}{mark}"),
        Target::About(bound) => format!("~{bound}"),
        Target::Report => "-".to_owned(),
    }
}

/// A row of the table.
pub fn line<S>(row: &Row<S>, figure: &Figure) {
    let bare = figure.bare.map(|bare| bare.value);
    let cpu = [Some(figure.ours), figure.bare]
        .map(|side| side.and_then(|side| side.cpu_us).map_or("-".to_owned(), number));
    println!(
        "{:<26} {:>12} {:>12} {:>8} {:>17}  {:<11} {:>15}  {}",
        row.name,
        number(figure.ours.value),
        bare.map_or("-".to_owned(), number),
        if bare.is_some() { number(figure.ratio) } else { "-".to_owned() },
        format!("{}..{}", number(figure.spread.0), number(figure.spread.1)),
        mark(row, figure),
        cpu.join(" / "),
        row.unit,
    );
    if let Some(note) = &figure.note {
        println!("{:<26} {note}", "");
    }
}

/// A row as JSON.
pub fn json<S>(row: &Row<S>, figure: &Figure) {
    let (target, sense) = match row.target {
        Target::AtLeast(bound) => (Some(bound), "at_least"),
        Target::AtMost(bound) => (Some(bound), "at_most"),
        Target::About(bound) => (Some(bound), "orientation"),
        Target::Report => (None, "report"),
    };
    let line = serde_json::json!({
        "name": row.name,
        "unit": row.unit,
        "ours": figure.ours.value,
        "bare": figure.bare.map(|bare| bare.value),
        "ratio": figure.bare.map(|_| figure.ratio),
        "target": target,
        "sense": sense,
        "met": met(row, figure),
        "spread": [figure.spread.0, figure.spread.1],
        "server_cpu_us_per_op": {
            "ours": figure.ours.cpu_us,
            "bare": figure.bare.and_then(|bare| bare.cpu_us),
        },
        "note": figure.note,
    });
    println!("{line}");
}

/// A row that could not be produced.
pub fn failed<S>(row: &Row<S>, error: &anyhow::Error, json: bool) {
    if json {
        println!("{}", serde_json::json!({"name": row.name, "error": format!("{error:#}")}));
    } else {
        println!("{:<26} FAILED: {error:#}", row.name);
    }
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
