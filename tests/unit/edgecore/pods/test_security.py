"""Covers edgecore.pods.security."""

import pytest

from edgecore.pods.parse import parse
from edgecore.pods.security import MASKED, READ_ONLY, Forbidden, container_security
from edgecore.runtime.contract import Image, Seccomp, Security
from tests.unit.edgecore.pods.story import Json, container, pod, want

ROOT = Image("id", (), (), 1, uid=0)


def secured(own: Json | None = None, general: Json | None = None, image: Image = ROOT) -> Security:
    spec = parse(want(pod(securityContext=general or {}, containers=[container(securityContext=own or {})])))
    assert spec.complaints == ()
    return container_security(spec, spec.containers[0], image, "/seccomp")


def test_nothing_asked() -> None:
    assert secured() == Security(seccomp=Seccomp("Unconfined"), masked_paths=MASKED, readonly_paths=READ_ONLY)


def test_a_container_beats_its_pod() -> None:
    general = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 5, "supplementalGroups": [4, 5]}
    found = secured({"runAsUser": 3, "readOnlyRootFilesystem": True}, general)
    assert (found.run_as_user, found.run_as_group, found.supplemental_groups) == (3, 2, (4, 5))
    assert found.read_only_root


def test_capabilities_and_privileges() -> None:
    own = {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "allowPrivilegeEscalation": False}
    found = secured(own)
    assert (found.add_capabilities, found.drop_capabilities) == (("NET_ADMIN",), ("ALL",))
    assert found.no_new_privileges


def test_privileged_means_unmasked_and_unconfined() -> None:
    found = secured({"privileged": True})
    assert (found.privileged, found.masked_paths, found.readonly_paths, found.seccomp) == (True, (), (), None)
    assert secured({"procMount": "Unmasked"}).masked_paths == ()


@pytest.mark.parametrize(
    ("profile", "path"),
    [
        ({"type": "RuntimeDefault"}, "RuntimeDefault"),
        ({"type": "Unconfined"}, "Unconfined"),
        ({"type": "Localhost", "localhostProfile": "a/b.json"}, "/seccomp/a/b.json"),
    ],
)
def test_seccomp(profile: Json, path: str) -> None:
    assert secured({}, {"seccompProfile": profile}).seccomp == Seccomp(path)


def test_a_group_needs_a_user() -> None:
    assert secured({"runAsGroup": 7}).run_as_user == 0
    assert secured({"runAsGroup": 7}, image=Image("id", (), (), 1, uid=9)).run_as_user == 9
    assert secured({"runAsGroup": 7}, image=Image("id", (), (), 1, user="www")).run_as_user == 0


@pytest.mark.parametrize(
    ("own", "image", "why"),
    [
        ({}, ROOT, "image will run as root"),
        ({}, Image("id", (), (), 1), "image will run as root"),
        ({"runAsUser": 0}, ROOT, "runAsUser 0 breaks runAsNonRoot"),
        ({}, Image("id", (), (), 1, user="www"), "non-numeric user \\(www\\)"),
    ],
)
def test_non_root_is_checked(own: Json, image: Image, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        secured(own, {"runAsNonRoot": True}, image)


def test_non_root_that_holds() -> None:
    assert secured({"runAsUser": 5}, {"runAsNonRoot": True}).run_as_user == 5
    assert secured({}, {"runAsNonRoot": True}, Image("id", (), (), 1, uid=5)).run_as_user is None
    assert secured({"runAsNonRoot": False}, {"runAsNonRoot": True}).run_as_user is None
