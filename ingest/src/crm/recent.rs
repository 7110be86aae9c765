//! Events that came lately, so that one that the service publishes twice is applied once.
//!
//! A repeated event has the same id and another place in the stream; applied late it would put an older value back.
//! The same id at the same place is the same event delivered again, after a commit that failed.

use std::collections::{BTreeMap, VecDeque};

use super::ids::ReplayId;

/// Events kept in mind.
const MAX_RECENT: usize = 20_000;

/// Ids of recent events with their places.
#[derive(Default)]
pub(crate) struct Recent {
    places: BTreeMap<String, ReplayId>,
    order: VecDeque<String>,
}

impl Recent {
    /// Whether an event has been seen at another place; notes it when not.
    pub(crate) fn repeats(&mut self, id: &str, place: &ReplayId) -> bool {
        if let Some(seen) = self.places.get(id) {
            return seen != place;
        }
        if self.order.len() == MAX_RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        self.order.push_back(id.to_owned());
        self.places.insert(id.to_owned(), place.clone());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_at_another_place_is_a_repeat() {
        let mut recent = Recent::default();
        let place = |number: u8| ReplayId::new([number]);
        assert!(!recent.repeats("a", &place(1)));
        assert!(!recent.repeats("a", &place(1)));
        assert!(recent.repeats("a", &place(2)));
        for number in 0..MAX_RECENT {
            recent.repeats(&number.to_string(), &place(3));
        }
        assert!(!recent.repeats("a", &place(4)));
    }
}
