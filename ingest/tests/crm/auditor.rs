//! Whatever breaks, in the end the log says what the org says.

use std::collections::{BTreeMap, BTreeSet};

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

const OBJECTS: [(&str, [&str; 3]); 2] = [("Account", ["Name", "Phone", "BillingCity"]), ("Contact", ["LastName", "Phone", "AccountId"])];

type Said = BTreeMap<(&'static str, String), [Option<String>; 3]>;

/// Some fields of every live record.
fn org_says(world: &World) -> Said {
    let mut all = BTreeMap::new();
    for (object, fields) in OBJECTS {
        world.org.scan(object, |record| {
            if !record.is_deleted() {
                all.insert((object, record.id().to_string()), fields.map(|field| record.text(field)));
            }
        });
    }
    all
}

async fn log_says(world: &World) -> Result<Said> {
    let text = |row: &BTreeMap<String, Value>, name: &str| row.get(name).and_then(|value| value.as_text().map(str::to_owned));
    let mut all = BTreeMap::new();
    for (object, fields) in OBJECTS {
        for (id, row) in world.folded(object).await? {
            all.insert((object, id), fields.map(|field| text(&row, field)));
        }
    }
    Ok(all)
}

fn edit(world: &World, chance: &mut Chance, accounts: &mut Vec<RecordId>, contacts: &mut Vec<RecordId>, step: usize) -> Result<()> {
    if chance.below(3) == 0 {
        world.clock.advance_ms(1000);
    }
    let person = world.person();
    let account = accounts[chance.below(accounts.len())];
    match chance.below(12) {
        0 | 1 => accounts.push(world.org.create(&person, "Account", &json!({"Name": format!("Account {step}")}))?),
        2 | 3 => contacts.push(world.org.create(
            &person,
            "Contact",
            &json!({"LastName": format!("Contact {step}"), "AccountId": account.to_string()}),
        )?),
        // Contacts go with their account.
        4 if accounts.len() > 10 => {
            accounts.retain(|id| *id != account);
            world.org.delete(&person, account)?;
        }
        5 | 6 if !contacts.is_empty() => {
            let contact = contacts[chance.below(contacts.len())];
            // It may have gone with its account.
            let _ = world.org.update(&person, contact, &json!({"Phone": step.to_string(), "AccountId": account.to_string()}));
        }
        7 if !contacts.is_empty() => {
            let contact = contacts[chance.below(contacts.len())];
            // Whether it is alive decides which of the two does something.
            let _ = world.org.delete(&person, contact).or_else(|_| world.org.undelete(&person, contact));
        }
        _ => {
            let city = if chance.below(2) == 0 { Json::Null } else { format!("City {step}").into() };
            world.org.update(&person, account, &json!({"Phone": step.to_string(), "BillingCity": city}))?;
        }
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

const SEEDS: u64 = 6;

async fn storm(seed: u64) -> Result<()> {
    let mut world = World::new(&["Account", "Contact"]).await?;
    world.config = Config { page_rows: 20, credit: 10, silence_timeout_ms: 2_000, ..world.config };
    let mut chance = Chance(seed);
    let mut contacts = Vec::new();
    let mut accounts = world.org.load("Account", (0..60).map(|number| json!({"Name": format!("Old {number}"), "Phone": "0"})))?;
    let mut running = world.start();
    for step in 0..400 {
        edit(&world, &mut chance, &mut accounts, &mut contacts, step)?;
        trouble(&world, &mut chance);
        if chance.below(40) == 0 {
            running.kill().await;
            running = world.start();
        }
        if chance.below(4) == 0 {
            // Nothing is waited for: what comes next may come at any moment.
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
    running.stop().await?;
    let mut once = BTreeSet::new();
    for (object, _) in OBJECTS {
        for seen in world.changes(object).await? {
            let streamed = seen.change.as_ref().is_some_and(|change| !change.source.snapshot);
            anyhow::ensure!(!streamed || once.insert(seen.sync_id.clone()), "seed {seed}: {} stands on the log twice", seen.sync_id);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_the_log_comes_to_say_what_the_org_says() -> Result<()> {
    for seed in 1..=SEEDS {
        storm(seed).await?;
    }
    Ok(())
}
