"""CustomResourceDefinitions and their objects."""

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


async def defined(api: Client) -> None:
    status, made = await api.post(CRDS, definition())
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
