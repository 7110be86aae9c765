//! The table of topics as a document: `concord topics --markdown` writes `docs/topics.md`.

use schemas::topic::{Cleanup, Spread, TABLE};

use crate::cli;
use crate::print::Printer;

/// `concord topics`.
pub fn print(options: &cli::Topics, printer: &Printer) {
    if printer.is_json() {
        let rows: Vec<_> = TABLE
            .iter()
            .map(|row| serde_json::json!({"name": row.name, "key": row.key, "value": row.value, "written_by": row.writer, "read_by": row.readers}))
            .collect();
        printer.object(&serde_json::json!({"topics": rows}));
    } else if options.markdown {
        printer.raw(&topic_table());
    } else {
        for row in TABLE {
            printer.line(&format!("{:<28} {:<36} {}", row.name, row.key, row.value));
        }
    }
}

/// The whole of `docs/topics.md`.
pub fn topic_table() -> String {
    let mut text = String::from(
        "# Topics\n\nMade by `make topics` from `schemas/src/topic.rs`. A prefix (`log.prefix`) may stand before every name.\n\
         Values are Avro in the Confluent wire format; the subject is `<topic>-value`; keys are plain text.\n\
         \"entity\" partitions are `log.partitions`, placed by the murmur2 of the key (as Java clients do).\n\n\
         | Topic | Key | Value | Partitions | Cleanup | Written by | Read by |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in TABLE {
        let partitions = match row.spread {
            Spread::One => "1",
            Spread::Entity => "entity",
        };
        let cleanup = match row.cleanup {
            Cleanup::Compact => "compact".to_owned(),
            Cleanup::Delete { days } => format!("delete after {days} days"),
        };
        text.push_str(&format!(
            "| `{}` | {} | {} | {partitions} | {cleanup} | {} | {} |\n",
            row.name, row.key, row.value, row.writer, row.readers
        ));
    }
    text
}
