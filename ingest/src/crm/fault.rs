//! What a refusal means and what a person can do: Pub/Sub error codes, gRPC statuses, REST and OAuth error codes.
//!
//! Pub/Sub sends a code `sfdc.platform.eventbus.grpc.<suffix>` in the trailer `error-code`; where it is missing
//! (the gateway in front of the service answers by itself), the gRPC status has to do.

use stream::Class;

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Trying again soon will do.
    Passing,
    /// The access token is not valid any more: sign in again, then go on.
    Token,
    /// The stored position is refused: damaged, or older than what is kept.
    Position,
    /// An allocation is used up, or we are too many: wait long, then go on.
    Exhausted,
    /// A person has to change something; we go on by ourselves when it is done.
    Person,
}

impl Fault {
    /// The class of an error with this fault.
    pub fn class(self) -> Class {
        match self {
            Self::Passing | Self::Token | Self::Position | Self::Exhausted => Class::Transient,
            Self::Person => Class::Fatal,
        }
    }
}

/// The suffix of a Pub/Sub error code.
pub(crate) fn suffix(code: &str) -> &str {
    code.strip_prefix("sfdc.platform.eventbus.grpc.").unwrap_or(code)
}

/// Meaning and remedy of a Pub/Sub refusal.
pub(crate) fn of_pubsub(code: Option<&str>, status: tonic::Code) -> (Fault, &'static str) {
    match code.map(suffix) {
        Some(code) if !code.is_empty() => of_code(code),
        _ => of_status(status),
    }
}

fn of_code(code: &str) -> (Fault, &'static str) {
    match code {
        "service.unavailable" | "topic.api.unavailable" | "schema.api.unavailable" | "subscription.internal.error" => {
            (Fault::Passing, "nothing; Salesforce's event service is unavailable for the moment")
        }
        "subscription.fetch.replay.repeated" | "subscription.fetch.overflow" => (Fault::Passing, "nothing; the stream is opened again"),
        "service.auth.error" => {
            (Fault::Token, "nothing, unless it persists: then see that the integration user may sign in from this address")
        }
        "service.protection.triggered" | "service.protection.stream.limit.triggered" => {
            (Fault::Exhausted, "close other subscribers of this org, or wait")
        }
        "concurrent.client.limit.exceeded" => (Fault::Exhausted, "close other Pub/Sub clients of this org"),
        "subscription.limit.exceeded" => (
            Fault::Exhausted,
            "the org's allocation of delivered events for 24 hours is used up: wait, or buy the add-on; see Setup, Platform Events",
        ),
        "subscription.fetch.replayid.corrupted" | "subscription.fetch.replayid.validation.failed" => {
            (Fault::Position, "nothing; everything changed since is read again")
        }
        "service.tenant.license" => (Fault::Person, "the org's edition lacks the Pub/Sub API; ask Salesforce to enable it"),
        "topic.not.found" => (Fault::Person, "enable the object under Setup, Change Data Capture"),
        "topic.meta.permission" | "subscription.topic.cannot.subscribe" | "schema.meta.permission" => {
            (Fault::Person, "give the integration user View All Records on the object (and View All Users)")
        }
        "service.auth.headers.invalid" | "service.auth.refresh.invalid" => {
            (Fault::Person, "correct the login settings; the org id or instance URL is not accepted")
        }
        _ => (Fault::Person, "see the message; if it persists, report it with its rpcId"),
    }
}

fn of_status(status: tonic::Code) -> (Fault, &'static str) {
    use tonic::Code;
    match status {
        Code::Unauthenticated => (Fault::Token, "nothing, unless it persists: then see that the integration user may sign in"),
        Code::PermissionDenied => (Fault::Person, "give the integration user access to the Pub/Sub API and View All Records on the object"),
        Code::NotFound => (Fault::Person, "enable the object under Setup, Change Data Capture"),
        Code::ResourceExhausted => (Fault::Exhausted, "wait; a limit of the org is reached"),
        Code::InvalidArgument | Code::Unimplemented | Code::FailedPrecondition | Code::OutOfRange => {
            (Fault::Person, "see that pubsub_endpoint names Salesforce's Pub/Sub API")
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => (Fault::Passing, "nothing; if it persists, see that api.pubsub.salesforce.com:443 can be reached from here"),
    }
}

/// Meaning and remedy of a REST refusal.
pub(crate) fn of_rest(status: u16, code: &str) -> (Fault, &'static str) {
    match (status, code) {
        (_, "INVALID_SESSION_ID") | (401, _) => {
            (Fault::Token, "nothing, unless it persists: then see that the integration user may sign in")
        }
        (_, "REQUEST_LIMIT_EXCEEDED") => (Fault::Exhausted, "the org's API calls for 24 hours are used up: wait, or raise the limit"),
        (_, "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED") => (Fault::Person, "give the integration user the permission API Enabled"),
        (_, "INVALID_TYPE") | (404, _) => {
            (Fault::Person, "give the integration user read access to the object, or correct its name in the mapping")
        }
        (_, "INVALID_FIELD") => (Fault::Person, "give the integration user read access to the field, or take it out of the mapping"),
        (_, "INSUFFICIENT_ACCESS" | "INSUFFICIENT_ACCESS_OR_READONLY") => {
            (Fault::Person, "give the integration user View All Records on the object")
        }
        (_, "SERVER_UNAVAILABLE" | "REQUEST_RUNNING_TOO_LONG" | "QUERY_TIMEOUT" | "UNABLE_TO_LOCK_ROW")
        | (406 | 408 | 420 | 429 | 500.., _) => (Fault::Passing, "nothing; Salesforce is busy for the moment"),
        _ => (Fault::Person, "see the message"),
    }
}

/// Remedy for an OAuth error.
pub(crate) fn of_login(error: &str, description: &str) -> (Fault, &'static str) {
    let says = |words: &str| description.to_ascii_lowercase().contains(words);
    match error {
        "invalid_client" | "invalid_client_id" | "invalid_client_credentials" => {
            (Fault::Person, "correct client_id and client_secret: they are the connected app's consumer key and secret")
        }
        "invalid_grant" if says("approved") => {
            (Fault::Person, "pre-authorise the integration user for the connected app (Manage, Permitted Users)")
        }
        "invalid_grant" if says("no client credentials user") => {
            (Fault::Person, "choose a run-as user for the connected app's client credentials flow")
        }
        "invalid_grant" if says("expired") => (Fault::Person, "set this machine's clock right"),
        "invalid_grant" if says("audience") => {
            (Fault::Person, "correct login_url (or audience): https://login.salesforce.com, https://test.salesforce.com or the My Domain")
        }
        "invalid_grant" => (
            Fault::Person,
            "see that user name, private key and the connected app's certificate belong together, and that the user is active",
        ),
        "invalid_app_access" => (Fault::Person, "give the integration user access to the connected app"),
        "unsupported_grant_type" => (Fault::Person, "enable this OAuth flow in the connected app"),
        "temporarily_unavailable" | "server_error" | "unknown_error" | "rate_limit_exceeded" => {
            (Fault::Passing, "nothing; Salesforce is busy for the moment")
        }
        _ => (Fault::Person, "correct the login settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: Fault) {
        assert_eq!(of_pubsub(Some(&format!("sfdc.platform.eventbus.grpc.{code}")), tonic::Code::Unknown).0, expected, "{code}");
    }

    #[test]
    fn each_pubsub_code_has_its_fault() {
        check("service.unavailable", Fault::Passing);
        check("schema.api.unavailable", Fault::Passing);
        check("service.auth.error", Fault::Token);
        check("subscription.fetch.replayid.corrupted", Fault::Position);
        check("subscription.limit.exceeded", Fault::Exhausted);
        check("topic.not.found", Fault::Person);
        check("never.heard.of", Fault::Person);
    }

    #[test]
    fn without_a_code_the_status_speaks() {
        assert_eq!(of_pubsub(None, tonic::Code::Unavailable).0, Fault::Passing);
        assert_eq!(of_pubsub(Some(""), tonic::Code::Unauthenticated).0, Fault::Token);
        assert_eq!(of_pubsub(None, tonic::Code::PermissionDenied).0, Fault::Person);
    }

    #[test]
    fn rest_and_login_refusals_are_told_apart() {
        assert_eq!(of_rest(401, "INVALID_SESSION_ID").0, Fault::Token);
        assert_eq!(of_rest(403, "REQUEST_LIMIT_EXCEEDED").0, Fault::Exhausted);
        assert_eq!(of_rest(503, "").0, Fault::Passing);
        assert_eq!(of_rest(400, "INVALID_FIELD").0, Fault::Person);
        assert_eq!(of_login("invalid_client", "").0, Fault::Person);
        assert!(of_login("invalid_grant", "user hasn't approved this consumer").1.contains("pre-authorise"));
    }
}
