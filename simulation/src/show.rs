//! Messages as lines for a person who reads a trace.

use futures::FutureExt as _;
use schemas::message::{Conflict, EntityChange, Field, Message, Outcome, Write};
use stream::{Codec, NewRecord};

use super::shape::canonical;

/// What a record says; none when it is of no interest.
pub(super) fn record(codec: &Codec, record: &NewRecord) -> Option<String> {
    let topic = &*record.topic;
    let bytes = record.value.as_deref()?;
    Some(match topic {
        "entity.changes" => {
            let change: EntityChange = decode(codec, topic, bytes)?;
            let how = change.op.as_str();
            let read = if change.snapshot { ", read again" } else { "" };
            let ours = if change.origin.is_some() { " under our name" } else { "" };
            let waits = if change.may_create { "" } else { ", nothing is made yet" };
            let (entity, side, record) = (short(&change.entity), change.side, &change.record);
            format!("{entity} {side} {record} {how}{read}{ours}{waits}: {}", fields(&change.fields))
        }
        "writes.crm" | "writes.erp" => {
            let write: Write = decode(codec, topic, bytes)?;
            let record = write.record.as_deref().unwrap_or("a new record");
            format!(
                "{} write {} to {} {record}: {} expecting {}; {}",
                short(&write.entity),
                short(&write.id),
                write.side,
                fields(&write.values),
                fields(&write.expected),
                write.reason
            )
        }
        "outcomes" => {
            let outcome: Outcome = decode(codec, topic, bytes)?;
            format!("{} answer to {}: {} {}", short(&outcome.entity), short(&outcome.write), outcome.result, fields(&outcome.actual))
        }
        "conflicts" => {
            let conflict: Conflict = decode(codec, topic, bytes)?;
            let (crm, erp, chosen) = (canonical(&conflict.crm), canonical(&conflict.erp), canonical(&conflict.chosen));
            format!(
                "{} conflict of {}: crm {crm:?}, erp {erp:?}, {} {chosen:?}; {}",
                short(&conflict.entity),
                conflict.field,
                conflict.state,
                conflict.reason
            )
        }
        _ => return None,
    })
}

fn decode<M: Message>(codec: &Codec, topic: &str, bytes: &[u8]) -> Option<M> {
    codec.decode(topic, bytes).now_or_never()?.ok()
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn fields(fields: &[Field]) -> String {
    let each: Vec<String> = fields.iter().map(|field| format!("{}={:?}", field.name, canonical(&field.value))).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join(" ") }
}
