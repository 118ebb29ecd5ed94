"""Translation of Kafka's errors, and the safety options of the clients."""

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


def test_every_code_of_the_client_is_translated() -> None:
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
def test_exceptions_are_translated(name: str, kind: type[VigieError]) -> None:
    with pytest.raises(kind, match=f"it failed: .*{name}") as caught, translated("it failed"):
        raise KafkaException(KafkaError(CODES[name]))
    assert type(caught.value) is kind


def test_a_wrong_argument_is_a_permanent_error() -> None:
    with pytest.raises(PermanentError), translated("it failed"):
        raise TypeError("expected str")


def test_only_transient_errors_are_left_to_the_client() -> None:
    assert is_passing(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not is_passing(KafkaError(KafkaError._AUTO_OFFSET_RESET))
    assert not is_passing(KafkaError(KafkaError._TRANSPORT, "gone", True))


def test_the_client_never_commits_or_resets_offsets() -> None:
    assert CONSUMER["enable.auto.commit"] is False
    assert CONSUMER["enable.auto.offset.store"] is False
    assert CONSUMER["auto.offset.reset"] == "error"


def test_the_producer_is_idempotent_and_waits_for_every_replica() -> None:
    assert (PRODUCER["enable.idempotence"], PRODUCER["acks"]) == (True, "all")


def test_security_options_are_passed_to_the_client() -> None:
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
def test_unused_or_missing_credentials_are_refused(
    wrong: dict[str, str],
) -> None:
    with pytest.raises(SettingsError, match="KAFKA_SECURITY_PROTOCOL"):
        Settings.from_env(wrong).stream.security()


def test_an_unknown_mechanism_is_a_settings_error() -> None:
    security = {"security.protocol": "SASL_SSL", "sasl.mechanism": "NONSENSE"}
    with pytest.raises(SettingsError):
        KafkaCluster("127.0.0.1:1", security, 1.0).partitions("t")


def test_an_offset_with_an_error_raises_the_error() -> None:
    """If the error were ignored, the lag would be counted from the oldest line."""
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    answers = [
        SimpleNamespace(partition=0, offset=7, error=None),
        SimpleNamespace(partition=1, offset=-1001, error=refused),
    ]
    cluster = KafkaCluster("127.0.0.1:1", {}, 1.0)
    cluster.__dict__["admin"] = Answering(answers)
    with pytest.raises(SettingsError, match="TOPIC_AUTHORIZATION_FAILED"):
        cluster.committed("scorer", "logs", [0, 1])
    answers[1].error = None
    assert cluster.committed("scorer", "logs", [0, 1]) == {0: 7}


class Answering:
    """An admin client that returns offsets of a group."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def list_consumer_group_offsets(self, asked: list[Any], **_: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        answer.set_result(SimpleNamespace(topic_partitions=self.answers))
        return {asked[0].group_id: answer}
