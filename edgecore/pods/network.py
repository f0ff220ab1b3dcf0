"""resolv.conf and hosts file of a pod. Pure: the node's files come as text."""

from typing import Final

from edgecore.pods.spec import PodSpec
from edgecore.runtime.contract import Dns

_LOOPBACK: Final = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
)


def hostname(pod: PodSpec) -> str:
    """What a pod with a network of its own calls itself; at most 63 characters, as the kubelet cuts it."""
    return (pod.hostname or pod.name)[:63].rstrip("-.")


def dns(pod: PodSpec, resolv_conf: str, cluster_dns: tuple[str, ...], cluster_domain: str) -> Dns:
    """Name resolution of *pod*. Without a cluster DNS both ClusterFirst policies mean the node's own resolver."""
    base = Dns() if pod.dns_policy == "None" else parse_resolv_conf(resolv_conf)
    clustered = pod.dns_policy == "ClusterFirstWithHostNet" or (
        pod.dns_policy == "ClusterFirst" and not pod.host_network
    )
    if cluster_dns and clustered:
        domains = (f"{pod.namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain)
        base = Dns(cluster_dns, (*domains, *base.searches), ("ndots:5", *base.options))
    extra = pod.dns_config
    options = {option.partition(":")[0]: option for option in (*base.options, *extra.options)}
    return Dns(
        servers=tuple(dict.fromkeys((*base.servers, *extra.servers))),
        searches=tuple(dict.fromkeys((*base.searches, *extra.searches))),
        options=tuple(options.values()),
    )


def parse_resolv_conf(text: str) -> Dns:
    """The entries that matter; the last ``search`` wins, as in the C library."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line.lstrip().startswith(("#", ";")):
            continue
        match words[0]:
            case "nameserver":
                servers.append(words[1])
            case "search":
                searches = tuple(words[1:])
            case "options":
                options.extend(words[1:])
    return Dns(tuple(servers), searches, tuple(options))


def hosts_file(pod: PodSpec, ips: tuple[str, ...], node_hosts: str, cluster_domain: str) -> str:
    """Content of /etc/hosts: the node's own on its network, else loopback and the pod itself; aliases after it."""
    if pod.host_network:
        lines = ["# The node's own hosts file, copied by edgecore.", *node_hosts.splitlines()]
    else:
        name = hostname(pod)
        names = f"{name}.{pod.subdomain}.{pod.namespace}.svc.{cluster_domain}\t{name}" if pod.subdomain else name
        lines = ["# Kubernetes-managed hosts file (edgecore).", *_LOOPBACK, *(f"{ip}\t{names}" for ip in ips)]
    if pod.host_aliases:
        lines += ["", "# Entries added by HostAliases.", *("\t".join((a.ip, *a.hostnames)) for a in pod.host_aliases)]
    return "\n".join(lines) + "\n"
