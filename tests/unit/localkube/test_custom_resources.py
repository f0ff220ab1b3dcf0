"""CustomResourceDefinitions and their objects."""

from localkube.discovery import preference
from localkube.values import Json, Value
from tests.unit.localkube.served import TABLE, Client, eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"


def definition() -> Json:
    spec = {
        "type": "object",
        "properties": {"size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"}},
    }
    status = {"type": "object", "properties": {"phase": {"type": "string"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}
    column = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    v1 = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column],
    }
    old = {"name": "v1alpha1", "served": True, "storage": False, "schema": schema, "deprecated": True}
    names = {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [v1, old]},
    }


def widget(name: str = "w", **spec: Value) -> Json:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


async def defined(api: Client, body: Json | None = None) -> None:
    status, made = await api.post(CRDS, body or definition())
    assert status == 201
    assert {c["type"] for c in made["status"]["conditions"]} == {"NamesAccepted", "Established"}

    async def served() -> bool:
        return (await api.get(WIDGETS))[0] == 200

    await eventually(served, "the kind is served")


async def test_objects_are_defaulted_pruned_and_checked(api: Client) -> None:
    await defined(api)
    status, made = await api.post(WIDGETS, widget(size=3, nosuch=1) | {"status": {"phase": "ignored"}})
    assert (status, made["spec"]) == (201, {"size": 3, "color": "red"})
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    status, refused = await api.patch(f"{WIDGETS}/w", {"spec": {"size": 0}})
    assert (status, refused["details"]["causes"][0]["field"]) == (422, "spec.size")
    _, after = await api.patch(f"{WIDGETS}/w/status", {"status": {"phase": "Ready"}, "spec": {"size": 9}})
    assert (after["status"], after["spec"]["size"], after["metadata"]["generation"]) == ({"phase": "Ready"}, 3, 1)
    _, after = await api.patch(f"{WIDGETS}/w", {"spec": {"size": 4}})
    assert (after["status"], after["metadata"]["generation"]) == ({"phase": "Ready"}, 2)


async def test_other_versions_show_the_same_object(api: Client) -> None:
    await defined(api)
    await api.post(WIDGETS, widget(size=3))
    _, seen = await api.get(WIDGETS.replace("/v1/", "/v1alpha1/") + "/w")
    assert (seen["apiVersion"], seen["spec"]["size"]) == ("example.com/v1alpha1", 3)


async def test_printer_columns_and_discovery(api: Client) -> None:
    await defined(api)
    await api.post(WIDGETS, widget(size=3))
    _, table = await api.get(WIDGETS, Accept=TABLE)
    assert table["rows"][0]["cells"] == ["w", 3]
    _, found = await api.get("/apis/example.com/v1")
    assert [row["name"] for row in found["resources"]] == ["widgets", "widgets/status"]


async def test_a_definition_takes_its_objects_along(api: Client) -> None:
    await defined(api)
    await api.post(WIDGETS, widget(size=3))
    await api.delete(f"{CRDS}/widgets.example.com")

    async def gone() -> bool:
        return (await api.get(f"{CRDS}/widgets.example.com"))[0] == 404

    await eventually(gone, "the definition goes", 10.0)

    async def unserved() -> bool:
        return (await api.get(WIDGETS))[0] == 404

    assert await eventually(unserved, "the kind goes")


async def test_bad_definitions_are_refused(api: Client) -> None:
    wrong = definition()
    wrong["metadata"]["name"] = "wrong.example.com"
    status, refused = await api.post(CRDS, wrong)
    assert (status, refused["details"]["causes"][0]["field"]) == (422, "metadata.name")
    bare = definition()
    del bare["spec"]["versions"][0]["schema"]
    assert (await api.post(CRDS, bare))[0] == 422


async def test_what_the_stored_version_does_not_name_is_not_kept(api: Client) -> None:
    wide = definition()
    old = wide["spec"]["versions"][1]
    old["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    stored = wide["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    stored["properties"]["spec"]["properties"]["shape"] = {"x-kubernetes-preserve-unknown-fields": True, "enum": ["a"]}
    await defined(api, wide)
    body = widget(size=3, shape={"round": {"radius": [1, None]}}, nosuch=1) | {"apiVersion": "example.com/v1alpha1"}
    status, made = await api.post(WIDGETS.replace("/v1/", "/v1alpha1/"), body)
    assert (status, made["spec"]) == (201, {"size": 3, "shape": {"round": {"radius": [1, None]}}})
    status, refused = await api.patch(f"{WIDGETS}/w", {"spec": {"shape": "b"}})
    assert (status, refused["details"]["causes"][0]["field"]) == (422, "spec.shape")


async def test_the_preferred_version_comes_first_in_discovery(api: Client) -> None:
    wide = definition()
    wide["spec"]["versions"].reverse()
    await defined(api, wide)
    _, group = await api.get("/apis/example.com")
    assert [one["version"] for one in group["versions"]] == ["v1", "v1alpha1"]
    assert group["preferredVersion"]["version"] == "v1"
    _, table = await api.get(WIDGETS.replace("/v1/", "/v1alpha1/"), Accept=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Age"]


def test_versions_are_preferred_as_kubernetes_does() -> None:
    wanted = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    assert sorted(reversed(wanted), key=preference) == wanted


async def test_columns_show_dates_numbers_and_what_a_filter_finds(api: Client) -> None:
    wide = definition()
    ready = '.status.conditions[?(@.type=="Ready")].status'
    wide["spec"]["versions"][0] |= {
        "subresources": {},
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "additionalPrinterColumns": [
            {"name": "Seen", "type": "date", "jsonPath": ".status.seen"},
            {"name": "Lost", "type": "integer", "jsonPath": ".status.lost"},
            {"name": "Ready", "type": "string", "jsonPath": ready},
        ],
    }
    await defined(api, wide)
    await api.post(WIDGETS, widget("a"))
    conditions = [{"type": "Other", "status": "No"}, {"type": "Ready", "status": "True"}]
    status = {"seen": "2020-01-31T12:00:00Z", "lost": 0, "conditions": conditions}
    await api.post(WIDGETS, widget("b") | {"status": status})
    _, table = await api.get(WIDGETS, Accept=TABLE)
    (name, seen, lost, word) = table["rows"][1]["cells"]
    assert table["rows"][0]["cells"] == ["a", None, None, None]
    assert (name, lost, word) == ("b", 0, "True")
    assert seen.endswith("d")


async def test_a_null_stays_where_it_may_be_and_goes_elsewhere(api: Client) -> None:
    wide = definition()
    spec = wide["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["free"] = {"type": "object", "nullable": True, "x-kubernetes-preserve-unknown-fields": True}
    await defined(api, wide)
    _, made = await api.post(WIDGETS, widget(size=None, free=None))
    assert made["spec"] == {"color": "red", "free": None}
