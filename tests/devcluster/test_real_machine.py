"""What a cluster finds on the machine and leaves there, in folders that stand for the kernel's."""

import json
import socket
from pathlib import Path

import pytest

from devcluster.real import bringup, cgroups, machine, mounts, packages, record, removal, runtime
from devcluster.real.errors import ClusterError
from devcluster.real.layout import Layout
from devcluster.real.mounts import Mount
from devcluster.real.record import Record

MOUNTINFO = r"""22 1 0:20 / /proc rw,relatime - proc proc rw
30 22 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
31 22 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
40 1 8:1 /x /var/lib/devcluster/trial/kubelet rw - ext4 /dev/sda rw,discard
41 40 0:50 / /var/lib/devcluster/trial/kubelet/a\040b rw - tmpfs tmpfs rw
42 1 0:51 / /var/lib/devcluster/trial-2/kubelet rw - tmpfs tmpfs rw
"""


@pytest.fixture
def layout(tmp_path):
    return Layout("trial", tmp_path / "state", tmp_path / "run")


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A machine of folders: sysctls, a shared folder that was there, and others that were not."""
    sysctls = tmp_path / "sys"
    for name in machine.SYSCTLS:
        (sysctls / name).parent.mkdir(parents=True, exist_ok=True)
        (sysctls / name).write_text("0\n")
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(machine, "PROC_SYS", sysctls)
    monkeypatch.setattr(machine, "FOLDERS", (tmp_path / "there", tmp_path / "absent"))
    return sysctls


def mountinfo(tmp_path, monkeypatch, text: str) -> None:
    (tmp_path / "mountinfo").write_text(text)
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "mountinfo")


def test_mounts_are_found_in_a_folder_innermost_first_and_not_in_its_neighbour(tmp_path, monkeypatch):
    mountinfo(tmp_path, monkeypatch, MOUNTINFO)

    kubelet = Path("/var/lib/devcluster/trial/kubelet")
    assert mounts.below([kubelet.parent]) == [kubelet / "a b", kubelet]


def test_all_hierarchies_of_version_1_are_found_and_version_2_beside_them():
    found = cgroups.hierarchies(mounts.parse(MOUNTINFO))

    assert [str(root) for root in found.roots] == [
        "/sys/fs/cgroup/cpu",
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/unified",
    ]


def test_missing_controllers_are_named_in_both_versions(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")

    assert cgroups.missing(cgroups.hierarchies(mounts.parse(MOUNTINFO))) == ["cpuset", "pids"]
    assert cgroups.missing(cgroups.hierarchies([Mount(tmp_path, "cgroup2", frozenset())])) == []
    assert cgroups.missing(cgroups.hierarchies([])) == list(cgroups.NEEDED)


def test_a_machine_without_a_controller_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    mountinfo(tmp_path, monkeypatch, MOUNTINFO)

    with pytest.raises(ClusterError, match="no cgroup controller cpuset, pids"):
        cgroups.create("devcluster-trial")


def test_the_group_gets_processors_and_memory_nodes_or_no_process_could_enter_it(tmp_path, monkeypatch):
    for name in cgroups.NEEDED:
        (tmp_path / name).mkdir()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    lines = [f"1 1 0:1 / {tmp_path / name} rw - cgroup cgroup rw,{name}" for name in cgroups.NEEDED]
    mountinfo(tmp_path, monkeypatch, "\n".join(lines))

    cgroups.create("devcluster-trial")

    assert all((tmp_path / name / "devcluster-trial").is_dir() for name in cgroups.NEEDED)
    assert (tmp_path / "cpuset" / "devcluster-trial" / "cpuset.cpus").read_text() == "0-1\n"


def test_a_machine_that_takes_no_group_says_what_to_do_about_it(monkeypatch):
    lines = [f"1 1 0:1 / /dev/null rw - cgroup cgroup rw,{','.join(cgroups.NEEDED)}"]
    monkeypatch.setattr(mounts, "present", lambda: mounts.parse("\n".join(lines)))
    with pytest.raises(ClusterError, match="--privileged"):
        cgroups.create("devcluster-trial")


def test_version_2_lets_the_group_use_its_controllers(tmp_path, monkeypatch):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    mountinfo(tmp_path, monkeypatch, f"1 1 0:1 / {tmp_path} rw - cgroup2 cgroup2 rw")

    cgroups.create("devcluster-trial")

    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +cpu +memory +pids"
    assert (tmp_path / "devcluster-trial").is_dir()


def test_groups_go_innermost_first_and_their_members_are_known(tmp_path, monkeypatch):
    mountinfo(tmp_path, monkeypatch, f"1 1 0:1 / {tmp_path} rw - cgroup2 cgroup2 rw")
    inner = tmp_path / "trial" / "kubepods" / "pod1"
    inner.mkdir(parents=True)
    (inner / "cgroup.procs").write_text("12\n13\n")
    assert cgroups.members("trial") == {12, 13}

    (inner / "cgroup.procs").unlink()
    assert cgroups.remove("trial", 5) == []
    assert not (tmp_path / "trial").exists()


def test_a_group_that_stays_in_use_is_named(tmp_path, monkeypatch):
    mountinfo(tmp_path, monkeypatch, f"1 1 0:1 / {tmp_path} rw - cgroup2 cgroup2 rw")
    (tmp_path / "trial" / "busy").mkdir(parents=True)
    (tmp_path / "trial" / "busy" / "file").touch()

    assert cgroups.remove("trial", 0) == [tmp_path / "trial" / "busy", tmp_path / "trial"]


def test_the_machine_is_put_back_when_its_last_cluster_goes(layout, kernel, tmp_path):
    machine.save(layout)
    (kernel / "kernel/panic").write_text("10")
    (tmp_path / "absent" / "s").mkdir(parents=True)

    assert machine.restore(layout) == []
    assert (kernel / "kernel/panic").read_text() == "0"
    assert not (tmp_path / "absent").exists()
    assert (tmp_path / "there").is_dir()
    assert not layout.runs.exists()


def test_the_machine_stays_as_it_is_while_another_cluster_is_there(layout, kernel):
    machine.save(layout)
    (kernel / "kernel/panic").write_text("10")
    (layout.states / "other").mkdir(parents=True)

    assert machine.restore(layout) == []
    assert (kernel / "kernel/panic").read_text() == "10"


def test_a_second_cluster_does_not_take_the_firsts_changes_for_the_original(layout, kernel):
    machine.save(layout)
    (kernel / "kernel/panic").write_text("10")
    machine.save(layout)

    machine.restore(layout)
    assert (kernel / "kernel/panic").read_text() == "0"


def test_a_folder_that_holds_what_is_not_ours_stays_and_is_named(layout, kernel, tmp_path):
    machine.save(layout)
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "somebodys").touch()

    assert machine.restore(layout) == [f"{tmp_path / 'absent'} was made and is not empty"]


def test_a_socket_that_a_killed_shim_left_goes_and_one_that_answers_stays(
    layout, kernel, tmp_path, monkeypatch
):
    shared = tmp_path / "absent"
    monkeypatch.setattr(machine, "CONTAINERD", shared)
    machine.save(layout)
    (shared / "s").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as alive:
        dead.bind(str(shared / "s" / "dead"))
        alive.bind(str(shared / "s" / "alive"))
        alive.listen()

        assert machine.restore(layout) == [f"{shared} was made and is not empty"]
        assert [each.name for each in (shared / "s").iterdir()] == ["alive"]


def test_the_indices_of_other_clusters_are_taken_also_of_one_that_is_not_up_yet(layout):
    for name, index, complete in (("one", 0, True), ("two", 1, False)):
        other = Layout(name, layout.states, layout.runs)
        other.run.mkdir(parents=True)
        record.save(other, Record(index, 0.0, complete=complete))
    (layout.runs / "three").mkdir()
    (layout.runs / "three" / "cluster.json").write_text("{")

    assert machine.indices(layout) == {0, 1}


def test_only_links_to_this_clusters_logs_are_its_traces(layout, tmp_path, monkeypatch):
    links, results = tmp_path / "containers", tmp_path / "results"
    for folder in (links, results):
        folder.mkdir()
    monkeypatch.setattr(runtime, "LINKS", links)
    monkeypatch.setattr(runtime, "RESULTS", results)
    other = Layout("trial-2", layout.states, layout.runs)
    (links / "ours.log").symlink_to(layout.pod_logs / "pod" / "0.log")
    (links / "theirs.log").symlink_to("/var/log/pods/pod/0.log")
    for name, cluster in (("cni-loopback-1-lo", layout), ("cni-loopback-2-lo", other)):
        (results / name).write_text(json.dumps({"interfaces": [{"sandbox": f"{cluster.run}/netns/cni-1"}]}))

    assert runtime.traces(layout) == [links / "ours.log", results / "cni-loopback-1-lo"]


def test_sockets_of_shims_are_found_though_they_are_in_a_shared_folder(layout):
    task = layout.run / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io" / "abc"
    task.mkdir(parents=True)
    (task / "address").write_text("unix:///run/containerd/s/123")

    assert runtime.shim_sockets(layout) == [Path("/run/containerd/s/123")]


def test_what_is_left_of_a_cluster_is_said_in_words(layout):
    layout.state.mkdir(parents=True)

    assert removal.left(layout, None) == [f"folder {layout.state}"]
    assert removal.exists(layout)


def test_nothing_is_left_of_a_cluster_that_never_was(layout):
    assert not removal.exists(layout)


def test_missing_packages_are_named_once_each(monkeypatch):
    monkeypatch.setattr(packages, "PLUGIN_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")

    assert packages.missing() == [*dict.fromkeys(packages.PROGRAMS.values()), packages.PLUGIN_PACKAGE]
    with pytest.raises(ClusterError, match="install what Debian calls containerd runc"):
        packages.ensure(pytest.fail)


def test_a_component_that_ended_is_reported_with_the_end_of_its_log(layout):
    layout.logs.mkdir(parents=True)
    bringup.log(layout, "etcd").write_text("".join(f"line {n}\n" for n in range(100)) + "disk full\n")

    with pytest.raises(ClusterError, match=r"(?s)etcd has ended.*etcd\.log:.*line 99\n  disk full$") as error:
        bringup.wait(layout, "etcd", lambda: False, "etcd is not healthy")
    assert "line 80" not in str(error.value)
