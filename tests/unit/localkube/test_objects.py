"""The API over TLS: verbs, conflicts, deletion, namespaces, tokens."""

import base64
import pathlib
import ssl

import aiohttp
import pytest

from localkube.values import Value
from tests.unit.localkube.served import STRATEGIC, TABLE, Client, config, eventually, node, pod, serving

NS = "/api/v1/namespaces/default"
CONFIGS, PODS = f"{NS}/configmaps", f"{NS}/pods"


async def test_create_get_update_conflict_delete(api: Client) -> None:
    status, made = await api.post(CONFIGS, config("c"))
    assert status == 201
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {".": {}, "f:a": {}}}
    assert (await api.post(CONFIGS, config("c")))[1]["reason"] == "AlreadyExists"
    changed = made | {"data": {"a": "2"}}
    status, second = await api.put(f"{CONFIGS}/c", changed)
    assert (status, second["data"]) == (200, {"a": "2"})
    assert int(second["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    status, refused = await api.put(f"{CONFIGS}/c", changed)
    assert (status, refused["reason"]) == (409, "Conflict")
    assert (await api.put(f"{CONFIGS}/c", second))[1] == second
    status, gone = await api.delete(f"{CONFIGS}/c")
    assert (status, gone["status"], gone["details"]["uid"]) == (200, "Success", made["metadata"]["uid"])
    assert (await api.get(f"{CONFIGS}/c"))[0] == 404


async def test_generated_names_and_dry_run(api: Client) -> None:
    status, made = await api.post(CONFIGS, {"metadata": {"generateName": "g-"}})
    assert status == 201
    assert made["metadata"]["name"].startswith("g-")
    status, _ = await api.post(f"{CONFIGS}?dryRun=All", config("dry"))
    assert status == 201
    assert (await api.get(f"{CONFIGS}/dry"))[0] == 404


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("{not json", 400, "couldn't get version/kind"),
        (config("Bad_Name"), 422, "RFC 1123 subdomain"),
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"metadata": {"name": "x"}, "data": {"a": 1}}, 400, "cannot unmarshal number into Go struct field"),
        ({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}}, 400, "cannot be handled as a ConfigMap"),
        (config("x", namespace="other"), 400, "does not match the namespace"),
    ],
)
async def test_bad_objects_are_refused(api: Client, body: Value, code: int, words: str) -> None:
    status, answer = await api.post(CONFIGS, body)
    assert (status, answer["code"]) == (code, code)
    assert words in answer["message"]


async def test_unknown_fields_warn_or_refuse(api: Client) -> None:
    body = config("u") | {"nosuch": 1}
    async with api.session.post(api.url + CONFIGS, json=body) as answer:
        assert answer.headers["Warning"] == '299 - "unknown field \\"nosuch\\""'
    status, refused = await api.post(f"{CONFIGS}?fieldValidation=Strict", body)
    assert (status, 'unknown field "nosuch"' in refused["message"]) == (400, True)


async def test_pages_are_of_one_moment(api: Client) -> None:
    for name in "abcd":
        await api.post(CONFIGS, config(name, labels={"set": "l"}))
    query = f"{CONFIGS}?labelSelector=set%3Dl&limit=2"
    _, first = await api.get(query)
    await api.delete(f"{CONFIGS}/d")
    _, second = await api.get(f"{query}&continue={first['metadata']['continue']}")
    names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
    assert names == ["a", "b", "c", "d"]
    assert "continue" not in second["metadata"]


async def test_delete_collection_takes_what_the_selector_chooses(api: Client) -> None:
    await api.post(CONFIGS, config("a", labels={"x": "1"}))
    await api.post(CONFIGS, config("b"))
    status, _ = await api.delete(f"{CONFIGS}?labelSelector=x%3D1")
    assert status == 200
    assert ((await api.get(f"{CONFIGS}/a"))[0], (await api.get(f"{CONFIGS}/b"))[0]) == (404, 200)


async def test_finalizers_hold_an_object(api: Client) -> None:
    await api.post(CONFIGS, config("f", finalizers=["example.com/hold"]))
    status, marked = await api.delete(f"{CONFIGS}/f")
    assert (status, "deletionTimestamp" in marked["metadata"]) == (200, True)
    assert (await api.get(f"{CONFIGS}/f"))[0] == 200
    await api.patch(f"{CONFIGS}/f", {"metadata": {"finalizers": None}})
    assert (await api.get(f"{CONFIGS}/f"))[0] == 404


async def test_preconditions(api: Client) -> None:
    await api.post(CONFIGS, config("p"))
    wrong = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    assert (await api.delete(f"{CONFIGS}/p", wrong))[0] == 409
    assert (await api.get(f"{CONFIGS}/p"))[0] == 200


async def test_a_bound_pod_goes_in_two_steps(api: Client) -> None:
    await api.post(PODS, pod("p", nodeName="n1"))
    _, first = await api.delete(f"{PODS}/p")
    assert first["metadata"]["deletionGracePeriodSeconds"] == 30
    _, shorter = await api.delete(f"{PODS}/p", {"gracePeriodSeconds": 5})
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    assert (await api.get(f"{PODS}/p"))[0] == 200
    await api.delete(f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert (await api.get(f"{PODS}/p"))[0] == 404


async def test_an_unbound_pod_goes_at_once(api: Client) -> None:
    await api.post(PODS, pod("p"))
    await api.delete(f"{PODS}/p")
    assert (await api.get(f"{PODS}/p"))[0] == 404


async def test_status_and_spec_have_separate_doors(api: Client) -> None:
    _, made = await api.post(PODS, pod("p", nodeName="n1"))
    made["status"]["phase"] = "Running"
    assert (await api.put(f"{PODS}/p", made))[1]["status"]["phase"] == "Pending"
    change = {"status": {"phase": "Running"}, "spec": {"nodeName": "other"}}
    _, after = await api.patch(f"{PODS}/p/status", change)
    assert (after["status"]["phase"], after["spec"]["nodeName"]) == ("Running", "n1")


async def test_conditions_merge_by_type(api: Client) -> None:
    await api.post("/api/v1/nodes", node("n1"))
    beat = {"status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": "2026-01-02T00:00:00Z"}]}}
    _, after = await api.patch("/api/v1/nodes/n1/status", beat, STRATEGIC)
    [ready] = after["status"]["conditions"]
    assert (ready["status"], ready["lastHeartbeatTime"]) == ("True", "2026-01-02T00:00:00Z")


async def test_pods_are_scheduled_or_told_why_not(api: Client) -> None:
    await api.post(PODS, pod("p"))

    async def unschedulable() -> Value:
        conditions = (await api.get(f"{PODS}/p"))[1]["status"].get("conditions") or []
        return [c for c in conditions if c.get("reason") == "Unschedulable"]

    [condition] = await eventually(unschedulable, "the pod is told")
    assert condition["message"] == "no nodes available to schedule pods"
    await api.post("/api/v1/nodes", node("n1"))

    async def bound() -> Value:
        return (await api.get(f"{PODS}/p"))[1]["spec"].get("nodeName")

    assert await eventually(bound, "the pod is bound") == "n1"

    async def reasons() -> Value:
        items = (await api.get(f"{NS}/events"))[1]["items"]
        return {item["reason"] for item in items} if len(items) >= 2 else None

    assert await eventually(reasons, "both events") == {"FailedScheduling", "Scheduled"}


async def test_an_owner_takes_its_dependents_along(api: Client) -> None:
    _, owner = await api.post(CONFIGS, config("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await api.post(CONFIGS, config("owned", ownerReferences=[reference]))
    await api.delete(f"{CONFIGS}/owner")

    async def gone() -> bool:
        return (await api.get(f"{CONFIGS}/owned"))[0] == 404

    assert await eventually(gone, "the dependent goes")


async def test_a_namespace_goes_with_its_content(api: Client) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "x"}})
    inside = "/api/v1/namespaces/x/configmaps"

    async def furnished() -> bool:
        return (await api.get(f"{inside}/kube-root-ca.crt"))[0] == 200

    await eventually(furnished, "the CA is published")
    await api.post(inside, config("held", finalizers=["example.com/hold"]))
    _, terminating = await api.delete("/api/v1/namespaces/x")
    assert terminating["status"]["phase"] == "Terminating"
    status, refused = await api.post(inside, config("late"))
    assert (status, refused["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    await api.patch(f"{inside}/held", {"metadata": {"finalizers": None}})

    async def gone() -> bool:
        return (await api.get("/api/v1/namespaces/x"))[0] == 404

    assert await eventually(gone, "the namespace goes")
    assert (await api.delete("/api/v1/namespaces/default"))[0] == 403


@pytest.mark.slow
async def test_a_silent_node_becomes_unknown_and_is_tainted(tmp_path: pathlib.Path) -> None:
    async with serving(tmp_path, node_timeout=0.5) as api:
        await api.post("/api/v1/nodes", node("n1"))

        async def lost() -> Value:
            _, found = await api.get("/api/v1/nodes/n1")
            return found if found["status"]["conditions"][0]["status"] == "Unknown" else None

        found = await eventually(lost, "the node is given up", 8.0)
        assert found["spec"]["taints"][0]["key"] == "node.kubernetes.io/unreachable"


async def test_secrets_and_immutable_config_maps(api: Client) -> None:
    _, secret = await api.post(f"{NS}/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "v"}})
    assert (secret["type"], base64.b64decode(secret["data"]["k"]), "stringData" in secret) == ("Opaque", b"v", False)
    await api.post(CONFIGS, config("i") | {"immutable": True})
    status, refused = await api.patch(f"{CONFIGS}/i", {"data": {"a": "2"}})
    assert (status, refused["details"]["causes"][0]["field"]) == (422, "data")


async def test_tokens_let_in_until_what_they_are_bound_to_is_gone(api: Client) -> None:
    _, made = await api.post(PODS, pod("p", nodeName="n1"))
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    spec = {"expirationSeconds": 600, "boundObjectRef": reference}
    status, answer = await api.post(f"{NS}/serviceaccounts/default/token", {"spec": spec})
    assert status == 201
    token = {"Authorization": f"Bearer {answer['status']['token']}"}
    assert (await api.get(f"{PODS}/p", **token))[0] == 200
    await api.delete(f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert (await api.get(f"{NS}/configmaps", **token))[0] == 401
    short = {"spec": {"expirationSeconds": 1}}
    assert (await api.post(f"{NS}/serviceaccounts/default/token", short))[0] == 422


async def test_without_credentials_there_is_only_health(api: Client, tmp_path: pathlib.Path) -> None:
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        stranger = Client(session, api.server)
        assert (await stranger.get("/healthz"))[0] == 200
        status, refused = await stranger.get("/api/v1/nodes")
        assert (status, refused["reason"]) == (401, "Unauthorized")
        assert (await stranger.get("/api/v1/nodes", Authorization="Bearer nonsense"))[0] == 401
    for name in ("ca.key", "admin.key", "server.key", "service-account.key", "kubeconfig", "state.db"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name


async def test_tables(api: Client) -> None:
    await api.post("/api/v1/nodes", node("n1"))
    _, table = await api.get("/api/v1/nodes", Accept=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]][:5] == [
        "Name",
        "Status",
        "Roles",
        "Age",
        "Version",
    ]
    assert table["rows"][0]["cells"][:3] == ["n1", "Ready", "<none>"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_events_are_seen_through_both_groups(api: Client) -> None:
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    await api.post(
        f"{NS}/events", {"metadata": {"name": "e"}, "involvedObject": about, "message": "m", "type": "Normal"}
    )
    _, seen = await api.get("/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert (seen["note"], seen["regarding"]["name"]) == ("m", "p")


async def test_scale(api: Client) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = "/apis/apps/v1/namespaces/default/deployments"
    await api.post(path, {"metadata": {"name": "d"}, "spec": spec})
    _, scaled = await api.patch(f"{path}/d/scale", {"spec": {"replicas": 3}})
    assert scaled["spec"] == {"replicas": 3}
    assert (await api.get(f"{path}/d"))[1]["spec"]["replicas"] == 3


async def test_an_object_may_be_a_megabyte_but_not_five(api: Client) -> None:
    status, _ = await api.post(CONFIGS, {"metadata": {"name": "big"}, "data": {"a": "x" * 1_000_000}})
    assert status == 201
    status, refused = await api.post(CONFIGS, {"metadata": {"name": "huge"}, "data": {"a": "x" * 5_000_000}})
    assert (status, refused["reason"]) == (413, "RequestEntityTooLarge")


async def test_a_new_event_of_the_new_group_needs_more(api: Client) -> None:
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    body = {"metadata": {"name": "e"}, "regarding": about, "reason": "R"}
    status, refused = await api.post("/apis/events.k8s.io/v1/namespaces/default/events", body)
    assert (status, [cause["field"] for cause in refused["details"]["causes"]]) == (422, ["eventTime", "type"])
