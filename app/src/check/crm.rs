//! Salesforce: sign-in, objects with change events, and the mapping's fields.

use ingest::crm::Use;

use super::needs::Needs;
use super::{Looked, Problem, Seen};
use crate::config::Config;

const CHANNEL: &str = "Salesforce event channel";

/// Looks with the reader's settings, which sign in as the writer's do. Without `events_too`, a fault of the event
/// stream is the business of the process that reads it.
pub(super) async fn look(config: &Config, needs: Needs, events_too: bool) -> Looked {
    let reader = &config.capture_crm;
    let place = place(config);
    let asked: ingest::crm::Needs = needs
        .iter()
        .map(|(object, columns)| {
            let uses =
                columns.iter().map(|(column, need)| (column.clone(), if need.update || need.insert { Use::Write } else { Use::Read }));
            (object.clone(), uses.collect())
        })
        .collect();
    let problems: Vec<Problem> = ingest::crm::check(reader, &asked)
        .await
        .into_iter()
        .filter(|finding| events_too || !finding.place.starts_with(CHANNEL))
        .map(|finding| {
            let mut problem = Problem::from(finding);
            if problem.place == format!("source {}", reader.name) {
                problem.place.clone_from(&place);
            } else if problem.place.starts_with(CHANNEL) {
                problem.place = format!("{} at {}", problem.place, reader.pubsub_endpoint);
            } else if let Some(said) = said(&needs, &problem.place) {
                problem.place = format!("{}, mapped by {said}", problem.place);
            }
            problem
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let fields: usize = needs.values().map(|columns| columns.len()).sum();
    let what = format!("signed in; change events of {}; {fields} fields as mapped", reader.objects.join(", "));
    Ok(Seen { place, what })
}

/// Where it is, for people.
pub(super) fn place(config: &Config) -> String {
    format!("Salesforce at {}", config.capture_crm.login_url)
}

/// Which line of the mapping names the field of `Salesforce field Account.Name`.
fn said<'a>(needs: &'a Needs, place: &str) -> Option<&'a str> {
    let (object, field) = place.strip_prefix("Salesforce field ")?.split_once('.')?;
    Some(needs.get(object)?.get(field)?.said.as_str())
}
