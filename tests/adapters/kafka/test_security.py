"""TLS, certificates, SASL and the permissions listed in docs/kafka.md, on a real broker."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from servers.kafka_broker import KafkaBroker
from servers.own_broker import OwnBroker
from servers.state import Site
from vigie.adapters.kafka.stream import KafkaStream
from vigie.anomaly.scoring.follow_stream import FollowOptions, follow_stream
from vigie.anomaly.scoring.score_stream import score_stream
from vigie.errors import SettingsError
from vigie.local.check import check_roles
from vigie.local.ports import LOOPBACK
from vigie.records import Message
from vigie.settings import Settings
from vigie.testing import FakeServices
from vigie.testing.detectors import deploy_detector

USER, PASSWORD = "vigie", secrets.token_hex(8)
STRANGER = "stranger"  # a user who may log in but has no permission
TOPIC, GROUP = "secured", "scorer"
SCRAM = {
    "SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256,
    "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512,
}
WAYS = ["PLAIN", *SCRAM, "certificate"]
_JAAS = "org.apache.kafka.common.security"
_SECURE = """
listeners=PLAINTEXT://{host}:{plain},CONTROLLER://{host}:{controller},SASL_SSL://{host}:{sasl},SSL://{host}:{tls}
advertised.listeners=PLAINTEXT://{host}:{plain},SASL_SSL://{host}:{sasl},SSL://{host}:{tls}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={jaas}.plain.PlainLoginModule required \\
  user_{user}="{password}" user_{stranger}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={jaas}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={jaas}.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


class SecureBroker(KafkaBroker):
    """A broker with three listeners: SASL, certificates, and plaintext for the administrator."""

    ports = {**KafkaBroker.ports, "kafka_sasl": 19093, "kafka_tls": 19094}  # noqa: RUF012

    def __init__(self, certificates: Path) -> None:
        self._certificates = certificates

    def properties(self, site: Site) -> str:
        return super().properties(site) + _SECURE.format(
            host=LOOPBACK,
            plain=site.ports["kafka"],
            controller=site.ports["kafka_controller"],
            sasl=site.ports["kafka_sasl"],
            tls=site.ports["kafka_tls"],
            folder=self._certificates,
            jaas=_JAAS,
            user=USER,
            stranger=STRANGER,
            password=PASSWORD,
        )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the certificates of an authority, a broker and a client."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    brokers = authority.issue_cert(LOOPBACK)
    (folder / "broker.pem").write_bytes(
        pkcs8(brokers.private_key_pem.bytes()) + brokers.cert_chain_pems[0].bytes()
    )
    own = authority.issue_cert(
        "client.example.org", common_name=USER, organization_unit_name="ops", organization_name="us"
    )
    own.cert_chain_pems[0].write_to_path(folder / "own.pem")
    own.private_key_pem.write_to_path(folder / "own.key")
    return folder


def pkcs8(key: bytes) -> bytes:
    """Return a key in the format that Kafka reads."""
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def broker(
    site: Site, kafka_servers: str, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnBroker]:
    own = OwnBroker(site, tmp_path_factory.mktemp("kafka"), SecureBroker(certificates))
    try:
        administrate(AdminClient({"bootstrap.servers": own.servers}))
        yield own
    finally:
        own.stop()


def administrate(admin: AdminClient) -> None:
    """Create the users; grant the permissions listed in docs/kafka.md, and no others."""
    for kind in SCRAM.values():
        user = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(kind, 4096), PASSWORD.encode()
        )
        admin.alter_user_scram_credentials([user])[USER].result(10)
    group = [AclOperation.READ, AclOperation.DESCRIBE]
    topic = [*group, AclOperation.WRITE, AclOperation.CREATE, AclOperation.DELETE]
    rules = [
        *((ResourceType.TOPIC, name, right) for name in (TOPIC, f"{TOPIC}.dlq") for right in topic),
        *((ResourceType.GROUP, f"{GROUP}-{way}", right) for way in WAYS for right in group),
        (ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE),
    ]
    bindings = [
        AclBinding(
            kind, name, ResourcePatternType.LITERAL, who, "*", right, AclPermissionType.ALLOW
        )
        for kind, name, right in rules
        for who in (f"User:{USER}", f"User:CN={USER},OU=ops,O=us")
    ]
    for done in admin.create_acls(bindings).values():
        done.result(10)


def address(broker: OwnBroker, listener: str) -> str:
    return f"{LOOPBACK}:{broker.site.ports[listener]}"


def login(broker: OwnBroker, certificates: Path, mechanism: str, **changes: str) -> dict[str, str]:
    """Return the variables of a user who logs in with a password over TLS."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": address(broker, "kafka_sasl"),
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CA_LOCATION": str(certificates / "ca.pem"),
        **changes,
    }


def certified(broker: OwnBroker, certificates: Path) -> dict[str, str]:
    """Return the variables of a user who logs in with a certificate."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": address(broker, "kafka_tls"),
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_LOCATION": str(certificates / "ca.pem"),
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(certificates / "own.pem"),
        "KAFKA_SSL_KEY_LOCATION": str(certificates / "own.key"),
    }


def stream_of(variables: Mapping[str, str]) -> KafkaStream:
    settings = Settings.from_env(variables).stream
    assert settings.bootstrap_servers is not None
    return KafkaStream(settings.bootstrap_servers, security=settings.security(), outage_s=10)


@pytest.fixture(params=WAYS)
def variables(
    request: pytest.FixtureRequest, broker: OwnBroker, certificates: Path
) -> dict[str, str]:
    way = request.param
    group = {"VIGIE_STREAM_GROUP": f"{GROUP}-{way}"}
    if way == "certificate":
        return certified(broker, certificates) | group
    return login(broker, certificates, way) | group


def test_the_documented_permissions_are_enough(
    variables: dict[str, str], services: FakeServices
) -> None:
    deploy_detector(services)
    stream = stream_of(variables)
    services.stream = stream  # type: ignore[assignment]
    assert stream.create_topic(TOPIC, 2)
    assert stream.create_topic(f"{TOPIC}.dlq")
    try:
        stream.produce(TOPIC, [Message(b"unit accepted request %d" % n) for n in range(40)])
        stream.produce(TOPIC, [Message(b"")], partition=1)
        group = Settings.from_env(variables).stream.group
        options = {"topic": TOPIC, "group": group, "index": "scored"}
        report = score_stream(services, **options, dead_letter_topic=f"{TOPIC}.dlq")
        assert (report.read, report.indexed, report.dead_lettered) == (41, 40, 1)
        assert stream.lag(group, TOPIC) == 0
        assert stream.end_offsets(f"{TOPIC}.dlq") == {0: 1}
        stream.produce(TOPIC, [Message(b"unit accepted request 40")])
        followed = follow_stream(
            services,
            FollowOptions(**options),
            should_stop=lambda: stream.lag(group, TOPIC) == 0,
            on_result=lambda result: None,
            wait_s=0.2,
        )
        assert followed.indexed == 1
        [status] = [
            s for s in check_roles(Settings.from_env(variables)).statuses if s.role == "stream"
        ]
        assert status.ok, status.detail
        assert "broker(s)" in status.detail
    finally:
        stream.delete_topic(TOPIC)
        stream.delete_topic(f"{TOPIC}.dlq")
        stream.close()


def asked(variables: dict[str, str]) -> SettingsError:
    """Return the error of a job, after checking that the job and `vigie check` fail in 5 s."""
    begin = time.monotonic()
    stream = stream_of(variables)
    with pytest.raises(SettingsError) as caught:
        stream.partitions(TOPIC)
    assert time.monotonic() - begin < 5
    begin = time.monotonic()
    [status] = [s for s in check_roles(Settings.from_env(variables)).statuses if s.role == "stream"]
    assert time.monotonic() - begin < 5
    assert not status.ok
    stream.close()
    for text in (str(caught.value), status.detail):
        assert variables["KAFKA_BOOTSTRAP_SERVERS"] in text
        assert PASSWORD not in text
    return caught.value


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_a_wrong_password_is_a_wrong_setting(
    broker: OwnBroker, certificates: Path, mechanism: str
) -> None:
    wrong = login(broker, certificates, mechanism, KAFKA_SASL_PASSWORD="of-somebody-else")
    said = str(asked(wrong))
    assert "uthentication" in said
    assert "of-somebody-else" not in said


def test_a_broker_with_an_unknown_authority_is_a_wrong_setting(
    broker: OwnBroker, certificates: Path
) -> None:
    other = str(certificates / "other-ca.pem")
    wrong = login(broker, certificates, "PLAIN", KAFKA_SSL_CA_LOCATION=other)
    assert "certificate" in str(asked(wrong))


def test_a_missing_client_certificate_is_a_wrong_setting(
    broker: OwnBroker, certificates: Path
) -> None:
    wrong = certified(broker, certificates)
    del wrong["KAFKA_SSL_CERTIFICATE_LOCATION"], wrong["KAFKA_SSL_KEY_LOCATION"]
    assert "certificate" in str(asked(wrong))


def test_a_missing_permission_is_reported(broker: OwnBroker, certificates: Path) -> None:
    stream = stream_of(login(broker, certificates, "PLAIN", KAFKA_SASL_USERNAME=STRANGER))
    with pytest.raises(SettingsError, match=f"'{TOPIC}'.*[Aa]uthori"):
        stream.create_topic(TOPIC)
    stream.close()
