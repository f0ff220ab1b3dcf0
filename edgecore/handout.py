"""What each part of edgecore gets of the settings, in the part's own terms."""

import os

from edgecore.bus.settings import BusSettings
from edgecore.config import NodeSettings, Settings
from edgecore.devices.dmi.settings import DmiSettings
from edgecore.node.view import Offer
from edgecore.pods.dirs import Directories
from edgecore.pods.resources import Capacity
from edgecore.pods.settings import PodHost
from edgecore.push.settings import PushSettings


def offer(node: NodeSettings) -> Offer:
    return Offer(
        name=node.name,
        labels=node.labels,
        max_pods=node.max_pods,
        reserved_cpu_millis=node.reserved_cpu_millis,
        reserved_memory=node.reserved_memory_mib << 20,
    )


def pod_host(settings: Settings) -> PodHost:
    data, volatile = settings.node.data, settings.node.run
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return PodHost(
        node=settings.node.name,
        directories=Directories(data=data, volatile=volatile, logs=settings.logs, seccomp=data / "seccomp"),
        capacity=Capacity(cpu_milli=1000 * (os.cpu_count() or 1), memory=memory),
        cgroup_parent=settings.runtime.cgroup_parent,
        cluster_dns=settings.pods.cluster_dns,
        cluster_domain=settings.pods.cluster_domain,
    )


def bus(settings: Settings) -> BusSettings:
    wanted = settings.bus
    return BusSettings(
        address=wanted.address,
        user=wanted.user,
        password_file=wanted.password_file,
        ca=wanted.ca,
        certificate=wanted.certificate,
        key=wanted.key,
        client_id=f"marram-{settings.node.name}",
    )


def mappers(settings: Settings) -> DmiSettings:
    wanted = settings.devices
    return DmiSettings(
        socket=wanted.mapper_socket,
        memory=settings.mappers,
        rate=wanted.mapper_rate,
        burst=2 * wanted.mapper_rate,
        numbers_as_float=wanted.mapper_float_numbers,
    )


def push(settings: Settings) -> PushSettings:
    push = settings.push
    return PushSettings(
        influx_token_file=push.influx_token_file,
        mqtt_user=push.mqtt_user,
        mqtt_password_file=push.mqtt_password_file,
    )
