//! Decisions about the record as a whole: gone on one side, or missing on one.

use super::decide::{self, Done};
use super::effect::ConflictRecord;
use super::event::{Choice, Verdict};
use super::state::Creation;
use super::turn::Turn;
use super::{create, delete};
use crate::mapping::Side;

/// A side's choice makes the other one as it is there: the record goes, or is made.
pub(super) fn settled(turn: &mut Turn<'_>, verdict: &Verdict, choice: &Choice, record: ConflictRecord) -> Done {
    let number = record.number;
    if let Some(side) = Side::BOTH.into_iter().find(|side| turn.state.sides[*side].creation == Creation::Asked(number)) {
        return match choice {
            Choice::Side(chosen) if *chosen != side => create::wished(turn, side, &verdict.actor),
            Choice::Side(_) | Choice::Both => create::refused(turn, side, &verdict.actor),
            Choice::Value(_) => Done::Refused("whether a record is made is decided by a side, not by a value".to_owned()),
        };
    }
    let Some(deleted) = Side::BOTH.into_iter().find(|side| turn.state.sides[*side].deletion == Some(number)) else {
        decide::close(turn, verdict, record, None, crate::Value::Null, true);
        return Done::Unchanged("what it was about has passed".to_owned());
    };
    let kept = deleted.other();
    match choice {
        Choice::Side(side) if *side == deleted => {
            let chosen = record.values[deleted].value.clone();
            decide::close(turn, verdict, record, Some(deleted), chosen, false);
            turn.state.sides[deleted].follow = Some(verdict.actor.clone());
            delete::evaluate(turn);
            Done::kept_in("the other record follows", number)
        }
        Choice::Side(_) | Choice::Both => {
            let chosen = record.values[kept].value.clone();
            decide::close(turn, verdict, record, Some(kept), chosen, matches!(choice, Choice::Both));
            Done::kept_in("the other record stays", number)
        }
        Choice::Value(_) => Done::Refused("whether a record stays is decided by a side, not by a value".to_owned()),
    }
}
