//! Two records side by side in a terminal.

use serde_json::Value as Json;

use crate::decide::{shorten, text, value};
use crate::print::Printer;

const NARROWEST: usize = 60;
const WIDEST: usize = 160;
const LABEL: usize = 18;
const BAR: u64 = 16;

/// The terminal's width, as far as it is said.
pub(super) fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(100).clamp(NARROWEST, WIDEST)
}

/// How likely a match is.
pub(super) fn likely(review: &Json) -> String {
    match review["probability_bp"].as_i64() {
        None => String::new(),
        Some(9_990..) => "over 99.9 %".to_owned(),
        Some(..10) => "below 0.1 %".to_owned(),
        Some(some) => format!("{}.{} %", some / 100, some % 100 / 10),
    }
}

/// Prints it.
pub(super) fn show(review: &Json, width: usize, printer: &Printer) {
    for line in lines(review, width) {
        printer.line(&line);
    }
}

fn lines(review: &Json, width: usize) -> Vec<String> {
    let cell = width.saturating_sub(LABEL + 4) / 2;
    let row = |mark: &str, label: &str, left: &str, right: &str| {
        format!("{mark} {} {} {}", padded(label, LABEL), padded(left, cell), shorten(right, cell)).trim_end().to_owned()
    };
    let mut out = vec![format!("{}, {}", text(review, "kind"), state(review))];
    if !text(review, "reason").is_empty() {
        out.push(text(review, "reason"));
    }
    out.push(String::new());
    out.push(row(" ", "", &text(review, "left_title"), &text(review, "right_title")));
    out.push(row(" ", "entity", &text(review, "left_entity"), &text(review, "right_entity")));
    for (label, left, right) in [("Salesforce", "left_crm", "right_crm"), ("ERP", "left_erp", "right_erp")] {
        let id = |name: &str| review[name].as_str().unwrap_or("-").to_owned();
        out.push(row(" ", label, &id(left), &id(right)));
    }
    out.push(String::new());
    let of = |side: &str, name: &str| -> Option<Json> {
        review[side].as_array()?.iter().find(|field| field["name"] == name).map(|field| field["value"].clone())
    };
    let names = |side: &str| -> Vec<String> { review[side].as_array().into_iter().flatten().map(|field| text(field, "name")).collect() };
    let mut all = names("left_fields");
    all.extend(names("right_fields").into_iter().filter(|name| !all.contains(name)).collect::<Vec<_>>());
    for name in all {
        let (left, right) = (of("left_fields", &name).unwrap_or_default(), of("right_fields", &name).unwrap_or_default());
        let mark = match (left.is_null(), right.is_null()) {
            (true, true) => continue,
            (false, false) if left == right => "=",
            (false, false) => "≠",
            _ => "·",
        };
        let said = |value: &Json| if value.is_null() { "-".to_owned() } else { self::value(value) };
        out.push(row(mark, &name.replace('_', " "), &said(&left), &said(&right)));
    }
    let reasons: Vec<&Json> = review["reasons"].as_array().into_iter().flatten().collect();
    if !reasons.is_empty() {
        out.push(String::new());
        let scored = review["score"].is_i64();
        out.push(if scored { "What speaks for (+) and against (-) it, in bits:" } else { "Why it is asked:" }.to_owned());
        let weight = |reason: &Json| reason["weight"].as_i64().unwrap_or(0);
        let heaviest = reasons.iter().map(|reason| weight(reason).unsigned_abs()).max().unwrap_or(1).max(1);
        for reason in reasons {
            if !scored {
                out.push(format!("  {}: {}", text(reason, "label"), text(reason, "finding")));
                continue;
            }
            let length = usize::try_from(weight(reason).unsigned_abs() * BAR / heaviest).unwrap_or(0);
            let bar = if weight(reason) < 0 { "-" } else { "+" }.repeat(length);
            let bits = weight(reason) as f64 / 1000.0;
            out.push(format!("  {bits:+6.1} {bar:<16} {}: {}", text(reason, "label"), text(reason, "finding")));
        }
        if let Some(score) = review["score"].as_i64() {
            out.push(format!("  {:+6.1} together", score as f64 / 1000.0));
        }
    }
    out
}

fn state(review: &Json) -> String {
    let by = review["decided_by"].as_str().map(|who| format!(" by {who}")).unwrap_or_default();
    match text(review, "state").as_str() {
        "open" => match likely(review) {
            likely if likely.is_empty() => "waits for an answer".to_owned(),
            likely => format!("{likely} likely, waits for an answer"),
        },
        "same" => format!("said to be one{by} (decision {})", text(review, "decision")),
        "distinct" => format!("said to be two{by} (decision {})", text(review, "decision")),
        _ => "no longer a question".to_owned(),
    }
}

fn padded(text: &str, width: usize) -> String {
    let text = shorten(text, width);
    let padding = width - text.chars().count();
    format!("{text}{}", " ".repeat(padding))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_records_stand_side_by_side_with_what_differs_marked() {
        let review = json!({
            "kind": "customer", "state": "open", "probability_bp": 9480, "reason": "alike", "left_title": "Acme GmbH", "right_title": "ACME",
            "left_entity": "e1", "right_entity": "e2", "left_crm": "001", "right_crm": null, "left_erp": null, "right_erp": "7", "score": 4200,
            "left_fields": [{"name": "name", "value": "Acme GmbH"}, {"name": "city", "value": "Bonn"}, {"name": "fax", "value": null}],
            "right_fields": [{"name": "name", "value": "ACME"}, {"name": "city", "value": "Bonn"}, {"name": "postal_code", "value": "1"}, {"name": "fax", "value": null}],
            "reasons": [{"label": "name", "finding": "nearly equal", "weight": 5300}, {"label": "phone", "finding": "differs", "weight": -2650}],
        });
        let shown = lines(&review, 80).join("\n");
        expect_test::expect![[r"
            customer, 94.8 % likely, waits for an answer
            alike

                                 Acme GmbH                     ACME
              entity             e1                            e2
              Salesforce         001                           -
              ERP                -                             7

            ≠ name               Acme GmbH                     ACME
            = city               Bonn                          Bonn
            · postal code        -                             1

            What speaks for (+) and against (-) it, in bits:
                +5.3 ++++++++++++++++ name: nearly equal
                -2.6 --------         phone: differs
                +4.2 together"]]
        .assert_eq(&shown);
    }
}
