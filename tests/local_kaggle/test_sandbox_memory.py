"""Control groups of both versions, on files that look like theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

import rsna.local_kaggle.memory as memory
from rsna.local_kaggle.memory import V1, V2, ControlGroup, ProcessTree, Version, limited


class PlainFolder(ControlGroup):
    """A control group of plain files, which do not vanish with their folder."""

    def remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        super().remove()


@pytest.mark.parametrize(
    ("version", "statistics", "events"),
    [
        (V2, "anon 300\nfile 5000\nshmem 20\nkernel 7\n", "low 0\nmax 3\noom 1\noom_kill {}\n"),
        (V1, "cache 5000\nrss 1\ntotal_rss 300\ntotal_shmem 20\n", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
    ],
)
def test_files_of_a_control_group(tmp_path: Path, version: Version, statistics: str, events: str) -> None:
    group = PlainFolder(tmp_path / "group", version, 1000)
    assert (group.folder / version.limit).read_text() == "1000"
    (group.folder / "memory.stat").write_text(statistics)
    assert group.usage(1) == 320
    for count, exceeded in ((0, False), (2, True)):
        (group.folder / version.events).write_text(events.format(count))
        assert group.exceeded(320) is exceeded
    group.remove()
    assert not group.folder.exists()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("0::/user.slice/app.scope", [("user.slice/app.scope", V2), ("user.slice", V2), ("", V2)]),
        ("4:cpu,memory:/a\n1:name=systemd:/b\n0::/", [("memory/a", V1), ("memory", V1), ("", V2)]),
        ("3:cpu:/x", []),
    ],
)
def test_where_groups_may_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, expected: list[tuple[str, Version]]
) -> None:
    file = tmp_path / "cgroup"
    file.write_text(lines + "\n")
    monkeypatch.setattr(memory, "OWN_GROUPS", file)
    assert list(memory._candidates()) == [(memory.CGROUPS / name, version) for name, version in expected]


def test_without_a_control_group_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_place", lambda: None)
    with limited(1000) as meter:
        assert meter == ProcessTree(1000)
        assert meter.exceeded(1001)
        assert not meter.exceeded(1000)


def test_a_limit_above_the_machine_is_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_place", lambda: None)
    with limited(10**18) as meter:
        assert meter.limit < 10**15
