"""CPU and memory limits of containers, from made-up /proc and /sys."""

import pytest

from lite_medsam.storage import machine
from lite_medsam.storage.limits import cpu_quota, memory_limit_bytes
from lite_medsam.storage.machine import check_threads, may_spin, memory_bytes, physical_cores, usable_cpus


def system(root, files, groups="0::/", mounts=("cgroup2 / /sys/fs/cgroup rw",)):
    """A root folder with control groups; mounts are `type root point options`."""
    lines = []
    for mount in mounts:
        kind, top, point, options = mount.split()
        lines.append(f"31 23 0:28 {top} {point} rw,nosuid shared:4 - {kind} {kind} {options}")
    files = {"proc/self/cgroup": groups, "proc/self/mountinfo": "\n".join(lines), **files}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


V1 = "cgroup {0} /sys/fs/cgroup/cpu,cpuacct rw,cpu,cpuacct"
CPU_CASES = {
    "no limit": ({"sys/fs/cgroup/cpu.max": "max 100000"}, "0::/", None, None),
    "version 2": ({"sys/fs/cgroup/cpu.max": "200000 100000"}, "0::/", None, 2.0),
    "version 2, one number": ({"sys/fs/cgroup/cpu.max": "150000"}, "0::/", None, 1.5),
    "version 2, nested": (
        {
            "sys/fs/cgroup/kubepods/cpu.max": "300000 100000",
            "sys/fs/cgroup/kubepods/pod1/cpu.max": "50000 50000",
            "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "max 100000",
        },
        "0::/kubepods/pod1/box",
        None,
        1.0,
    ),
    "version 1": (
        {
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "250000",
            "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000",
        },
        "4:cpu,cpuacct:/docker/x\n3:memory:/docker/x",
        (V1.format("/"),),
        2.5,
    ),
    "version 1, the container's group mounted as the top": (
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "400000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
        "4:cpu,cpuacct:/docker/x",
        (V1.format("/docker/x"),),
        4.0,
    ),
    "version 1 without a limit": (
        {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"},
        "4:cpu,cpuacct:/",
        (V1.format("/"),),
        None,
    ),
    "nothing mounted is told": ({"sys/fs/cgroup/cpu.max": "200000 100000"}, "", (), 2.0),
    "nonsense": (
        {"sys/fs/cgroup/cpu.max": "x 0", "sys/fs/cgroup/cpu.cfs_quota_us": "5"},
        "no\n:::\n0::/../..",
        None,
        None,
    ),
}


@pytest.mark.parametrize("name", CPU_CASES)
def test_the_smallest_quota_on_the_way_counts(tmp_path, name):
    files, groups, mounts, expected = CPU_CASES[name]
    root = system(tmp_path, files, groups, *([] if mounts is None else [mounts]))
    assert cpu_quota(root) == expected


def test_no_proc_at_all(tmp_path):
    assert cpu_quota(tmp_path) is None and memory_limit_bytes(tmp_path) is None


def test_memory_limits_of_both_versions(tmp_path):
    two = system(
        tmp_path / "2", {"sys/fs/cgroup/a/memory.max": "max", "sys/fs/cgroup/memory.max": "4294967296"}, "0::/a"
    )
    assert memory_limit_bytes(two) == 4 * 2**30 and memory_bytes(two) <= 4 * 2**30
    one = system(
        tmp_path / "1",
        {
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/b/memory.limit_in_bytes": "1000000",
        },
        "5:memory:/b",
        ("cgroup / /sys/fs/cgroup/memory rw,memory",),
    )
    assert memory_limit_bytes(one) == 1_000_000


@pytest.mark.parametrize(
    ("quota", "cpus", "threads"),
    [("200000", 16, 2), ("150000", 16, 2), ("20000", 16, 1), ("max", 16, 16), ("900000", 4, 4)],
)
def test_threads_by_quota(tmp_path, monkeypatch, quota, cpus, threads):
    monkeypatch.setattr(machine, "_allowed_cpus", lambda: range(cpus))
    root = system(tmp_path, {"sys/fs/cgroup/cpu.max": f"{quota} 100000"})
    assert physical_cores(root) == usable_cpus(root) == threads


def test_hyper_threads_are_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_allowed_cpus", lambda: range(4))
    cpu = "sys/devices/system/cpu/cpu{0}/topology/thread_siblings_list"
    root = system(tmp_path, {cpu.format(i): f"{i % 2},{i % 2 + 2}" for i in range(4)})
    assert physical_cores(root) == 2 and usable_cpus(root) == 4


def test_threads_spin_only_where_each_has_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_allowed_cpus", lambda: range(4))
    free = system(tmp_path / "free", {})
    assert [may_spin(n, free) for n in (1, 2, 4, 5)] == [False, True, True, False]
    bound = system(tmp_path / "bound", {"sys/fs/cgroup/cpu.max": "150000 100000"})
    assert [may_spin(n, bound) for n in (1, 2)] == [False, False]


def test_more_threads_than_cpus_are_told(monkeypatch):
    monkeypatch.setattr(machine, "_allowed_cpus", lambda: range(2))
    with pytest.warns(RuntimeWarning, match="64 threads were asked for, but this process may use [12] CPU"):
        check_threads(64)
    check_threads(None)
    check_threads(1)
