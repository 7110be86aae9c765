//! Deletes that leave a trace: one Composite request, all or none, whose first subrequest puts the write's id on the records
//! and whose second deletes them. It counts as one call, for up to 200 records.
//!
//! So a record that is there and bears the id of its delete was deleted and has been brought back since. That would not hold
//! of two calls: between them the one may be made and the other not.
//!
//! What spoils a request for all records in it has its answer; the others are tried again without.

use schemas::stamp;
use serde_json::{Value as Json, json};

use super::client::CALL_OPTIONS;
use super::code;
use super::send::{Answers, Refusal, SINCE, halves};
use crate::writer::{Answer, Job, Verdict};

/// What Salesforce says of a record, or a subrequest, that would have been done but for another one.
const UNDONE: [&str; 2] = ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "PROCESSING_HALTED"];

/// The request for several records.
pub(super) fn many(version: &str, jobs: &[&Job]) -> Json {
    let path = format!("/services/data/v{version}/composite/sobjects");
    let records: Vec<Json> = jobs
        .iter()
        .map(|job| {
            let mut record = trace(job);
            record["attributes"] = json!({"type": job.write.object});
            record["id"] = json!(job.write.record);
            record
        })
        .collect();
    let ids: Vec<&str> = jobs.iter().filter_map(|job| job.write.record.as_deref()).collect();
    request(
        json!({"method": "PATCH", "url": path, "body": {"allOrNone": true, "records": records}}),
        json!({"method": "DELETE", "url": format!("{path}?ids={}&allOrNone=true", ids.join(","))}),
    )
}

/// The request for one record, which Salesforce refuses if the record has changed `since`. It does not look at that for
/// deletes, but for the update that comes before.
pub(super) fn one(version: &str, job: &Job, since: Option<String>) -> Json {
    let path = format!("/services/data/v{version}/sobjects/{}/{}", job.write.object, job.write.record.as_deref().unwrap_or_default());
    let mut mark = json!({"method": "PATCH", "url": path, "body": trace(job)});
    if let Some(since) = since {
        mark["httpHeaders"] = json!({SINCE: since});
    }
    request(mark, json!({"method": "DELETE", "url": path}))
}

fn trace(job: &Job) -> Json {
    match &job.write.write_column {
        Some(column) => json!({column: stamp::of_delete(&job.write.id)}),
        None => json!({}),
    }
}

/// In this order: unless told so, Salesforce may take the second before the first.
fn request(mut mark: Json, mut delete: Json) -> Json {
    for (part, name) in [(&mut mark, "mark"), (&mut delete, "delete")] {
        part["referenceId"] = json!(name);
        part["httpHeaders"]["Sforce-Call-Options"] = json!(CALL_OPTIONS);
    }
    json!({"allOrNone": true, "collateSubrequests": false, "compositeRequest": [mark, delete]})
}

/// The answers in the reply to a request for `part`, and the parts to be tried again.
pub(super) fn answers(jobs: &[Job], part: &[usize], body: &Json) -> (Answers, Vec<Vec<usize>>) {
    let replies: Vec<Subreply<'_>> = body["compositeResponse"].as_array().into_iter().flatten().map(Subreply::of).collect();
    if replies.len() == 2 && replies.iter().all(Subreply::done) {
        let applied = |index: usize| Answer::Done(Verdict::applied(jobs[index].write.record.clone(), Vec::new()));
        return (part.iter().map(|index| (*index, applied(*index))).collect(), Vec::new());
    }
    let mut refused: Answers = Vec::new();
    for (place, index) in part.iter().enumerate() {
        let refusals = replies.iter().filter_map(|reply| reply.rows.get(place).filter(|row| row["success"] == false));
        if let Some(refusal) = refusals.map(Refusal::of).find(|refusal| !UNDONE.contains(&refusal.code)) {
            refused.push((*index, refusal.answer()));
        }
    }
    if !refused.is_empty() {
        let left: Vec<usize> = part.iter().copied().filter(|index| refused.iter().all(|(refused, _)| refused != index)).collect();
        return (refused, if left.is_empty() { Vec::new() } else { vec![left] });
    }
    if part.len() > 1 {
        return (Vec::new(), halves(part));
    }
    let refusal = replies.iter().find_map(|reply| reply.refusal.filter(|(code, _)| !UNDONE.contains(code)));
    let answer = match refusal {
        Some((code, message)) => code::answer(code, message, &[]),
        None => Answer::later("SHORT_ANSWER", "Salesforce answered neither that it was done nor why not", "", None),
    };
    (part.iter().map(|index| (*index, answer.clone())).collect(), Vec::new())
}

/// The answer to one of the two subrequests.
struct Subreply<'a> {
    ok: bool,
    /// Of a Collections call, one for each record.
    rows: &'a [Json],
    /// Code and message where it was refused as a whole.
    refusal: Option<(&'a str, &'a str)>,
}

impl<'a> Subreply<'a> {
    fn of(reply: &'a Json) -> Self {
        let ok = reply["httpStatusCode"].as_u64().is_some_and(|status| (200..300).contains(&status));
        let items = reply["body"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |key: &str| items.first().and_then(|error| error[key].as_str());
        Self {
            ok,
            rows: if ok { items } else { &[] },
            refusal: text("errorCode").filter(|_| !ok).map(|code| (code, text("message").unwrap_or_default())),
        }
    }

    fn done(&self) -> bool {
        self.ok && self.rows.iter().all(|row| row["success"] == true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::update;
    use super::*;

    /// What becomes of three deletes: `+` done, `-` refused, `?` to be looked at again; and who is tried again with whom.
    fn check(replies: Json, answered: &str, again: &[&[usize]]) {
        let jobs = [update(Some("By__c")), update(Some("By__c")), update(Some("By__c"))];
        let (answers, waiting) = answers(&jobs, &[0, 1, 2], &json!({"compositeResponse": replies}));
        let mut shown = ['.'; 3];
        for (index, answer) in answers {
            shown[index] = match answer {
                Answer::Done(verdict) if verdict.result == schemas::message::OutcomeResult::Applied => '+',
                Answer::Done(_) => '-',
                Answer::Later(_) => '?',
            };
        }
        assert_eq!((shown.iter().collect::<String>().as_str(), waiting), (answered, again.iter().map(|part| part.to_vec()).collect()));
    }

    fn row(code: &str) -> Json {
        match code {
            "" => json!({"id": "001", "success": true, "errors": []}),
            code => json!({"success": false, "errors": [{"statusCode": code, "message": "m", "fields": []}]}),
        }
    }

    fn rows(codes: [&str; 3]) -> Json {
        json!({"httpStatusCode": 200, "body": codes.map(row)})
    }

    fn whole(code: &str) -> Json {
        json!({"httpStatusCode": 400, "body": [{"errorCode": code, "message": "m"}]})
    }

    #[test]
    fn all_go_or_those_that_spoil_it_are_left_out_and_the_others_tried_again() {
        let (done, undone, halted) = (rows([""; 3]), "ALL_OR_NONE_OPERATION_ROLLED_BACK", whole("PROCESSING_HALTED"));
        check(json!([done, done]), "+++", &[]);
        check(json!([rows(["", "STRING_TOO_LONG", ""]), halted]), ".-.", &[&[0, 2]]);
        check(json!([rows([undone, undone, "UNABLE_TO_LOCK_ROW"]), halted]), "..?", &[&[0, 1]]);
        check(json!([halted, rows(["", "DELETE_FAILED", "DELETE_FAILED"])]), ".--", &[&[0]]);
        check(json!([done, rows(["ENTITY_IS_DELETED", undone, undone])]), "?..", &[&[1, 2]]);
        check(json!([rows(["DELETE_FAILED"; 3]), halted]), "---", &[]);
        // Nobody is named: it is found by halves.
        check(json!([whole("INVALID_FIELD"), halted]), "...", &[&[0], &[1, 2]]);
        check(json!([done]), "...", &[&[0], &[1, 2]]);
        check(json!([rows([undone; 3]), halted]), "...", &[&[0], &[1, 2]]);
    }

    #[test]
    fn a_single_record_has_the_answer_of_the_request() {
        let answer = |replies: Json| answers(&[update(Some("By__c"))], &[0], &json!({"compositeResponse": replies})).0.remove(0).1;
        let done = json!({"httpStatusCode": 204, "body": null});
        assert!(matches!(answer(json!([done, done])), Answer::Done(_)));
        assert!(matches!(answer(json!([whole("CONDITION_NOT_MET"), whole("PROCESSING_HALTED")])), Answer::Later(_)));
        assert!(matches!(answer(json!([whole("PROCESSING_HALTED"), whole("DELETE_FAILED")])), Answer::Done(_)));
        assert!(matches!(answer(json!([])), Answer::Later(_)));
    }

    #[test]
    fn what_is_marked_is_what_is_deleted() {
        let job = update(Some("By__c"));
        let id = job.write.record.clone().unwrap_or_default();
        let body = many("66.0", &[&job, &job]);
        assert_eq!((&body["allOrNone"], &body["collateSubrequests"]), (&json!(true), &json!(false)));
        let record = json!({"attributes": {"type": "Account"}, "id": id, "By__c": "e:w7:d"});
        assert_eq!(body["compositeRequest"][0]["body"]["records"], json!([record, record]));
        let path = "/services/data/v66.0/composite/sobjects";
        assert_eq!(body["compositeRequest"][1]["url"], json!(format!("{path}?ids={id},{id}&allOrNone=true")));
        let alone = one("66.0", &job, Some("then".to_owned()));
        assert_eq!(alone["compositeRequest"][0]["body"], json!({"By__c": "e:w7:d"}));
        assert_eq!(
            alone["compositeRequest"][0]["httpHeaders"],
            json!({"If-Unmodified-Since": "then", "Sforce-Call-Options": "client=concord"})
        );
        assert_eq!(alone["compositeRequest"][1]["url"], json!(format!("/services/data/v66.0/sobjects/Account/{id}")));
    }
}
