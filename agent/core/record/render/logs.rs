//! Log shipping, a row a sink, as the shipper reports it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::text;

pub(super) fn write(out: &mut String, logs: &Value) -> std::fmt::Result {
    let Some(rows) = logs.as_array() else {
        return Ok(());
    };
    writeln!(out, "\nLogs")?;
    rows.iter()
        .try_for_each(|row| writeln!(out, "  {}", sink_text(row)))
}

fn sink_text(row: &Value) -> String {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let lost = match (number("lost"), row.get("lost_exact").and_then(Value::as_bool)) {
        (0, Some(true)) => "0 lost".to_owned(),
        (lost, Some(true)) => format!("{lost} lost"),
        (lost, _) => format!("at least {lost} lost"),
    };
    let excluded = match number("excluded") {
        0 => String::new(),
        lines => format!(", {lines} left out"),
    };
    let state = row.get("state");
    let of_state = |key: &str| {
        state
            .and_then(|state| state.get(key)?.as_str())
            .unwrap_or_default()
    };
    let trouble = match of_state("kind") {
        "retrying" => format!("\n{:<18} RETRYING: {}", "", of_state("error")),
        "refused" => format!("\n{:<18} REFUSED: {}", "", of_state("error")),
        _ => String::new(),
    };
    let target = row.get("target").and_then(Value::as_str);
    let from = row
        .get("origin")
        .or_else(|| row.get("stream"))
        .and_then(Value::as_str);
    format!(
        "{:<16} {} to {}, {}: {} delivered, {lost}{excluded}, {} behind{trouble}",
        text("name"),
        from.unwrap_or("?"),
        target.unwrap_or("?"),
        text("guarantee"),
        text::count(number("delivered"), "line"),
        text::bytes(number("behind_bytes"))
    )
}
