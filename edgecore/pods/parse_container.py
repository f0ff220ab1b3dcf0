"""Containers of a pod body → `ContainerView`. Pure; part of `parse`."""

from typing import Final

from edgecore.pods import quantity
from edgecore.pods.reader import Reader
from edgecore.pods.spec import (
    ContainerView,
    EnvFrom,
    EnvVar,
    FieldRef,
    KeyRef,
    Port,
    ResourceRef,
    SecurityView,
    VolumeMount,
)
from edgelink.objects import Kind

FIELD_PATHS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_ENFORCED: Final = {"limits": ("cpu", "memory"), "requests": ("cpu", "memory", "ephemeral-storage")}


def container_view(reader: Reader) -> ContainerView:
    """One entry of ``containers`` or ``initContainers``."""
    image = reader.text("image")
    # A container's own restart policy makes an init container a sidecar, which this node does not run yet.
    reader.choice("restartPolicy", ("",), "")
    reader.accept("resizePolicy")
    limits, requests = _resources(reader)
    context = reader.sub("securityContext")
    view = ContainerView(
        name=reader.text("name"),
        image=image,
        pull_policy=reader.choice("imagePullPolicy", ("Always", "IfNotPresent", "Never"), _default_policy(image)),
        command=reader.strings("command"),
        args=reader.strings("args"),
        working_dir=reader.text("workingDir"),
        env=tuple(_env(entry) for entry in reader.each("env")),
        env_from=tuple(source for entry in reader.each("envFrom") for source in _env_from(entry)),
        mounts=tuple(_mount(entry) for entry in reader.each("volumeMounts")),
        ports=tuple(_port(entry) for entry in reader.each("ports")),
        requests=requests,
        limits=limits,
        security=SecurityView() if context is None else security_view(context),
        message_path=reader.text("terminationMessagePath") or "/dev/termination-log",
        message_policy=reader.choice("terminationMessagePolicy", ("File", "FallbackToLogsOnError"), "File"),
        tty=reader.flag("tty"),
        stdin=reader.flag("stdin"),
        stdin_once=reader.flag("stdinOnce"),
    )
    if context is not None:
        context.close()
    reader.close()
    if not view.name:
        reader.complain("name", "must not be empty")
    return view


def _default_policy(image: str) -> str:
    """What the API defaults to when no policy is given."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _resources(reader: Reader) -> tuple[dict[str, str], dict[str, str]]:
    """Limits and requests; a request that is not given equals the limit, as the API defaults it."""
    inner = reader.sub("resources")
    if inner is None:
        return {}, {}
    found = {"limits": inner.quantities("limits"), "requests": inner.quantities("requests")}
    for kind, given in found.items():
        for name, text in list(given.items()):
            try:
                quantity.nano(text)
            except ValueError as error:
                inner.complain(f"{kind}.{name}", str(error))
                del given[name]
            else:
                if name not in _ENFORCED[kind]:
                    inner.complain(f"{kind}.{name}", "")
    inner.close()
    return found["limits"], {name: found["limits"][name] for name in found["limits"]} | found["requests"]


def _key_ref(reader: Reader, kind: str) -> KeyRef:
    ref = KeyRef(kind, reader.text("name"), reader.text("key"), reader.flag("optional"))
    reader.close()
    return ref


def field_ref(reader: Reader) -> FieldRef:
    """``fieldRef`` of an environment variable or a downward API file."""
    reader.accept("apiVersion")
    path = reader.text("fieldPath")
    base, _, subscript = path.partition("[")
    if base not in FIELD_PATHS or (subscript and not subscript.endswith("']")):
        reader.complain("fieldPath", f"{path[:64]!r} is not supported")
    reader.close()
    return FieldRef(path)


def resource_ref(reader: Reader) -> ResourceRef:
    """``resourceFieldRef``."""
    divisor = reader.quantity("divisor") or "0"
    ref = ResourceRef(reader.text("resource"), reader.text("containerName"), divisor)
    if ref.resource not in ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory"):
        reader.complain("resource", f"{ref.resource[:64]!r} is not supported")
    try:
        quantity.nano(divisor)
    except ValueError as error:
        reader.complain("divisor", str(error))
        ref = ResourceRef(ref.resource, ref.container)
    reader.close()
    return ref


def _env(reader: Reader) -> EnvVar:
    name, value = reader.text("name"), reader.text("value")
    source = reader.sub("valueFrom")
    reader.close()
    if source is None:
        return EnvVar(name, value)
    found: str | KeyRef | FieldRef | ResourceRef = ""
    if (inner := source.sub("configMapKeyRef")) is not None:
        found = _key_ref(inner, Kind.CONFIG_MAP)
    elif (inner := source.sub("secretKeyRef")) is not None:
        found = _key_ref(inner, Kind.SECRET)
    elif (inner := source.sub("fieldRef")) is not None:
        found = field_ref(inner)
    elif (inner := source.sub("resourceFieldRef")) is not None:
        found = resource_ref(inner)
    source.close()
    return EnvVar(name, found)


def _env_from(reader: Reader) -> list[EnvFrom]:
    prefix = reader.text("prefix")
    found = []
    for field, kind in (("configMapRef", Kind.CONFIG_MAP), ("secretRef", Kind.SECRET)):
        if (inner := reader.sub(field)) is not None:
            found.append(EnvFrom(kind, inner.text("name"), prefix, inner.flag("optional")))
            inner.close()
    reader.close()
    return found


def _mount(reader: Reader) -> VolumeMount:
    reader.choice("recursiveReadOnly", ("", "Disabled"), "")
    mount = VolumeMount(
        name=reader.text("name"),
        path=reader.text("mountPath"),
        read_only=reader.flag("readOnly"),
        sub_path=reader.text("subPath"),
        sub_path_expr=reader.text("subPathExpr"),
        propagation=reader.choice("mountPropagation", ("None", "HostToContainer", "Bidirectional"), "None"),
    )
    reader.close()
    return mount


def _port(reader: Reader) -> Port:
    reader.accept("name")
    port = Port(
        container_port=reader.integer("containerPort") or 0,
        host_port=reader.integer("hostPort") or 0,
        protocol=reader.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"),
        host_ip=reader.text("hostIP"),
    )
    reader.close()
    return port


def security_view(reader: Reader) -> SecurityView:
    """The fields of a security context that pods and containers share, and those of containers; not closed."""
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    if (capabilities := reader.sub("capabilities")) is not None:
        add, drop = capabilities.strings("add"), capabilities.strings("drop")
        capabilities.close()
    if (armor := reader.sub("appArmorProfile")) is not None:
        armor.choice("type", ("Unconfined",), "Unconfined")
    return SecurityView(
        privileged=reader.flag("privileged"),
        run_as_user=reader.integer("runAsUser"),
        run_as_group=reader.integer("runAsGroup"),
        run_as_non_root=reader.optional_flag("runAsNonRoot"),
        read_only_root=reader.flag("readOnlyRootFilesystem"),
        allow_privilege_escalation=reader.optional_flag("allowPrivilegeEscalation"),
        add_capabilities=add,
        drop_capabilities=drop,
        seccomp=_seccomp(reader),
        proc_mount=reader.choice("procMount", ("Default", "Unmasked"), "Default"),
    )


def _seccomp(reader: Reader) -> str | None:
    inner = reader.sub("seccompProfile")
    if inner is None:
        return None
    kind = inner.choice("type", ("RuntimeDefault", "Unconfined", "Localhost"), "RuntimeDefault")
    profile = inner.text("localhostProfile")
    inner.close()
    if kind != "Localhost":
        return kind
    if not profile or profile.startswith("/") or ".." in profile.split("/"):
        inner.complain("localhostProfile", "must be a relative path without '..'")
    return f"localhost/{profile}"
