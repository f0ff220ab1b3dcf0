"""Checks of the contract: what a driver does while its device is well."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from device_models.model import Property, Value
from edgecore.devices.driver import BadSetting, DeviceRefused
from edgecore.devices.kit.trial import Flawed, How, NotApplicable, Trial, fitting, said, same, show

_COMMON = ("deadband", "everysample", "collectcycle", "reportcycle")
"""Keys of a property that are not the driver's."""


async def settings(trial: Trial) -> None:
    """Wrong settings are refused by the constructor, with BadSetting that names them."""
    config = dict(trial.config)
    if not trial.bench.lenient:
        _must_refuse(trial, {**config, "noSuchSetting": 1}, trial.properties, "noSuchSetting")
    for key in config:
        _must_refuse(trial, {**config, key: ["junk"]}, trial.properties, key)
        _may_refuse(trial, {name: value for name, value in config.items() if name != key}, trial.properties, key)
    for index, prop in enumerate(trial.properties):
        for key in prop.visitor:
            if key.casefold() in _COMMON:
                continue
            changed = list(trial.properties)
            changed[index] = dataclasses.replace(prop, visitor={**prop.visitor, key: ["junk"]})
            if _may_refuse(trial, config, changed, key) is None:
                await _must_say(trial, changed, changed[index], key)
            changed[index] = dataclasses.replace(
                prop, visitor={name: value for name, value in prop.visitor.items() if name != key}
            )
            _may_refuse(trial, config, changed, key)


def _must_refuse(trial: Trial, config: Mapping[str, Any], properties: Sequence[Property], key: str) -> None:
    refusal = _may_refuse(trial, config, properties, key)
    if refusal is None:
        raise Flawed(f"takes {key} = {show(config.get(key, ['junk']))} and says nothing")
    if key.casefold() not in refusal.casefold():
        raise Flawed(f"refuses a wrong {key}, but its message does not name it: {refusal}")


def _may_refuse(trial: Trial, config: Mapping[str, Any], properties: Sequence[Property], key: str) -> str | None:
    """The message of the refusal; None: it was taken."""
    try:
        trial.bench.make(trial.bench.device(config, properties))
    except BadSetting as error:
        return str(error)
    except Exception as error:
        raise Flawed(f"a wrong or missing {key} raises {said(error)}; it must be BadSetting") from error
    return None


async def _must_say(trial: Trial, properties: Sequence[Property], prop: Property, key: str) -> None:
    """One bad property may be left out by itself: the driver then says so whenever it is read."""
    driver = trial.make(properties)
    try:
        await trial.call(driver.connect(), "connect()")
        ended = await trial.call(driver.read([prop]), "read()")
    finally:
        await trial.close(driver)
    if ended.how is How.DONE and not isinstance(ended.value.get(prop.name), DeviceRefused):
        raise Flawed(f"{prop.name}: takes {key} = ['junk'] and says nothing")


async def ready(trial: Trial) -> None:
    """connect() returns only once the device has answered."""
    trial.link.stall()
    driver = trial.make()
    ended = await trial.call(driver.connect(), "connect()", trial.moment)
    await trial.close(driver)
    if ended.how is How.DONE:
        raise Flawed("connect() returned though the device had said nothing: ask it something first")


async def read(trial: Trial) -> None:
    """Everything that is asked for is answered, alone and together."""
    if not trial.properties:
        raise NotApplicable("the bench has no properties")
    async with trial.connected() as driver:
        await trial.answered(driver, trial.properties)
        if driver.polled:
            for prop in trial.properties:
                await trial.answered(driver, [prop])


async def units(trial: Trial) -> None:
    """Values are what the device has, in the units of the model."""
    if not trial.bench.expected:
        raise NotApplicable("the bench says nothing of what its device has (expected)")
    async with trial.connected() as driver:
        found = await trial.values(driver, trial.properties)
    for prop in trial.properties:
        if prop.name in trial.bench.expected and prop.name in found:
            expected = fitting(trial.bench.expected[prop.name], prop)
            if not same(found[prop.name], expected, prop):
                raise Flawed(
                    f"{prop.name}: reads {show(found[prop.name])}, the device has {show(expected)}"
                    f"{' ' + prop.unit if prop.unit else ''}: check unit, scale and sign"
                )


async def write(trial: Trial) -> None:
    """What was written is read back."""
    async with trial.connected() as driver:
        for prop in trial.writable():
            for value in trial.bench.to_write(prop):
                await written(trial, driver, prop, value)
                found = await trial.holds(driver, prop, value)
                if not same(found, value, prop):
                    raise Flawed(f"{prop.name}: wrote {show(value)}, read back {show(found)}")


async def again(trial: Trial) -> None:
    """The same write again is harmless."""
    async with trial.connected() as driver:
        for prop in trial.writable():
            value = trial.bench.to_write(prop)[0]
            for _ in range(3):
                await written(trial, driver, prop, value)
            found = await trial.holds(driver, prop, value)
            if not same(found, value, prop):
                raise Flawed(f"{prop.name}: wrote {show(value)} three times, read back {show(found)}")


async def written(trial: Trial, driver: Any, prop: Property, value: Value) -> None:  # noqa: ANN401
    """Write; Flawed unless that works."""
    ended = await trial.call(driver.write(prop, value), f"write() of {prop.name}")
    if ended.how is How.LATE:
        raise Flawed(f"{prop.name}: write() of {show(value)} does not return in time")
    if ended.how is not How.DONE:
        raise Flawed(f"{prop.name}: write() of {show(value)} raised {said(ended.value)}")
