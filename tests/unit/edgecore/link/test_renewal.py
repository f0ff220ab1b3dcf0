"""Covers edgecore.link.renewal."""

import datetime
import json
import logging
from pathlib import Path

import pytest

from edgecore.link import identity, join
from edgecore.link.identity import Identity
from edgecore.link.join import Token
from edgecore.link.questions import Unanswered
from edgecore.link.renewal import CertificateRenewal
from tests.fakes.clock import FakeClock
from tests.unit.edgecore.link.pki import DAY, NOW, Authority, Cloud


class At(FakeClock):
    """A clock that says what the test wants."""

    moment = NOW

    def utc(self) -> datetime.datetime:
        return self.moment


@pytest.fixture
async def joined(cloud: Cloud, tmp_path: Path) -> Identity:
    token = Token.parse(cloud.authority.token)
    return await join.join(tmp_path / "identity", cloud=cloud.address, token=token, node="press-03")


@pytest.fixture
def clock() -> At:
    return At()


async def nobody(topic: str, body: bytes, timeout: float) -> bytes:
    raise Unanswered("the cloud is not reachable now")


async def test_nothing_happens_before_it_is_due(joined: Identity, clock: At, tmp_path: Path) -> None:
    renewal = CertificateRenewal(tmp_path / "identity", nobody, clock)
    assert await renewal.look() == 6 * 3600
    clock.moment = joined.renewal - datetime.timedelta(minutes=1)
    assert await renewal.look() == 60


async def test_when_due_the_channel_is_asked(joined: Identity, clock: At, tmp_path: Path, authority: Authority) -> None:
    async def ask(topic: str, body: bytes, timeout: float) -> bytes:
        assert topic == "renew"
        signed = authority.sign(json.loads(body)["csr"], begin=clock.moment, end=clock.moment + 100 * DAY)
        return json.dumps({"certificate": signed, "ca": authority.pem}).encode()

    clock.moment = joined.renewal
    assert await CertificateRenewal(tmp_path / "identity", ask, clock).look() == 6 * 3600
    renewed = identity.load(tmp_path / "identity")
    assert renewed is not None
    assert renewed.not_after == clock.moment.replace(microsecond=0) + 100 * DAY


async def test_an_unanswered_question_is_said_once_and_asked_again(
    joined: Identity, clock: At, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock.moment = joined.renewal
    renewal = CertificateRenewal(tmp_path / "identity", nobody, clock)
    assert [await renewal.look() for _ in range(3)] == [600, 600, 600]
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    left = identity.load(tmp_path / "identity")
    assert left is not None
    assert left.certificate.strip() == joined.certificate.strip()


async def test_an_expired_one_goes_to_the_enrolment_endpoint(
    joined: Identity, clock: At, tmp_path: Path, cloud: Cloud
) -> None:
    clock.moment = joined.not_after + DAY
    await CertificateRenewal(tmp_path / "identity", nobody, clock).look()
    assert "renew" in cloud.asked[-1]


async def test_a_node_that_has_not_joined_has_nothing_to_renew(clock: At, tmp_path: Path) -> None:
    assert await CertificateRenewal(tmp_path / "identity", nobody, clock).look() == 600
