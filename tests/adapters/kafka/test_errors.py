"""Kafka's errors as ours: every code has a meaning, every configuration its safe values."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from vigie.adapters.kafka.client import CONSUMER, PRODUCER, KafkaCluster, is_passing
from vigie.adapters.kafka.errors import MEANINGS, translated
from vigie.errors import (
    ConflictError,
    DataError,
    PermanentError,
    SettingsError,
    TransientError,
    VigieError,
)
from vigie.settings import Settings

CODES = {
    name: getattr(KafkaError, name)
    for name in dir(KafkaError)
    if name.isupper() and isinstance(getattr(KafkaError, name), int) and name != "NO_ERROR"
}


def test_every_code_of_the_library_has_a_meaning() -> None:
    assert len(CODES) > 150
    assert {name for name, code in CODES.items() if code not in MEANINGS} == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_TRANSPORT", TransientError),
        ("_MSG_TIMED_OUT", TransientError),
        ("NOT_ENOUGH_REPLICAS", TransientError),
        ("ILLEGAL_GENERATION", ConflictError),
        ("UNKNOWN_MEMBER_ID", ConflictError),
        ("_ASSIGNMENT_LOST", ConflictError),
        ("FENCED_INSTANCE_ID", ConflictError),
        ("SASL_AUTHENTICATION_FAILED", SettingsError),
        ("TOPIC_AUTHORIZATION_FAILED", SettingsError),
        ("OFFSET_OUT_OF_RANGE", DataError),
        ("MSG_SIZE_TOO_LARGE", DataError),
        ("INVALID_REQUEST", PermanentError),
    ],
)
def test_what_is_raised_is_ours(name: str, kind: type[VigieError]) -> None:
    with pytest.raises(kind, match=f"it failed: .*{name}") as caught, translated("it failed"):
        raise KafkaException(KafkaError(CODES[name]))
    assert type(caught.value) is kind


def test_a_wrong_argument_is_a_permanent_error() -> None:
    with pytest.raises(PermanentError), translated("it failed"):
        raise TypeError("expected str")


def test_only_passing_troubles_are_left_to_the_library() -> None:
    assert is_passing(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not is_passing(KafkaError(KafkaError._AUTO_OFFSET_RESET))
    assert not is_passing(KafkaError(KafkaError._TRANSPORT, "gone", True))


def test_offsets_are_never_committed_or_reset_by_the_library() -> None:
    assert CONSUMER["enable.auto.commit"] is False
    assert CONSUMER["enable.auto.offset.store"] is False
    assert CONSUMER["auto.offset.reset"] == "error"


def test_the_producer_is_idempotent_and_waits_for_every_replica() -> None:
    assert (PRODUCER["enable.idempotence"], PRODUCER["acks"]) == (True, "all")


def test_security_reaches_the_client() -> None:
    settings = Settings.from_env(
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "KAFKA_SASL_USERNAME": "vigie",
            "KAFKA_SASL_PASSWORD": "CANARY",
            "KAFKA_SSL_CA_LOCATION": "/ca.pem",
            "KAFKA_SSL_CERTIFICATE_LOCATION": "/own.pem",
            "KAFKA_SSL_KEY_LOCATION": "/own.key",
        }
    )
    assert "CANARY" not in repr(settings)
    options = KafkaCluster("kafka:9093", settings.stream.security(), 1.0).options(CONSUMER)
    assert {
        key: value for key, value in options.items() if key.startswith(("sasl", "ssl", "sec"))
    } == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "vigie",
        "sasl.password": "CANARY",
        "ssl.ca.location": "/ca.pem",
        "ssl.certificate.location": "/own.pem",
        "ssl.key.location": "/own.key",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
        {"KAFKA_SASL_USERNAME": "vigie", "KAFKA_SASL_PASSWORD": "x"},
    ],
)
def test_credentials_that_would_not_be_used_or_are_missing_are_refused(
    wrong: dict[str, str],
) -> None:
    with pytest.raises(SettingsError, match="KAFKA_SECURITY_PROTOCOL"):
        Settings.from_env(wrong).stream.security()


def test_a_mechanism_that_the_library_does_not_know_is_a_settings_error() -> None:
    security = {"security.protocol": "SASL_SSL", "sasl.mechanism": "NONSENSE"}
    with pytest.raises(SettingsError):
        KafkaCluster("127.0.0.1:1", security, 1.0).partitions("t")


def test_an_offset_that_brokers_do_not_tell_is_an_error_not_a_fresh_group() -> None:
    """Left out it would be counted from the oldest line: a lag that nobody has."""
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    told = [
        SimpleNamespace(partition=0, offset=7, error=None),
        SimpleNamespace(partition=1, offset=-1001, error=refused),
    ]
    cluster = KafkaCluster("127.0.0.1:1", {}, 1.0)
    cluster.__dict__["admin"] = Answering(told)
    with pytest.raises(SettingsError, match="TOPIC_AUTHORIZATION_FAILED"):
        cluster.committed("scorer", "logs", [0, 1])
    told[1].error = None
    assert cluster.committed("scorer", "logs", [0, 1]) == {0: 7}


class Answering:
    """An administrator who knows a group's offsets."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def list_consumer_group_offsets(self, asked: list[Any], **_: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        answer.set_result(SimpleNamespace(topic_partitions=self.told))
        return {asked[0].group_id: answer}
