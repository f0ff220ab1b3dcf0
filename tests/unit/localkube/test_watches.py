"""Watches: order, selectors, bookmarks, resuming, 410."""

import json
import pathlib

import pytest

from tests.unit.localkube.served import TABLE, Client, config, eventually, serving

CONFIGS = "/api/v1/namespaces/default/configmaps"
SELECTED = f"{CONFIGS}?watch=true&labelSelector=w%3D1"


async def revision(api: Client) -> str:
    text: str = (await api.get(CONFIGS))[1]["metadata"]["resourceVersion"]
    return text


async def change_in_every_way(api: Client) -> None:
    await api.post(CONFIGS, config("w", labels={"w": "1"}))
    await api.patch(f"{CONFIGS}/w", {"data": {"a": "2"}})
    await api.patch(f"{CONFIGS}/w", {"metadata": {"labels": {"w": None}}})
    await api.patch(f"{CONFIGS}/w", {"metadata": {"labels": {"w": "1"}}})
    await api.delete(f"{CONFIGS}/w")


async def test_a_selector_turns_leaving_into_deleted(api: Client) -> None:
    start = await revision(api)
    async with api.watch(f"{SELECTED}&resourceVersion={start}") as events:
        await change_in_every_way(api)
        live = [await events.next() for _ in range(5)]
    assert [event["type"] for event in live] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    assert live[2]["object"]["metadata"]["labels"] == {"w": "1"}
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in live]
    assert revisions == sorted(set(revisions))
    async with api.watch(f"{SELECTED}&resourceVersion={start}") as events:
        assert [await events.next() for _ in range(5)] == live


async def test_initial_events_end_with_a_bookmark(api: Client) -> None:
    await api.post(CONFIGS, config("w", labels={"w": "1"}))
    options = "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    async with api.watch(f"{SELECTED}&{options}") as events:
        first, second = await events.next(), await events.next()
    assert (first["type"], second["type"]) == ("ADDED", "BOOKMARK")
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    status, refused = await api.get(f"{SELECTED}&sendInitialEvents=true")
    assert (status, refused["reason"]) == (422, "Invalid")


@pytest.mark.slow
async def test_a_watch_ends_when_its_time_is_over(api: Client) -> None:
    async with api.watch(f"{SELECTED}&resourceVersion={await revision(api)}&timeoutSeconds=1") as events:
        assert await events.next() is None


@pytest.mark.slow
async def test_a_bookmark_comes_before_the_end(api: Client) -> None:
    start = await revision(api)
    query = f"{SELECTED}&resourceVersion={start}&timeoutSeconds=3&allowWatchBookmarks=true"
    async with api.watch(query) as events:
        bookmark = await events.next()
    assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "ConfigMap")


async def test_history_that_is_gone_is_answered_with_410(tmp_path: pathlib.Path) -> None:
    async with serving(tmp_path, window=3) as api:
        await api.post(CONFIGS, config("a"))
        start = await revision(api)
        for value in range(5):
            await api.patch(f"{CONFIGS}/a", {"data": {"a": f"x{value}"}})
        async with api.watch(f"{CONFIGS}?watch=true&resourceVersion={start}") as events:
            error = await events.next()
            assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
            assert await events.next() is None


async def test_watches_resume_over_a_restart(tmp_path: pathlib.Path) -> None:
    async with serving(tmp_path) as api:
        start = await revision(api)
        await api.post(CONFIGS, config("a"))
    async with serving(tmp_path) as api, api.watch(f"{CONFIGS}?watch=true&resourceVersion={start}") as events:
        assert (await events.next())["object"]["metadata"]["name"] == "a"


async def test_one_object_and_other_forms(api: Client) -> None:
    start = await revision(api)
    single = f"{CONFIGS}?watch=true&resourceVersion={start}&fieldSelector=metadata.name%3Db"
    async with api.session.get(api.url + single, headers={"Accept": TABLE}) as answer:
        await api.post(CONFIGS, config("a"))
        await api.post(CONFIGS, config("b"))
        event = json.loads(await answer.content.readline())
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][0] == "b"


async def test_a_watcher_that_went_away_is_forgotten(tmp_path: pathlib.Path) -> None:
    async with serving(tmp_path) as api:
        store = api.server.api.store
        async with api.watch(f"{CONFIGS}?watch=true&resourceVersion={await revision(api)}"):
            assert len(store.watchers("configmaps")) == 1

        async def forgotten() -> bool:
            return not store.watchers("configmaps")

        assert await eventually(forgotten, "the watch ends with its connection")
