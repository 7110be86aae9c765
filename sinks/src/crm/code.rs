//! Salesforce's error codes, each with what it means for a write and what may help.

use std::time::Duration;

use crate::writer::{Answer, Verdict};

/// What an error code means for the record it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Passes; try again.
    Passing,
    /// The record has changed or is gone; reading it again tells.
    Look,
    /// The object, a field or a right is missing; goes on when it is mended.
    Access,
    /// The record's values are refused, and will be again.
    Record,
}

use Kind::{Access, Look, Passing, Record};

/// The table.
const CODES: &[(&str, Kind, &str)] = &[
    ("UNABLE_TO_LOCK_ROW", Passing, "Another process holds the record or its parent"),
    ("SERVER_UNAVAILABLE", Passing, ""),
    ("REQUEST_RUNNING_TOO_LONG", Passing, ""),
    ("QUERY_TIMEOUT", Passing, ""),
    ("TOO_MANY_APEX_REQUESTS", Passing, "Look for slow Apex triggers"),
    ("UNKNOWN_EXCEPTION", Passing, ""),
    ("CONCURRENT_REQUEST_LIMIT_EXCEEDED", Passing, ""),
    ("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", Passing, "Salesforce is under maintenance"),
    ("ALL_OR_NONE_OPERATION_ROLLED_BACK", Passing, ""),
    ("PROCESSING_HALTED", Passing, ""),
    ("ENTITY_IS_LOCKED", Passing, "An approval process holds the record; finish or recall it"),
    ("ENTITY_IS_DELETED", Look, ""),
    ("NOT_FOUND", Look, ""),
    ("CONDITION_NOT_MET", Look, ""),
    ("HTTP_412", Look, ""),
    ("HTTP_404", Look, ""),
    ("INVALID_FIELD", Access, "Create the field, or give Concord's user access to it (field-level security), or correct the mapping"),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", Access, "Give Concord's user edit access to the field (field-level security)"),
    ("INVALID_TYPE", Access, "Create the object, or give Concord's user access to it, or correct the mapping"),
    ("INSUFFICIENT_ACCESS_OR_READONLY", Access, "Give Concord's user edit access to the object and the record"),
    ("API_DISABLED_FOR_ORG", Access, "Enable the API for the org and for Concord's user"),
    ("FUNCTIONALITY_NOT_ENABLED", Access, "Enable the feature for the org"),
    ("DUPLICATES_DETECTED", Record, "A duplicate rule refuses it; merge the two records, or exempt Concord's user from the rule"),
    (
        "DUPLICATE_VALUE",
        Record,
        "Another record has this value already; change one of the two, then try it again on the page Failures (or concord retry)",
    ),
    ("DUPLICATE_EXTERNAL_ID", Record, "Several records hold this entity id; make the field unique and remove the extra ones"),
    (
        "REQUIRED_FIELD_MISSING",
        Record,
        "Give the field a value in the mapping (a constant will do), then try it again on the page Failures (or concord retry)",
    ),
    (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        Record,
        "A validation rule of the org refuses it; change the value at its source, or the rule and try it again",
    ),
    (
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        Record,
        "A lookup filter of the org refuses it; change the value at its source, or the filter and try it again",
    ),
    ("STRING_TOO_LONG", Record, "Shorten the value at its source, or trim it in the mapping"),
    ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Record, "Add the value to the picklist, or translate it in the mapping; then try it again"),
    ("NUMBER_OUTSIDE_VALID_RANGE", Record, "The number is too large for the field; change it at its source"),
    ("INVALID_EMAIL_ADDRESS", Record, "Correct the address at its source"),
    (
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        Record,
        "Give Concord's user access to the record it refers to, then try it again on the page Failures (or concord retry)",
    ),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", Record, "A trigger or flow of the org failed; its message says which"),
    ("INVALID_CROSS_REFERENCE_KEY", Record, "The record it refers to is gone, or of another kind"),
    ("MALFORMED_ID", Record, "The record id is not one of this object; link the record again"),
    ("INVALID_OPERATION", Record, "The record's state does not allow the change"),
    ("JSON_PARSER_ERROR", Record, "A value does not fit its field's type; correct the mapping"),
    ("MALFORMED_QUERY", Record, "This is a fault of Concord's; please report it"),
];

/// What a code means; `message` tells wrapped errors apart.
pub(crate) fn of(code: &str, message: &str) -> (Kind, &'static str) {
    if code == "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" && message.contains("UNABLE_TO_LOCK_ROW") {
        return of("UNABLE_TO_LOCK_ROW", "");
    }
    CODES.iter().find(|(name, ..)| *name == code).map_or(
        (Record, "Read the message; once the cause is gone, try it again on the page Failures (or concord retry)"),
        |(_, kind, remedy)| (*kind, *remedy),
    )
}

const MENDING: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The answer to a write that Salesforce refused so.
pub(crate) fn answer(code: &str, message: &str, fields: &[&str]) -> Answer {
    let (kind, remedy) = of(code, message);
    let reason = if fields.is_empty() { message.to_owned() } else { format!("{message} (fields {})", fields.join(", ")) };
    match kind {
        Passing => Answer::later(code, reason, remedy, None),
        Look => Answer::later(code, reason, remedy, Some(LOOK_AGAIN)),
        Access => Answer::later(code, reason, remedy, Some(MENDING)),
        Record => Answer::Done(Verdict::failed(code, reason, remedy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_listed_once() {
        let names: std::collections::BTreeSet<_> = CODES.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), CODES.len());
    }

    #[test]
    fn codes_have_one_meaning_each() {
        let check = |code: &str, message: &str, kind: Kind| assert_eq!(of(code, message).0, kind, "{code}");
        check("UNABLE_TO_LOCK_ROW", "", Passing);
        check("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "MyTrigger: … first error: UNABLE_TO_LOCK_ROW, …", Passing);
        check("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "MyTrigger: null pointer", Record);
        check("ENTITY_IS_DELETED", "", Look);
        check("INVALID_FIELD", "", Access);
        check("STRING_TOO_LONG", "", Record);
        check("SOMETHING_NEW", "", Record);
    }
}
