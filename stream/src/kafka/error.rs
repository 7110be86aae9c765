//! librdkafka's errors in our words.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::Error;

/// What an error means while doing something.
pub(super) fn map(doing: &str, error: &KafkaError) -> Error {
    let reason = match error {
        KafkaError::Transaction(error) => error.string(),
        other => other.to_string(),
    };
    let fatal =
        matches!(error, KafkaError::MessageConsumptionFatal(_)) || matches!(error, KafkaError::Transaction(error) if error.is_fatal());
    match error.rdkafka_error_code() {
        Some(code) => by_code(doing, code, reason, fatal),
        None => Error::Refused { doing: doing.to_owned(), reason },
    }
}

pub(super) fn by_code(doing: &str, code: Code, reason: String, fatal: bool) -> Error {
    let doing = doing.to_owned();
    match code {
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::RebalanceInProgress
        | Code::AssignmentLost
        | Code::InvalidProducerIdMapping => Error::Fenced(doing),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => Error::TooLarge { topic: doing, bytes: 0 },
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Error::UnknownTopic(doing),
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::MessageTimedOut
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::TimedOutQueue
        | Code::QueueFull
        | Code::WaitingForCoordinator
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::Conflict
        | Code::State
        | Code::Outdated
        | Code::Retry
        | Code::NodeUpdate
        | Code::WaitCache
        | Code::PurgeQueue
        | Code::PurgeInflight
        | Code::PollExceeded
        | Code::DestroyBroker
        | Code::BrokerDestroy
        | Code::Unknown
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotController
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::ConcurrentTransactions
        | Code::KafkaStorageError
        | Code::OffsetNotAvailable
        | Code::PreferredLeaderNotAvailable
        | Code::EligibleLeadersNotAvailable
        | Code::UnstableOffsetCommit
        | Code::ThrottlingQuotaExceeded
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::ISRInsufficient
            if !fatal =>
        {
            Error::Unavailable { doing, reason }
        }
        // Everything else will be refused again; a new code of librdkafka too, until somebody has looked at it.
        _ => Error::Refused { doing, reason },
    }
}
