//! Deletes, each carried out once although a person may bring the record back.

use super::*;

fn remove(id: &str, record: &str, name: &str) -> Write {
    delete(Side::Crm, id, "Account", record, &[("Name", name.into())])
}

/// What a record that is there or in the recycle bin bears.
fn borne(crm: &Crm, id: &str) -> Result<Json> {
    crm.account(id, STAMP)
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_not_done_again_once_a_person_has_brought_the_record_back() -> Result<()> {
    for (strict, edit) in [(false, None), (true, None), (false, Some("Edited"))] {
        let crm = Crm::new().await?;
        let ids = crm.accounts(["One".to_owned()])?;
        let mut never_again = crm.config();
        (never_again.strict, never_again.pace.backoff, never_again.pace.backoff_max) =
            (strict, Duration::from_secs(3600), Duration::from_secs(3600));
        let running = crm.rig.crm(never_again)?;
        crm.rig.is("sink.crm", HealthState::Running).await?;
        crm.simulator.settings().update(|live| live.drop_after_commit_next = 1);
        let write = [remove("w1", &ids[0], "One")];
        crm.rig.send(&write).await?;
        crm.rig.is("sink.crm", HealthState::Paused).await?;
        running.stop().await?;
        assert_eq!(crm.simulator.org().count("Account"), 0);
        crm.simulator.org().undelete(&crm.person(), crm.id(&ids[0])?)?;
        if let Some(name) = edit {
            crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({"Name": name}))?;
        }
        let running = crm.run()?;
        let outcomes = crm.rig.answered(&write).await?;
        assert_eq!((outcomes[0].result, outcomes[0].record.as_deref()), (OutcomeResult::Applied, Some(ids[0].as_str())));
        assert_eq!((crm.simulator.org().count("Account"), crm.account(&ids[0], "Name")?), (1, json!(edit.unwrap_or("One"))));
        // Another delete is another one.
        let again = crm.rig.write_one(remove("w2", &ids[0], edit.unwrap_or("One"))).await?;
        assert_eq!((again.result, crm.simulator.org().count("Account")), (OutcomeResult::Applied, 0));
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_delete_is_not_done_on_a_record_that_bears_a_later_write_of_its_entity() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let running = crm.run()?;
    let numbered = |write: Write, number: u64| Write { id: format!("{}:w{number}", write.entity), ..write };
    assert_eq!(crm.rig.write_one(numbered(rename("", &ids[0], "Uno", "One"), 10)).await?.result, OutcomeResult::Applied);
    // What the delete expects holds again.
    crm.simulator.org().update(&crm.person(), crm.id(&ids[0])?, &json!({"Name": "One"}))?;
    let again = crm.rig.write_one(numbered(remove("", &ids[0], "One"), 9)).await?;
    assert_eq!((again.result, crm.simulator.org().count("Account")), (OutcomeResult::Rejected, 1), "{again:?}");
    // A later one is made, and after it no earlier write of its entity.
    assert_eq!(crm.rig.write_one(numbered(remove("", &ids[0], "One"), 12)).await?.result, OutcomeResult::Applied);
    crm.simulator.org().undelete(&crm.person(), crm.id(&ids[0])?)?;
    assert_eq!(crm.rig.write_one(numbered(rename("", &ids[0], "Eins", "One"), 11)).await?.result, OutcomeResult::Rejected);
    assert_eq!(crm.account(&ids[0], "Name")?, json!("One"));
    running.stop().await
}

#[tokio::test]
async fn what_is_deleted_bears_the_write_and_what_could_not_be_is_as_it_was() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned(), "Two".to_owned(), "Three".to_owned(), "Four".to_owned()])?;
    // An account with a case cannot be deleted.
    crm.simulator.org().load("Case", [json!({"AccountId": ids[1], "Subject": "open"})])?;
    // Where no field takes the ids, it is deleted without.
    let mut plain = remove("w4", &ids[3], "Four");
    plain.write_column = None;
    let running = crm.run()?;
    let writes = [remove("w1", &ids[0], "One"), remove("w2", &ids[1], "Two"), remove("w3", &ids[2], "something else"), plain];
    let outcomes = crm.rig.write(&writes).await?;
    use OutcomeResult::{Applied, Failed, Rejected};
    assert_eq!(outcomes.iter().map(|it| it.result).collect::<Vec<_>>(), [Applied, Failed, Rejected, Applied], "{outcomes:?}");
    assert_eq!(outcomes[1].code.as_deref(), Some("DELETE_FAILED"));
    assert_eq!(crm.simulator.org().count("Account"), 2);
    assert!(borne(&crm, &ids[1])?.is_null() && borne(&crm, &ids[2])?.is_null());
    crm.simulator.org().undelete(&crm.person(), crm.id(&ids[0])?)?;
    assert_eq!(borne(&crm, &ids[0])?, json!("w1:d"));
    running.stop().await
}

#[tokio::test]
async fn a_parent_goes_in_the_same_batch_as_its_children() -> Result<()> {
    let crm = Crm::new().await?;
    let ids = crm.accounts(["One".to_owned()])?;
    let contacts: Vec<Json> = (0..3).map(|n| json!({"LastName": format!("contact {n}"), "AccountId": ids[0]})).collect();
    let contacts: Vec<String> = crm.simulator.org().load("Contact", contacts)?.iter().map(RecordId::to_string).collect();
    let mut writes = vec![remove("a", &ids[0], "One")];
    writes.extend(contacts.iter().enumerate().map(|(n, id)| delete(Side::Crm, &format!("c{n}"), "Contact", id, &[])));
    let running = crm.run()?;
    let outcomes = crm.rig.write(&writes).await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied), "{outcomes:?}");
    assert_eq!((crm.simulator.org().count("Account"), crm.simulator.org().count("Contact")), (0, 0));
    running.stop().await
}
