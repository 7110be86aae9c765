//! Packs records into calls, so that records of one parent are never written in parallel. Decides only; no I/O.

/// Most records in a Collections call.
pub(crate) const PER_CALL: usize = 200;

/// A record to be written: what it locks, and its index in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Id of the parent, or of the record itself.
    pub(crate) locks: String,
    pub(crate) job: usize,
}

/// Calls that may run beside each other; those inside one track run one after another.
pub(crate) type Tracks = Vec<Vec<Vec<usize>>>;

/// Packs items into calls of at most `most`, keeping what locks the same record together.
pub(crate) fn pack(items: Vec<Item>, most: usize) -> Tracks {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for item in items {
        let place = *places.entry(item.locks.clone()).or_insert_with(|| {
            groups.push((item.locks, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(item.job);
    }
    let mut tracks: Tracks = Vec::new();
    let mut filling: Vec<usize> = Vec::new();
    for (_, jobs) in groups {
        if jobs.len() > most {
            tracks.push(jobs.chunks(most).map(<[usize]>::to_vec).collect());
            continue;
        }
        if filling.len() + jobs.len() > most {
            tracks.push(vec![std::mem::take(&mut filling)]);
        }
        filling.extend(jobs);
    }
    if !filling.is_empty() {
        tracks.push(vec![filling]);
    }
    tracks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_lost_and_one_parent_stands_in_one_track(parents in proptest::collection::vec(0_u8..12, 0..120), most in 1_usize..20) {
            let items: Vec<Item> = parents.iter().enumerate().map(|(job, parent)| Item { locks: parent.to_string(), job }).collect();
            let tracks = pack(items, most);
            let mut seen: Vec<usize> = tracks.iter().flatten().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..parents.len()).collect::<Vec<_>>());
            let mut home = std::collections::HashMap::new();
            for (track, calls) in tracks.iter().enumerate() {
                for call in calls {
                    prop_assert!(call.len() <= most && !call.is_empty());
                    for job in call {
                        prop_assert_eq!(*home.entry(parents[*job]).or_insert(track), track);
                    }
                }
            }
        }
    }

    #[test]
    fn a_thousand_records_without_common_parents_take_five_calls() {
        let items = (0..1000).map(|job| Item { locks: job.to_string(), job }).collect();
        assert_eq!(pack(items, PER_CALL).len(), 5);
    }
}
