"""What a cluster is going to look like: addresses, files, configurations, command lines."""

import json
import tomllib
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path

import pytest

from devcluster.real import addresses, components, configs
from devcluster.real.addresses import Addresses
from devcluster.real.layout import Layout

LAYOUT = Layout("trial")
PLAN = Addresses(3)
CRI = "io.containerd.grpc.v1.cri"
LONGEST_SOCKET = 107  # the kernel's limit, less the zero at the end


def networks(plan: Addresses) -> tuple[IPv4Network, IPv4Network]:
    return IPv4Network(f"{plan.host}/{plan.link_length}", strict=False), plan.pods


def test_no_two_clusters_share_an_address_that_the_host_routes():
    reached = [network for index in range(addresses.LIMIT) for network in networks(Addresses(index))]

    assert not [pair for pair in combinations([*reached, addresses.SERVICES], 2) if pair[0].overlaps(pair[1])]


def test_there_are_addresses_for_more_pods_than_may_run():
    assert PLAN.pods.num_addresses - 3 > configs.MAX_PODS * 2


def test_names_of_interfaces_are_as_short_as_the_kernel_wants_them():
    assert len(Addresses(addresses.LIMIT - 1).interface) <= 15


def test_the_lowest_free_index_is_taken():
    assert addresses.free(set()) == 0
    assert addresses.free({0, 1, 3}) == 2
    with pytest.raises(IndexError):
        addresses.free(set(range(addresses.LIMIT)))


@pytest.mark.parametrize("index", [-1, addresses.LIMIT])
def test_there_is_no_cluster_outside_of_the_plan(index):
    with pytest.raises(ValueError, match=str(index)):
        _ = Addresses(index).node


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 31, "a b"])
def test_a_name_that_is_no_dns_label_is_refused(name):
    with pytest.raises(ValueError, match="is no name for a cluster"):
        Layout(name)


def test_the_longest_name_still_gives_a_socket_that_the_kernel_accepts():
    longest = Layout("a" * 30)

    assert len(f"{longest.socket}.ttrpc") <= LONGEST_SOCKET


def test_all_of_a_cluster_is_in_its_own_two_folders():
    paths = [value for name in dir(Layout) if isinstance(value := getattr(LAYOUT, name), Path)]

    inside = [path for path in paths if path not in {LAYOUT.states, LAYOUT.runs}]
    assert len(inside) > 8
    assert all(path.is_relative_to(LAYOUT.state) or path.is_relative_to(LAYOUT.run) for path in inside)


def test_containerd_keeps_to_the_clusters_folders():
    read = tomllib.loads(configs.containerd(LAYOUT, Path("/plugins")))

    cri = read["plugins"][CRI]
    assert read["version"] == 2
    assert Path(read["root"]).is_relative_to(LAYOUT.state)
    assert Path(read["state"]).is_relative_to(LAYOUT.run)
    assert cri["cni"] == {"bin_dir": "/plugins", "conf_dir": str(LAYOUT.cni)}
    assert cri["restrict_oom_score_adj"] is True
    assert Path(cri["containerd"]["runtimes"]["runc"]["options"]["Root"]).is_relative_to(LAYOUT.run)


TABLES = (
    {},
    {"a": True, "b": -3, "c": 'quotes " and \\ and \n', "d": [], "e": ["x", "y,z"]},
    {"first": {"a": 1}, "after": 2},
    {"plugins": {"a.b": {"c": {"d": 1}}, "e": {}}, "f": False},
)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_reads_back_as_it_was(table):
    assert tomllib.loads(configs.toml(table)) == table


def test_pods_get_addresses_of_this_cluster_only_and_are_not_masqueraded():
    (bridge,) = configs.cni(LAYOUT, PLAN)["plugins"]

    assert bridge["ipam"]["ranges"] == [[{"subnet": str(PLAN.pods)}]]
    assert Path(bridge["ipam"]["dataDir"]).is_relative_to(LAYOUT.state)
    assert bridge["ipMasq"] is False
    json.dumps(bridge)


def test_the_kubelet_does_not_touch_what_belongs_to_the_machine():
    kubelet = configs.kubelet(LAYOUT, PLAN)

    assert kubelet["cgroupRoot"] == "/devcluster-trial"
    assert kubelet["makeIPTablesUtilChains"] is False
    assert Path(kubelet["podLogsDir"]).is_relative_to(LAYOUT.state)


def test_images_that_nobody_could_pull_again_are_never_collected():
    assert configs.kubelet(LAYOUT, PLAN)["imageGCHighThresholdPercent"] == 100


def test_every_component_has_a_command_line():
    lines = components.command_lines(LAYOUT, PLAN)

    assert set(lines) == set(components.NAMES)


def test_every_path_in_a_command_line_is_in_the_clusters_folders_by_which_its_processes_are_found():
    for component, line in components.command_lines(LAYOUT, PLAN).items():
        paths = [value for each in line if (value := each.partition("=")[2]).startswith("/")]
        assert paths, component
        assert all(Path(path).is_relative_to(LAYOUT.state) for path in paths), component


def test_nobody_is_let_in_without_a_token_and_everybody_needs_a_role():
    line = components.command_lines(LAYOUT, PLAN)[components.API_SERVER]

    assert "--anonymous-auth=false" in line
    assert "--authorization-mode=Node,RBAC" in line
    assert "--enable-admission-plugins=NodeRestriction" in line


def test_a_kubeconfig_needs_no_other_file():
    config = configs.kubeconfig("trial", PLAN.server, "Q0E=", "secret")

    (cluster,), (user,) = config["clusters"], config["users"]
    assert cluster["cluster"] == {"server": "https://10.94.3.2", "certificate-authority-data": "Q0E="}
    assert user["user"] == {"token": "secret"}
    assert config["current-context"] == config["contexts"][0]["name"]
