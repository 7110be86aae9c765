//! Topic names: which events a topic carries, and whether it may be subscribed to.

use tonic::{Code, Status};

use super::fault::fault;
use crate::events::bus::Event;
use crate::events::catalog::PLATFORM_EVENT;
use crate::org::State;

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// All objects with change events.
    AllChanges,
    /// One event kind, by the topic its events are stored under.
    One { topic: String, event: String },
}

impl Topic {
    /// Finds a topic by its case-sensitive name.
    pub(crate) fn find(state: &State, name: &str, rpc_id: &str) -> Result<Self, Status> {
        if name.is_empty() {
            return Err(fault(Code::InvalidArgument, "topic.validation.empty", "The topic name is empty.", rpc_id));
        }
        if name == "/data/ChangeEvents" {
            return Ok(Self::AllChanges);
        }
        if name == format!("/event/{PLATFORM_EVENT}") {
            return Ok(Self::One { topic: name.to_owned(), event: PLATFORM_EVENT.to_owned() });
        }
        let (enabled, refuse) = state.live.read(|live| (live.change_events.clone(), live.refuse_disabled_topics));
        let object = state.objects.iter().find(|object| name.strip_prefix("/data/") == Some(&object.event_name()));
        match object {
            Some(object) if enabled.contains(&object.name) || !refuse => {
                Ok(Self::One { topic: name.to_owned(), event: object.event_name() })
            }
            _ => Err(fault(
                Code::NotFound,
                "topic.not.found",
                &format!("The topic {name} was not found, or change events are not enabled for its object."),
                rpc_id,
            )),
        }
    }

    /// Whether the event is of this topic.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        match self {
            Self::AllChanges => event.publication.topic.starts_with("/data/"),
            Self::One { topic, .. } => event.publication.topic == *topic,
        }
    }

    /// The event whose schema `GetTopic` tells.
    pub(crate) fn event(&self) -> &str {
        match self {
            Self::AllChanges => "AccountChangeEvent",
            Self::One { event, .. } => event,
        }
    }

    pub(crate) fn can_publish(&self) -> bool {
        matches!(self, Self::One { topic, .. } if topic.starts_with("/event/"))
    }
}
