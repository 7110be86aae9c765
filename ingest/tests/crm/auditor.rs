//! Whatever breaks, in the end the log says what the org says.

use std::collections::BTreeMap;

use anyhow::Result;
use ingest::crm::Config;
use schemas::Value;
use serde_json::{Value as Json, json};
use simulator::RecordId;

use super::harness::World;

/// A small generator, so that a run can be repeated by its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Name, phone and city of every live account.
fn org_says(world: &World) -> BTreeMap<String, [Option<String>; 3]> {
    let mut all = BTreeMap::new();
    world.org.scan("Account", |record| {
        if !record.is_deleted() {
            all.insert(record.id().to_string(), ["Name", "Phone", "BillingCity"].map(|field| record.text(field)));
        }
    });
    all
}

async fn log_says(world: &World) -> Result<BTreeMap<String, [Option<String>; 3]>> {
    let text = |row: &BTreeMap<String, Value>, name: &str| row.get(name).and_then(|value| value.as_text().map(str::to_owned));
    Ok(world.folded("Account").await?.into_iter().map(|(id, row)| (id, ["Name", "Phone", "BillingCity"].map(|field| text(&row, field)))).collect())
}

fn edit(world: &World, chance: &mut Chance, ids: &mut Vec<RecordId>, step: usize) -> Result<()> {
    if chance.below(3) == 0 {
        world.clock.advance_ms(1000);
    }
    let person = world.person();
    match chance.below(10) {
        0 | 1 => ids.push(world.org.create(&person, "Account", &json!({"Name": format!("Account {step}")}))?),
        2 if !ids.is_empty() => world.org.delete(&person, ids.swap_remove(chance.below(ids.len())))?,
        _ if !ids.is_empty() => {
            let id = ids[chance.below(ids.len())];
            let city = if chance.below(2) == 0 { Json::Null } else { format!("City {step}").into() };
            world.org.update(&person, id, &json!({"Phone": step.to_string(), "BillingCity": city}))?;
        }
        _ => {}
    }
    Ok(())
}

fn trouble(world: &World, chance: &mut Chance) {
    let settings = world.simulator.settings();
    match chance.below(12) {
        0 => settings.update(|live| live.gap_next = 2),
        1 => world.simulator.close_streams(),
        2 => world.simulator.end_sessions(),
        3 => settings.update(|live| live.unavailable_next = 2),
        4 => settings.update(|live| live.drop_before_next = 1),
        5 => world.memory.faults().refuse_next(stream::memory::Call::Commit, 1),
        6 => world.memory.faults().lose_next_answer(stream::memory::Call::Commit, 1),
        7 => world.org.purge_events(),
        8 => settings.update(|live| live.overflow_after = 1),
        9 => settings.update(|live| live.overflow_after = 100_000),
        _ => {}
    }
}

async fn storm(seed: u64) -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    world.config = Config { page_rows: 20, credit: 10, silence_timeout_ms: 2_000, ..world.config };
    let mut chance = Chance(seed);
    let mut ids = world.org.load("Account", (0..60).map(|number| json!({"Name": format!("Old {number}"), "Phone": "0"})))?;
    let mut running = world.start();
    for step in 0..400 {
        edit(&world, &mut chance, &mut ids, step)?;
        trouble(&world, &mut chance);
        if chance.below(40) == 0 {
            running.kill().await;
            running = world.start();
        }
        if chance.below(4) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(chance.below(10) as u64)).await;
        }
    }
    world.simulator.settings().update(|live| live.overflow_after = 100_000);
    let agreed = world.until("the log says what the org says", async || Ok(log_says(&world).await? == org_says(&world))).await;
    if let Err(error) = agreed {
        let (log, org) = (log_says(&world).await?, org_says(&world));
        let wrong: Vec<_> = org.iter().filter(|(id, row)| log.get(*id) != Some(row)).map(|(id, row)| (id, row, log.get(id))).collect();
        let extra: Vec<_> = log.keys().filter(|id| !org.contains_key(*id)).collect();
        anyhow::bail!("seed {seed}: {error}; wrong: {wrong:?}; extra: {extra:?}");
    }
    running.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_the_log_comes_to_say_what_the_org_says() -> Result<()> {
    for seed in 1..=4 {
        storm(seed).await?;
    }
    Ok(())
}
