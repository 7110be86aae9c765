//! What can go wrong while the CRM is read, and what to do then.

use stream::Class;

use super::fault::{self, Fault};

/// Result of anything in this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of Salesforce capture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used.
    #[error("crm configuration: {0}")]
    Configure(String),
    /// Salesforce does not let us in.
    #[error("Salesforce refuses the sign-in at {url}: {reason}")]
    SignIn {
        /// Token endpoint.
        url: String,
        /// What it said.
        reason: String,
        /// What it means.
        fault: Fault,
        /// What may help.
        remedy: &'static str,
    },
    /// A request got no answer, or its answer broke off.
    #[error("no answer from Salesforce while {doing}: {reason}")]
    Request {
        /// What we were doing.
        doing: String,
        /// The cause.
        reason: String,
    },
    /// REST refused a request.
    #[error("Salesforce refuses {doing}: {message} ({code}, HTTP {status})")]
    Rest {
        /// What we were doing.
        doing: String,
        /// HTTP status.
        status: u16,
        /// `errorCode`.
        code: String,
        /// Its message.
        message: String,
    },
    /// REST answered with something that is not what was asked for.
    #[error("Salesforce's answer while {doing} is not understood: {reason}")]
    Answer {
        /// What we were doing.
        doing: String,
        /// Why.
        reason: String,
    },
    /// No connection to the Pub/Sub API.
    #[error("cannot connect to the Pub/Sub API at {endpoint}: {reason}")]
    Connect {
        /// Address.
        endpoint: String,
        /// The cause.
        reason: String,
    },
    /// The Pub/Sub API refused a call or ended the stream.
    #[error("the Pub/Sub API ends {doing}: {message} ({})", code.as_deref().map(fault::suffix).unwrap_or("no error code"))]
    PubSub {
        /// What we were doing.
        doing: String,
        /// gRPC status.
        status: tonic::Code,
        /// The code in the trailer `error-code`.
        code: Option<String>,
        /// Its message.
        message: String,
    },
    /// The stream said nothing for so long that it counts as dead.
    #[error("the event stream was silent for {seconds} s, keepalives included")]
    Silent {
        /// How long.
        seconds: u64,
    },
    /// The server closed the stream in order.
    #[error("Salesforce closed the event stream")]
    Closed,
    /// An object's events cannot be turned into rows.
    #[error("the change events of {object} cannot be read: {reason}")]
    Describe {
        /// Object.
        object: String,
        /// Why.
        reason: String,
    },
    /// A record or event cannot be turned into a row.
    #[error("a record of {object} cannot be read: {reason}")]
    DecodeEvent {
        /// Object.
        object: String,
        /// Why.
        reason: String,
    },
    /// A checkpoint on the log is not one of ours.
    #[error("the checkpoint of source {name} cannot be read: {reason}")]
    ReadCheckpoint {
        /// Source name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The checkpoint is of another org than the one we signed in to.
    #[error("the checkpoint of source {name} is of org {known}, but the login leads to org {found}")]
    OtherOrg {
        /// Source name.
        name: String,
        /// Org of the checkpoint.
        known: String,
        /// Org signed in to.
        found: String,
    },
    /// The log or the schema registry failed.
    #[error(transparent)]
    Log(#[from] stream::Error),
}

impl Error {
    /// What to do about it. Faults of Salesforce never end the task, whatever their class: it pauses and tries again.
    pub fn class(&self) -> Class {
        match self {
            Self::DecodeEvent { .. } => Class::Record,
            Self::Request { .. } | Self::Connect { .. } | Self::Silent { .. } | Self::Closed => Class::Transient,
            Self::Configure(_) | Self::Answer { .. } | Self::Describe { .. } | Self::ReadCheckpoint { .. } | Self::OtherOrg { .. } => {
                Class::Fatal
            }
            Self::SignIn { .. } | Self::Rest { .. } | Self::PubSub { .. } => self.fault().class(),
            Self::Log(error) => error.class(),
        }
    }

    /// What a refusal means.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::SignIn { fault, .. } => *fault,
            Self::Rest { status, code, .. } => fault::of_rest(*status, code).0,
            Self::PubSub { status, code, .. } => fault::of_pubsub(code.as_deref(), *status).0,
            Self::Request { .. } | Self::Connect { .. } | Self::Silent { .. } | Self::Closed => Fault::Passing,
            Self::Configure(_)
            | Self::Answer { .. }
            | Self::Describe { .. }
            | Self::DecodeEvent { .. }
            | Self::ReadCheckpoint { .. }
            | Self::OtherOrg { .. } => Fault::Person,
            Self::Log(error) => match error.class() {
                Class::Transient => Fault::Passing,
                Class::Record | Class::Fatal => Fault::Person,
            },
        }
    }

    /// What a person can do about it; empty when nothing is needed.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::SignIn { remedy, .. } => remedy,
            Self::Rest { status, code, .. } => fault::of_rest(*status, code).1,
            Self::PubSub { status, code, .. } => fault::of_pubsub(code.as_deref(), *status).1,
            Self::Request { .. } => "nothing, unless it persists: then see that the login and instance URLs can be reached from here",
            Self::Connect { .. } => {
                "see that the Pub/Sub endpoint (port 443 or 7443) can be reached from here and that its certificate is trusted"
            }
            Self::Silent { .. } | Self::Closed => "nothing; the stream is opened again",
            Self::Configure(_) => "correct the setting",
            Self::Answer { .. } => "see that login_url and api_version are Salesforce's, and that no proxy answers in its place",
            Self::Describe { .. } => "enable the object under Setup, Change Data Capture, and give the integration user read access to it",
            Self::DecodeEvent { .. } => "mend the record in Salesforce; its next change is read again",
            Self::ReadCheckpoint { .. } => "remove the source's record from the checkpoint topic to copy everything anew",
            Self::OtherOrg { .. } => "correct the login, or give the other org a source name and topics of its own",
            Self::Log(_) => "see that the log and the schema registry can be reached",
        }
    }
}
