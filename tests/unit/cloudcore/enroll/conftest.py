"""An authority, a gateway, a Kubernetes API in memory and a clock that obeys."""

import pytest

from cloudcore.enroll.authority import Authority, new_authority
from tests.fakes.enrolment import NOW, Gateway, SteppingClock
from tests.fakes.kube import FakeKube


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority(new_authority(NOW))


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()
