"""What a Kafka error means for the caller: the one place where they are translated.

Every code of librdkafka and of the broker is in one table; a test fails when a new version adds
one that is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from vigie.errors import (
    ConflictError,
    DataError,
    PermanentError,
    SettingsError,
    TransientError,
    VigieError,
)

_NAMES: Mapping[type[VigieError], str] = {
    # A broker, its network, its coordinator or its disks: the same call may succeed later.
    TransientError: """
        _ALL_BROKERS_DOWN _TRANSPORT _TIMED_OUT _TIMED_OUT_QUEUE _MSG_TIMED_OUT _RESOLVE _WAIT_COORD
        _WAIT_CACHE _NODE_UPDATE _ISR_INSUFF _QUEUE_FULL _RETRY _INTR _IN_PROGRESS _PREV_IN_PROGRESS
        _DESTROY_BROKER _OUTDATED _PURGE_INFLIGHT _PURGE_QUEUE _CRIT_SYS_RESOURCE
        BROKER_NOT_AVAILABLE CONCURRENT_TRANSACTIONS COORDINATOR_LOAD_IN_PROGRESS
        COORDINATOR_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE FENCED_LEADER_EPOCH
        FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH KAFKA_STORAGE_ERROR
        LEADER_NOT_AVAILABLE LISTENER_NOT_FOUND LOG_DIR_NOT_FOUND NETWORK_EXCEPTION NOT_CONTROLLER
        NOT_COORDINATOR NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND
        NOT_LEADER_FOR_PARTITION OFFSET_NOT_AVAILABLE OPERATION_NOT_ATTEMPTED
        PREFERRED_LEADER_NOT_AVAILABLE REASSIGNMENT_IN_PROGRESS REPLICA_NOT_AVAILABLE
        REQUEST_TIMED_OUT STALE_BROKER_EPOCH STALE_CTRL_EPOCH THROTTLING_QUOTA_EXCEEDED
        UNKNOWN_LEADER_EPOCH UNSTABLE_OFFSET_COMMIT REBOOTSTRAP_REQUIRED UNKNOWN_CONTROLLER_ID
        GROUP_MAX_SIZE_REACHED SHARE_SESSION_LIMIT_REACHED UNKNOWN _FAIL
    """,
    # Another client has the partition, the generation or the producer's name.
    ConflictError: """
        ILLEGAL_GENERATION UNKNOWN_MEMBER_ID REBALANCE_IN_PROGRESS MEMBER_ID_REQUIRED
        STALE_MEMBER_EPOCH NON_EMPTY_GROUP GROUP_SUBSCRIBED_TO_TOPIC _ASSIGNMENT_LOST _CONFLICT
        _MAX_POLL_EXCEEDED _NO_OFFSET INVALID_PRODUCER_EPOCH INVALID_PRODUCER_ID_MAPPING
        INVALID_TXN_STATE PRODUCER_FENCED TRANSACTION_COORDINATOR_FENCED UNKNOWN_PRODUCER_ID
        TRANSACTION_ABORTABLE TOPIC_ALREADY_EXISTS DUPLICATE_RESOURCE UNRELEASED_INSTANCE_ID
        SHARE_SESSION_NOT_FOUND INVALID_SHARE_SESSION_EPOCH INVALID_RECORD_STATE
        STREAMS_TOPOLOGY_FENCED FENCED_STATE_EPOCH FENCED_INSTANCE_ID FENCED_MEMBER_EPOCH _FENCED
        _FATAL
    """,
    # Credentials, permissions, addresses, limits of the broker: somebody must change a setting.
    SettingsError: """
        _AUTHENTICATION _SSL _UNSUPPORTED_FEATURE _NOT_CONFIGURED _NOT_IMPLEMENTED
        _UNKNOWN_PROTOCOL _INVALID_ARG CLUSTER_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED
        TOPIC_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        DELEGATION_TOKEN_AUTHORIZATION_FAILED DELEGATION_TOKEN_AUTH_DISABLED
        DELEGATION_TOKEN_EXPIRED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH
        DELEGATION_TOKEN_REQUEST_NOT_ALLOWED ILLEGAL_SASL_STATE SASL_AUTHENTICATION_FAILED
        UNSUPPORTED_SASL_MECHANISM SECURITY_DISABLED UNACCEPTABLE_CREDENTIAL
        PRINCIPAL_DESERIALIZATION_FAILURE INVALID_PRINCIPAL_TYPE UNSUPPORTED_VERSION
        UNSUPPORTED_COMPRESSION_TYPE UNSUPPORTED_FOR_MESSAGE_FORMAT UNSUPPORTED_ASSIGNOR
        UNSUPPORTED_ENDPOINT_TYPE MISMATCHED_ENDPOINT_TYPE INCONSISTENT_GROUP_PROTOCOL
        INVALID_GROUP_ID INVALID_SESSION_TIMEOUT INVALID_CONFIG INVALID_REPLICATION_FACTOR
        INVALID_REPLICA_ASSIGNMENT INVALID_REQUIRED_ACKS INVALID_TRANSACTION_TIMEOUT
        POLICY_VIOLATION TOPIC_DELETION_DISABLED INVALID_REGULAR_EXPRESSION
    """,
    # What was asked for is not there, or what was sent is refused for good.
    DataError: """
        OFFSET_OUT_OF_RANGE _AUTO_OFFSET_RESET _LOG_TRUNCATION UNKNOWN_TOPIC_OR_PART _UNKNOWN_TOPIC
        _UNKNOWN_PARTITION UNKNOWN_TOPIC_ID INCONSISTENT_TOPIC_ID TOPIC_EXCEPTION INVALID_PARTITIONS
        INVALID_MSG INVALID_MSG_SIZE INVALID_RECORD INVALID_TIMESTAMP MSG_SIZE_TOO_LARGE
        RECORD_LIST_TOO_LARGE OFFSET_METADATA_TOO_LARGE INVALID_COMMIT_OFFSET_SIZE
        GROUP_ID_NOT_FOUND _UNKNOWN_GROUP _BAD_MSG _BAD_COMPRESSION _KEY_DESERIALIZATION
        _KEY_SERIALIZATION _VALUE_DESERIALIZATION _VALUE_SERIALIZATION RESOURCE_NOT_FOUND
    """,
    # Our own mistake, or a part of Kafka that we never use.
    PermanentError: """
        _APPLICATION _ASSIGN_PARTITIONS _REVOKE_PARTITIONS _DESTROY _EXISTING_SUBSCRIPTION
        _FS _GAPLESS_GUARANTEE _INCONSISTENT _INVALID_DIFFERENT_RECORD _INVALID_TYPE _NOENT _NOOP
        _PARTIAL _PARTITION_EOF _READ_ONLY _STATE _UNDERFLOW _UNKNOWN_BROKER INVALID_REQUEST
        DUPLICATE_SEQUENCE_NUMBER OUT_OF_ORDER_SEQUENCE_NUMBER ELECTION_NOT_NEEDED
        NO_REASSIGNMENT_IN_PROGRESS FEATURE_UPDATE_FAILED INVALID_UPDATE_VERSION DUPLICATE_VOTER
        INCONSISTENT_VOTER_SET INVALID_VOTER_KEY VOTER_NOT_FOUND INVALID_REGISTRATION
        TELEMETRY_TOO_LARGE UNKNOWN_SUBSCRIPTION_ID STREAMS_INVALID_TOPOLOGY
        STREAMS_INVALID_TOPOLOGY_EPOCH
    """,
}

MEANINGS: Mapping[int, type[VigieError]] = {
    getattr(KafkaError, name): kind
    for kind, names in _NAMES.items()
    for name in names.split()
    if hasattr(KafkaError, name)
}
"""Our error for each code; one that is not here (of a newer library) is permanent."""


def meaning(error: KafkaError) -> type[VigieError]:
    """Return the class of our error; a code that we do not know is retried if Kafka says so."""
    kind = MEANINGS.get(error.code())
    if kind is None:
        return TransientError if error.retriable() else PermanentError
    return kind


def explain(error: KafkaError, what: str) -> VigieError:
    """Return our error for a Kafka error, to be raised.

    Parameters
    ----------
    error
        What Kafka said.
    what
        The first half of the sentence: what did not succeed, and where.
    """
    return meaning(error)(f"{what}: {error.str()} ({error.name()})")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what confluent-kafka raises in the block into our errors."""
    try:
        yield
    except KafkaException as exc:
        raise explain(exc.args[0], what) from exc
    except (ValueError, TypeError) as exc:  # how the library refuses an argument
        raise PermanentError(f"{what}: {exc}") from exc
    except RuntimeError as exc:  # "Consumer closed": a call after the end
        raise ConflictError(f"{what}: {exc}") from exc
