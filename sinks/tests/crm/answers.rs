//! What is told by the id that a record bears: lost answers, repeated tries, whose a value is.

use super::*;

#[tokio::test]
async fn what_is_made_or_changed_bears_the_id_of_the_write() -> Result<()> {
    for strict in [false, true] {
        let crm = Crm::new().await?;
        let ids = crm.accounts(["One".to_owned()])?;
        let mut config = crm.config();
        config.strict = strict;
        let running = crm.rig.crm(config)?;
        assert!(crm.account(&ids[0], STAMP)?.is_null());
        crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
        assert_eq!(crm.account(&ids[0], STAMP)?, json!("w1"));
        let made = crm.rig.write_one(new_account("w2", "New")).await?;
        let made = made.record.context("no record id")?;
        assert_eq!(crm.account(&made, STAMP)?, json!("w2"));
        // A person's edit does not touch it, nor does a write that is refused.
        crm.simulator.org().update(&crm.person(), crm.id(&made)?, &json!({"Name": "Edited"}))?;
        assert_eq!(crm.rig.write_one(rename("w3", &made, "Newer", "New")).await?.result, OutcomeResult::Rejected);
        assert_eq!(crm.account(&made, STAMP)?, json!("w2"));
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_done_again_whatever_a_person_has_edited_since() -> Result<()> {
    for (field, value) in [("Site", "Oslo"), ("Name", "Edited"), ("Name", "One")] {
        let crm = Crm::new().await?;
        let ids = crm.accounts(["One".to_owned()])?;
        let mut never_again = crm.config();
        (never_again.pace.backoff, never_again.pace.backoff_max) = (Duration::from_secs(3600), Duration::from_secs(3600));
        let running = crm.rig.crm(never_again)?;
        crm.rig.is("sink.crm", HealthState::Running).await?;
        crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
        let write = [rename("w1", &ids[0], "Uno", "One")];
        crm.rig.send(&write).await?;
        crm.rig.is("sink.crm", HealthState::Paused).await?;
        assert_eq!((crm.account(&ids[0], "Name")?, crm.account(&ids[0], STAMP)?), (json!("Uno"), json!("w1")));
        running.stop().await?;
        crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({field: value}))?;
        let edited = (crm.account(&ids[0], "LastModifiedById")?, crm.account(&ids[0], "LastModifiedDate")?);
        let running = crm.run()?;
        let outcomes = crm.rig.answered(&write).await?;
        let name = if field == "Name" { value } else { "Uno" };
        assert_eq!((outcomes[0].result, &outcomes[0].actual), (OutcomeResult::Applied, &fields(&[("Name", name.into())])));
        assert_eq!((crm.account(&ids[0], "LastModifiedById")?, crm.account(&ids[0], "LastModifiedDate")?), edited);
        assert_eq!((crm.account(&ids[0], field)?, crm.account(&ids[0], "Name")?), (json!(value), json!(name)));
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_tried_again_after_a_later_one_of_its_entity_is_not_made() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let running = crm.run()?;
    let numbered = |number: u64, to: &str, from: &str| {
        let mut write = rename("", &ids[0], to, from);
        write.id = format!("{}:w{number}", write.entity);
        write
    };
    assert_eq!(crm.rig.write_one(numbered(10, "Uno", "One")).await?.result, OutcomeResult::Applied);
    // What the earlier write expects holds again.
    crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({"Name": "One"}))?;
    let again = crm.rig.write_one(numbered(9, "Eins", "One")).await?;
    assert_eq!((again.result, again.actual), (OutcomeResult::Rejected, fields(&[("Name", "One".into())])));
    assert_eq!((crm.account(&ids[0], "Name")?, crm.account(&ids[0], STAMP)?), (json!("One"), json!(numbered(10, "", "").id)));
    assert_eq!(crm.rig.write_one(numbered(11, "Eins", "One")).await?.result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn a_value_that_the_org_altered_is_ours_after_a_lost_answer() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let shout =
        Flow { object: "Account".to_owned(), when: "Name".to_owned(), set: "Name".to_owned(), to: FlowValue::UpperOf("Name".to_owned()) };
    crm.simulator.settings().update(|live| live.flows.push(shout));
    let running = crm.run()?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let outcome = crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    assert_eq!((outcome.result, outcome.attempts), (OutcomeResult::Applied, 2));
    assert_eq!(outcome.actual, fields(&[("Name", "UNO".into())]));
    assert_eq!(crm.account(&ids[0], "Name")?, json!("UNO"));
    running.stop().await
}

#[tokio::test]
async fn a_value_that_somebody_else_put_there_is_not_ours() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned()])?;
    let running = crm.run()?;
    crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({"Name": "Uno"}))?;
    let refused = crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    assert_eq!((refused.result, refused.actual), (OutcomeResult::Rejected, fields(&[("Name", "Uno".into())])));
    assert!(crm.account(&ids[0], STAMP)?.is_null());
    // What is wanted is what is expected: written, so that the stream shows it as ours.
    assert_eq!(crm.rig.write_one(rename("w2", &ids[0], "Uno", "Uno")).await?.result, OutcomeResult::Applied);
    assert_eq!(crm.account(&ids[0], STAMP)?, json!("w2"));
    // Where no field takes the ids, equal values have to do.
    let mut plain = rename("w3", &ids[1], "Two", "Due");
    plain.write_column = None;
    assert_eq!(crm.rig.write_one(plain).await?.result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_one_effect() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    // The org alters what is written, so that reading again finds neither the old nor the new value.
    let flow =
        Flow { object: "Account".to_owned(), when: "Name".to_owned(), set: "Site".to_owned(), to: FlowValue::UpperOf("Site".to_owned()) };
    crm.simulator.settings().update(|live| live.flows.push(flow));
    let running = crm.run()?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let outcome = crm.rig.write_one(rename("w1", &ids[0], "Uno", "One")).await?;
    assert_eq!((outcome.result, outcome.attempts), (OutcomeResult::Applied, 2));
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    assert_eq!(crm.rig.write_one(new_account("w2", "New")).await?.result, OutcomeResult::Applied);
    assert_eq!(crm.simulator.org().count("Account"), 2);
    running.stop().await
}

#[tokio::test]
async fn a_record_that_was_deleted_before_its_create_was_answered_is_not_made_again() -> Result<()> {
    let crm = Crm::new().await?;
    let mut never_again = crm.config();
    (never_again.pace.backoff, never_again.pace.backoff_max) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let running = crm.rig.crm(never_again)?;
    crm.rig.is("sink.crm", HealthState::Running).await?;
    crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let write = [new_account("w1", "New")];
    crm.rig.send(&write).await?;
    crm.rig.is("sink.crm", HealthState::Paused).await?;
    running.stop().await?;
    let made = crm.simulator.org().find("Account", "Concord_Id__c", ENTITY);
    assert_eq!(made.len(), 1);
    crm.simulator.org().delete(&crm.person(), made[0])?;
    let running = crm.run()?;
    let outcomes = crm.rig.answered(&write).await?;
    assert_eq!((outcomes[0].result, outcomes[0].record.clone()), (OutcomeResult::Applied, Some(made[0].to_string())));
    assert_eq!(crm.simulator.org().count("Account"), 0);
    // A later create is another one, and what it made is found although the first lies in the bin.
    let second = crm.rig.write_one(new_account("w2", "New")).await?;
    assert_eq!((second.result, crm.simulator.org().count("Account")), (OutcomeResult::Applied, 1));
    assert_ne!(second.record, outcomes[0].record);
    let third = crm.rig.write_one(new_account("w3", "New")).await?;
    assert_eq!((third.record, crm.simulator.org().count("Account")), (second.record, 1));
    running.stop().await
}
