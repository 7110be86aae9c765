//! One bad event stops only itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use ingest::crm::Config;
use schemas::Value;
use schemas::wire::{Wire as _, put_bytes, put_long, take_long, take_str};
use serde_json::json;
use simulator::proto::ConsumerEvent;

use super::harness::{World, ops};
use super::meddler::{Meddler, Spoil};

/// A world whose source reads through a meddler.
async fn through(late: bool, spoil: Spoil) -> Result<(World, Meddler)> {
    let mut world = World::new(&["Account"]).await?;
    let meddler = Meddler::start(&world.simulator, late, spoil).await?;
    world.config = Config { pubsub_endpoint: meddler.address.clone(), root_certificate: Some(meddler.ca_pem.clone()), ..world.config };
    Ok((world, meddler))
}

/// Does this to the second event.
fn second(spoil: impl Fn(&mut ConsumerEvent) + Send + Sync + 'static) -> Spoil {
    let count = AtomicUsize::new(0);
    Arc::new(move |event| {
        if count.fetch_add(1, Ordering::SeqCst) == 1 {
            spoil(event);
        }
    })
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_set_aside_with_its_bytes_and_the_others_go_on() -> Result<()> {
    let spoil = second(|event| {
        if let Some(event) = event.event.as_mut() {
            event.payload = event.payload.slice(..event.payload.len() / 2);
        }
    });
    let (world, _meddler) = through(false, spoil).await?;
    let running = world.start_following().await?;
    for name in ["One", "Two", "Three"] {
        world.create("Account", json!({"Name": name}))?;
    }
    let seen = world.changes_when("Account", "the two good ones", |seen| seen.len() >= 2).await?;
    let names: Vec<_> = seen.iter().filter_map(|seen| seen.after("Name")).collect();
    assert_eq!(names, [Value::text("One"), Value::text("Three")]);
    let letters = world.dead_letters("Account").await?;
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].reason.contains("ends in the middle") && letters[0].component == "ingest.crm" && !letters[0].remedy.is_empty(),
        "{letters:?}"
    );
    assert!(letters[0].value.as_ref().is_some_and(|bytes| bytes.len() > 50) && letters[0].key.is_some());
    running.stop().await?;
    let running = world.start();
    world.create("Account", json!({"Name": "Four"}))?;
    let seen = world.changes_when("Account", "the next", |seen| seen.len() >= 3).await?;
    assert_eq!((ops(&seen).as_str(), world.dead_letters("Account").await?.len()), ("ccc", 1));
    running.stop().await
}

#[tokio::test]
async fn an_event_whose_schema_does_not_exist_is_set_aside() -> Result<()> {
    let spoil = second(|event| {
        if let Some(event) = event.event.as_mut() {
            event.schema_id = "nowhere".to_owned();
        }
    });
    let (world, _meddler) = through(false, spoil).await?;
    let running = world.start_following().await?;
    for name in ["One", "Two", "Three"] {
        world.create("Account", json!({"Name": name}))?;
    }
    world.changes_when("Account", "the two good ones", |seen| ops(seen) == "cc").await?;
    let letters = world.dead_letters("unknown").await?;
    assert!(letters.len() == 1 && letters[0].reason.contains("schema"), "{letters:?}");
    running.stop().await
}

#[tokio::test]
async fn a_service_that_opens_its_stream_only_with_the_first_response_is_followed() -> Result<()> {
    let (world, _meddler) = through(true, Arc::new(|_| {})).await?;
    let running = world.start_following().await?;
    world.create("Account", json!({"Name": "One"}))?;
    world.changes_when("Account", "the account", |seen| ops(seen) == "c").await?;
    running.stop().await
}

/// Says in an event's header that this bit's field came as a difference.
fn with_difference(payload: &[u8], bitmap: &str) -> Result<Vec<u8>, schemas::wire::WireError> {
    let rest = &mut &payload[..];
    take_str(rest)?;
    Vec::<String>::take(rest)?;
    take_long(rest)?;
    take_str(rest)?;
    take_str(rest)?;
    for _ in 0..3 {
        take_long(rest)?;
    }
    take_str(rest)?;
    Vec::<String>::take(rest)?;
    let head = payload.len() - rest.len();
    Vec::<String>::take(rest)?;
    let mut out = payload[..head].to_vec();
    put_long(1, &mut out);
    put_bytes(bitmap.as_bytes(), &mut out);
    put_long(0, &mut out);
    out.extend_from_slice(rest);
    Ok(out)
}

#[tokio::test]
async fn a_text_that_came_as_a_difference_is_read_whole() -> Result<()> {
    let spoil = second(|event| {
        if let Some(event) = event.event.as_mut() {
            event.payload = with_difference(&event.payload, "0x010000").expect("a header").into();
        }
    });
    let (world, _meddler) = through(false, spoil).await?;
    let id = world.org.load("Account", [json!({"Name": "Acme", "Phone": "1"})])?[0];
    let running = world.start_following().await?;
    world.update(id, json!({"Phone": "2"}))?;
    world.update(id, json!({"Description": "A long text"}))?;
    world.update(id, json!({"Phone": "3"}))?;
    let seen = world
        .changes_when("Account", "the last", |seen| seen.last().and_then(|seen| seen.after("Phone")) == Some(Value::text("3")))
        .await?;
    assert!(matches!(ops(&seen).as_str(), "ruru" | "rur"), "{}", ops(&seen));
    assert_eq!(seen[2].after("Description"), Some(Value::text("A long text")));
    running.stop().await
}
