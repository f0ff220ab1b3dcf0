"""Covers edgecore.pods.network."""

from edgecore.pods import network
from edgecore.pods.parse import parse
from edgecore.pods.spec import PodSpec
from edgecore.runtime.contract import Dns
from tests.unit.edgecore.pods.story import pod, want

NODE = "# comment\nnameserver 192.0.2.53\nsearch a.test b.test\noptions ndots:1 edns0\nsearch c.test\n; x\nbroken\n"


def spec(**fields: object) -> PodSpec:
    return parse(want(pod(**fields)))


def dns(cluster: tuple[str, ...] = (), **fields: object) -> Dns:
    return network.dns(spec(**fields), NODE, cluster, "cluster.local")


def test_pods_inherit_the_nodes_resolver() -> None:
    inherited = Dns(("192.0.2.53",), ("c.test",), ("ndots:1", "edns0"))
    assert dns() == dns(dnsPolicy="Default") == dns(("10.0.0.10",), dnsPolicy="Default") == inherited
    assert dns(("10.0.0.10",), hostNetwork=True) == inherited


def test_a_cluster_dns_comes_first() -> None:
    found = dns(("10.0.0.10",))
    assert found.servers == ("10.0.0.10",)
    assert found.searches == ("plant.svc.cluster.local", "svc.cluster.local", "cluster.local", "c.test")
    assert found.options == ("ndots:1", "edns0")
    assert dns(("10.0.0.10",), hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet") == found


def test_none_takes_what_the_pod_says_and_nothing_else() -> None:
    config = {"nameservers": ["192.0.2.1"], "searches": ["x"], "options": [{"name": "ndots", "value": "2"}]}
    assert dns(dnsPolicy="None", dnsConfig=config) == Dns(("192.0.2.1",), ("x",), ("ndots:2",))


def test_a_pods_config_is_added_and_wins_by_option() -> None:
    found = dns(dnsConfig={"nameservers": ["192.0.2.53", "192.0.2.54"], "options": [{"name": "ndots", "value": "5"}]})
    assert found == Dns(("192.0.2.53", "192.0.2.54"), ("c.test",), ("ndots:5", "edns0"))


def test_names_are_cut_to_what_a_host_may_be_called() -> None:
    assert network.hostname(spec()) == "boiler"
    assert network.hostname(spec(hostname="press")) == "press"
    assert network.hostname(parse(want(pod("a" * 62 + "-b")))) == "a" * 62


def test_the_hosts_file_of_a_pod() -> None:
    aliases = [{"ip": "192.0.2.9", "hostnames": ["plc", "plc.test"]}]
    text = network.hosts_file(spec(subdomain="s", hostAliases=aliases), ("10.0.0.7",), "node's own", "cluster.local")
    assert "127.0.0.1\tlocalhost\n" in text
    assert "10.0.0.7\tboiler.s.plant.svc.cluster.local\tboiler\n" in text
    assert text.endswith("192.0.2.9\tplc\tplc.test\n")
    assert "node's own" not in text


def test_the_hosts_file_on_the_nodes_network() -> None:
    text = network.hosts_file(spec(hostNetwork=True), ("192.0.2.1",), "192.0.2.1 gateway\n", "cluster.local")
    assert text.splitlines()[1:] == ["192.0.2.1 gateway"]
