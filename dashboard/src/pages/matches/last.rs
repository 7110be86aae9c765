//! The last answer of whoever looks at the page, so that it can be taken back.

use super::queue::title;
use crate::error::Result;
use crate::queries::{self, At};
use crate::server::App;
use crate::show::When;

/// What was answered last, and how it stands.
pub(crate) struct Last {
    pub(crate) words: String,
    pub(crate) decision: String,
    pub(crate) refused: bool,
}

/// The last answer that has not been taken back; none when there is none.
pub(super) async fn last(app: &App, actor: &str, now: At) -> Result<Option<Last>> {
    let fresh = app.decided.last_match(actor);
    let found = queries::decisions::last_match(&app.pool, actor).await?;
    let newer = |at: At| fresh.as_ref().filter(|(_, one)| one.at > at);
    let (review, decision, same, at, standing, refused) = match (&found, &fresh) {
        (None, None) => return Ok(None),
        (Some(found), _) if newer(found.at).is_none() => {
            if app.decided.was_taken_back(&found.id) {
                return Ok(None);
            }
            let review = format!("{}~{}", found.entity, found.other.as_deref().unwrap_or_default());
            let standing = match found.result.as_deref() {
                None => "being carried out".to_owned(),
                Some("waiting") => found.reason.clone(),
                Some("refused") => format!("refused: {}", found.reason),
                Some(_) => "done".to_owned(),
            };
            (review, found.id.clone(), found.action == "same", found.at, standing, found.refused())
        }
        (_, Some((review, one))) => (review.clone(), one.decision.clone(), one.same, one.at, "being carried out".to_owned(), false),
        (Some(_), None) => return Ok(None),
    };
    let Some(row) = queries::matches::one(&app.pool, &review).await? else { return Ok(None) };
    let (left, right) = (title(&row.left_title, &row.left_entity), title(&row.right_title, &row.right_entity));
    let answer = if same { "the same" } else { "not the same" };
    let words = format!("{left} and {right}: {answer}, {}, {}", When::calm(at, now).ago, standing);
    Ok(Some(Last { words, decision, refused }))
}

/// Whether the decision that answered a match has been taken back, or is being.
pub(super) async fn taken_back(app: &App, decision: &str) -> Result<bool> {
    Ok(app.decided.was_taken_back(decision) || queries::decisions::taken_back(&app.pool, decision).await?)
}
