//! What people tell Concord to do: decisions of every kind, and the pause. Each becomes a message on
//! the log before anybody is told that it was taken.

mod asked;
mod decided;
mod wanted;

use schemas::message::{Action, Choice, Decision, Setting};
use stream::NewRecord;
use uuid::Uuid;

pub(crate) use asked::{Asked, MAX_ASKED, RECORD, already_decided, ask, batch_of, entity as named_entity, lost};
pub(crate) use decided::{Answered, Decided, Remembered};
pub(crate) use wanted::{Wanted, wanted};

use crate::clock::now_micros;
use crate::error::{Error, Result};
use crate::metrics::metrics;
use crate::queries::conflicts::Conflict;
use crate::queries::{self, At, setting};
use crate::server::App;

/// Puts decisions on the log, all or none. Who decided what is logged; the values are not.
pub(crate) async fn publish(app: &App, decisions: &[Decision]) -> Result<()> {
    let topic = app.topics.decisions();
    let mut records = Vec::new();
    for decision in decisions {
        let bytes = app.codec.encode(&topic, decision).await.map_err(|source| Error::Publish { what: "decision", source })?;
        records.push(
            NewRecord::new(topic.as_str(), decision.entity.clone(), bytes).header(schemas::message::SYNC_ID_HEADER, decision.id.clone()),
        );
    }
    app.log.publish(records).await.map_err(|source| Error::Publish { what: "decision", source })?;
    for decision in decisions {
        metrics().decisions.with_label_values(&[decision.action.as_str()]).inc();
        tracing::info!(
            sync.id = decision.id,
            decision.action = decision.action.as_str(),
            decision.actor = decision.actor,
            decision.batch = decision.batch,
            decision.force = decision.force,
            entity = decision.entity,
            conflict = Some(&decision.conflict).filter(|id| !id.is_empty()),
            write = decision.write,
            other = decision.other,
            "a person decided"
        );
    }
    app.live.touch();
    Ok(())
}

/// Settles conflicts as a person wants, all or none, and remembers that until the conflicts change. Gives the decisions.
pub(crate) async fn settle(app: &App, actor: &str, batch: Option<String>, wanted: Vec<(Conflict, Wanted)>) -> Result<Vec<Decision>> {
    let now = now_micros();
    let (decisions, remembered): (Vec<_>, Vec<_>) =
        wanted.into_iter().map(|(conflict, wanted)| settling(&conflict, wanted, actor, batch.clone(), now)).unzip();
    publish(app, &decisions).await?;
    app.decided.remember(remembered);
    Ok(decisions)
}

/// Forgets the decisions that the read model has the answer to: one that was refused, or whose conflict is open again, is not in
/// the way of the next.
pub(crate) async fn catch_up(app: &App) -> Result<()> {
    let pending = app.decided.pending();
    if !pending.is_empty() {
        app.decided.forget(&queries::decisions::ended(&app.pool, &pending).await?);
    }
    Ok(())
}

/// The decision that settles a conflict, and what to remember of it.
fn settling(conflict: &Conflict, wanted: Wanted, actor: &str, batch: Option<String>, now: i64) -> (Decision, (String, Remembered)) {
    let decision = Decision {
        conflict: conflict.id.clone(),
        choice: wanted.choice,
        // A side's value is the reconciler's to know: it may have moved on since the page was made.
        value: if wanted.choice == Choice::Value { wanted.value.clone() } else { schemas::Value::Null },
        batch,
        ..Decision::new(Uuid::now_v7(), &conflict.entity, Action::Settle, actor, now)
    };
    let remembered =
        Remembered { decision: decision.id.clone(), choice: wanted.choice, value: wanted.value, actor: actor.to_owned(), at: At(now) };
    (decision, (conflict.id.clone(), remembered))
}

/// Puts the pause on the log.
pub(crate) async fn pause(app: &App, actor: &str, paused: bool) -> Result<()> {
    // The read model may not show the last one yet.
    let version = setting::pause(&app.pool).await?.map_or(0, |setting| setting.version).max(app.decided.pause_version()) + 1;
    let topic = app.topics.control();
    let message = Setting {
        name: setting::PAUSE.into(),
        value: serde_json::json!({ "paused": paused }).to_string(),
        version,
        actor: actor.to_owned(),
        at: now_micros(),
    };
    let bytes = app.codec.encode(&topic, &message).await.map_err(|source| Error::Publish { what: "pause", source })?;
    app.log
        .publish(vec![NewRecord::new(topic.as_str(), setting::PAUSE, bytes)])
        .await
        .map_err(|source| Error::Publish { what: "pause", source })?;
    tracing::info!(paused, version, "the sync was paused or resumed from the dashboard");
    app.decided.remember_pause(paused, version);
    app.live.touch();
    Ok(())
}
