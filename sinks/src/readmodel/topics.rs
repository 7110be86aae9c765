//! Which topics the read model is made of, and what stands on each.

use std::collections::BTreeMap;

use schemas::message::Side;
use schemas::topic::Topics;

use super::Config;

/// What stands on a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Links,
    Golden(String),
    Write,
    Outcome,
    Conflict,
    Review,
    Decision,
    DecisionOutcome,
    Audit,
    Financials,
    Pipeline,
    Health,
    Control,
    DeadLetter,
    Source,
}

pub(crate) struct Wanted(BTreeMap<String, Kind>);

impl Wanted {
    /// Those of the log's topics that pages need.
    pub(crate) fn among(existing: &[String], topics: &Topics, config: &Config) -> Self {
        let mut fixed: BTreeMap<String, Kind> = BTreeMap::from([
            (topics.entity_links(), Kind::Links),
            (topics.writes(Side::Crm), Kind::Write),
            (topics.writes(Side::Erp), Kind::Write),
            (topics.outcomes(), Kind::Outcome),
            (topics.conflicts(), Kind::Conflict),
            (topics.match_reviews(), Kind::Review),
            (topics.decisions(), Kind::Decision),
            (topics.decision_outcomes(), Kind::DecisionOutcome),
            (topics.audit(), Kind::Audit),
            (topics.customer_financials(), Kind::Financials),
            (topics.pipeline_summary(), Kind::Pipeline),
            (topics.health(), Kind::Health),
            (topics.control(), Kind::Control),
        ]);
        for source in &config.source_objects {
            let topic = match source.side {
                Side::Crm => topics.cdc_crm(&source.object),
                Side::Erp => topics.cdc_erp(&source.object),
            };
            fixed.insert(topic, Kind::Source);
        }
        let golden = topics.golden("");
        let kind = |name: &String| {
            // Names of other installations on the same broker do not follow our prefix.
            topics.config(name)?;
            if name.ends_with(".dlq") {
                return Some(Kind::DeadLetter);
            }
            fixed.get(name).cloned().or_else(|| name.strip_prefix(&golden).map(|kind| Kind::Golden(kind.to_owned())))
        };
        Self(existing.iter().filter_map(|name| Some((name.clone(), kind(name)?))).collect())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn kind(&self, topic: &str) -> Option<&Kind> {
        self.0.get(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SourceObject;
    use super::*;

    #[test]
    fn only_topics_that_pages_need_are_read() {
        let mut config = Config::new("postgres://x");
        config.source_objects.push(SourceObject { side: Side::Erp, object: "public.orders".to_owned() });
        let names = [
            "p.audit",
            "p.golden.customer",
            "p.cdc.erp.public.orders",
            "p.cdc.erp.public.customers",
            "p.writes.erp.dlq",
            "p.entity.changes",
            "audit",
            "p._schemas",
        ];
        let wanted = Wanted::among(&names.map(str::to_owned), &Topics::new("p.", 4), &config);
        assert_eq!(wanted.names().collect::<Vec<_>>(), ["p.audit", "p.cdc.erp.public.orders", "p.golden.customer", "p.writes.erp.dlq"]);
        assert_eq!(wanted.kind("p.golden.customer"), Some(&Kind::Golden("customer".to_owned())));
    }
}
