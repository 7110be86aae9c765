//! What the pages *Conflicts* and *Matches* have in common: a queue beside the one case that is looked at.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;

use super::{Region, Regions, Shell, whole};
use crate::auth::Principal;
use crate::error::Result;
use crate::show;

/// Such a page, rendered.
pub(super) struct Triage {
    pub(super) title: &'static str,
    /// Its entry in the navigation, first part of its addresses, and name for live updates.
    pub(super) at: &'static str,
    /// The parameters that say what is in the queue, as `state=open`.
    pub(super) filter: String,
    /// It is not the beginning of the queue.
    pub(super) later: bool,
    /// The address names the case, so that small screens show it instead of the queue.
    pub(super) named: bool,
    /// The case that is shown.
    pub(super) shown: Option<String>,
    pub(super) regions: Vec<Region>,
}

#[derive(Template)]
#[template(path = "triage.html")]
struct Whole {
    shell: Shell,
    r: Regions,
    open: bool,
}

impl Triage {
    /// The whole page.
    pub(super) fn page(self, headers: &HeaderMap, principal: &Principal) -> Result<Response> {
        let shell = Shell::new(self.title, self.at, headers, principal).live(self.live());
        whole(self.at, &Whole { shell, r: Regions(self.regions), open: self.named })
    }

    /// Where its live updates come from. Later pages of the queue would jump back to the first one, so they have none.
    fn live(&self) -> String {
        if self.later {
            return String::new();
        }
        let shown = match &self.shown {
            Some(shown) => format!("&{}={}", if self.named { "entity" } else { "shown" }, show::query_escape(shown)),
            None => String::new(),
        };
        format!("/events?page={}&{}{shown}", self.at, self.filter)
    }
}
