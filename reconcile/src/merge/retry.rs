//! Tries again what was refused for good: the cause may have gone away elsewhere, where no change of the record tells of it.
//! A permission was given, a validation rule is another one, a column is longer, the mapping knows a word.
//!
//! Only the mark of the refusal is taken away. What follows is decided and sent as after any event, from what both sides hold
//! now and with the same preconditions; what is refused again is marked again. A field that waits for a person stays so, and
//! so does a record that a person did not want made.

use super::decide::Done;
use super::send;
use super::state::Creation;
use super::turn::Turn;
use crate::mapping::Side;

/// What is tried again, and what is in the way of the rest.
#[derive(Default)]
struct Tried {
    fields: usize,
    record: bool,
    /// The mapping still cannot write these, in words.
    unwritten: Vec<String>,
}

pub(super) fn retried(turn: &mut Turn<'_>, side: Option<Side>) -> Done {
    let named = |target: Side| side.is_none_or(|side| side == target);
    let refused = |turn: &Turn<'_>, name: &str| {
        let state = turn.state.fields.get(name)?;
        state.failed.as_ref().filter(|failure| named(failure.target) && state.held_by.is_none()).map(|_| ())
    };
    let mapping = turn.mapping;
    let fields: Vec<&str> = mapping.fields.iter().map(|field| field.name.as_str()).filter(|name| refused(turn, name).is_some()).collect();
    let records: Vec<Side> = Side::BOTH.into_iter().filter(|target| named(*target) && not_made(turn, *target)).collect();
    if fields.is_empty() && records.is_empty() {
        return Done::Unchanged("nothing was refused".to_owned());
    }
    for name in &fields {
        turn.field(name).failed = None;
    }
    for target in &records {
        turn.state.sides[*target].create_failed = None;
    }
    turn.golden = true;
    // At once, so that the answer can say what the mapping still cannot write.
    super::follow(turn);
    send::flush(turn);
    let mut tried = Tried::default();
    for name in fields {
        match turn.field(name).failed.clone() {
            Some(failure) => tried.unwritten.push(failure.reason),
            None => tried.fields += 1,
        }
    }
    for target in records {
        match turn.state.sides[target].create_failed.clone() {
            Some(reason) => tried.unwritten.push(reason),
            None => tried.record = true,
        }
    }
    tried.answer()
}

/// A side has no record because it refused to have it made, and nobody decided that it is not to be made.
fn not_made(turn: &Turn<'_>, target: Side) -> bool {
    let (there, here) = (&turn.state.sides[target], &turn.state.sides[target.other()]);
    let wanted = matches!(there.creation, Creation::Unasked | Creation::Wanted(_));
    there.create_failed.is_some() && wanted && there.record.is_none() && here.record.is_some() && !here.deleted
}

impl Tried {
    fn answer(self) -> Done {
        let fields = match self.fields {
            0 => None,
            1 => Some("1 field".to_owned()),
            number => Some(format!("{number} fields")),
        };
        let record = "the record that was refused";
        let mut reason = match (fields, self.record) {
            (Some(fields), true) => format!("{fields} and {record} are tried again"),
            (Some(fields), false) => format!("{fields} {} tried again", if self.fields == 1 { "is" } else { "are" }),
            (None, true) => format!("{record} is tried again"),
            (None, false) => return Done::Refused(format!("{}; correct the value or the mapping first", self.unwritten.join("; "))),
        };
        for unwritten in &self.unwritten {
            reason.push_str("; ");
            reason.push_str(unwritten);
        }
        Done::accepted(reason)
    }
}
