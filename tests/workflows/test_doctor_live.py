"""`rsna doctor --live` on a local Kaggle, and what it says where two Kaggles differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.local_kaggle.client_env import client_environment
from rsna.local_kaggle.connection import find_server
from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.plain_runner import PlainRunner
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.server import serving
from rsna.local_kaggle.settings import Settings as KaggleSettings
from rsna.local_kaggle.store import Store
from rsna.workflows.doctor_live import awkward_files, differences, differences_from_local, make_profile
from rsna.workflows.rehearse import STATE

QUICK = KaggleSettings(processing_seconds=0.05)
FILES_AS_KAGGLE_MAKES_THEM = {
    "zipped/one.txt",
    "zipped/inner/deep.txt",
    "tarred/three.txt",
    "table.csv",
    "weights/weights/data.pkl",
    "probe-1.0-py3-none-any.whl",
    "renamed.zip.tmp",
    "empty.txt",
    "ünïcödé 日本.txt",
    "folder/deeper/table.csv",
}


def probe(tmp_path: Path, fault: str = "") -> tuple[str, dict[str, Any], Path]:
    """Run the command against a server of its own; returns what it says, what it found, and the profile's path."""
    state, out = tmp_path / "state", tmp_path / "out"
    write_settings(Settings("alice"), tmp_path / SETTINGS_FILE)
    if fault:
        Faults(Store(state)).switch_on(fault)
    with serving(state, PlainRunner(), "alice", QUICK) as connection:
        environment = client_environment(connection, state, os.environ) | {"PROBE_NAME": "PROBE_VALUE"}
        command = [sys.executable, "-m", "rsna.cli.app", "doctor", "--live", "--out", str(out)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((out / "probe.json").read_text()), out / "profile.json"


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], Path]:
    """What the command does on a local Kaggle without faults."""
    return probe(tmp_path_factory.mktemp("probe"))


def test_it_records_what_became_of_every_file(probed: tuple[str, dict[str, Any], Path]) -> None:
    _, found, _ = probed
    assert found["mounted"] == "datasets/alice/rsna-probe-files"
    assert found["files"].keys() >= FILES_AS_KAGGLE_MAKES_THEM
    assert found["files"] == found["listed"]
    assert not found["files"].keys() & {"zipped.zip", "tarred.tar.gz", "table.csv.gz", "weights.pt"}


def test_it_records_names_of_variables_but_no_values(probed: tuple[str, dict[str, Any], Path]) -> None:
    said, found, profile = probed
    assert "KAGGLE_KERNEL_RUN_TYPE" in found["environment"]
    text = said + json.dumps(found) + profile.read_text()
    assert "local-kaggle-" not in text  # how a token begins
    assert os.environ["PATH"] not in text


def test_the_profile_can_be_used(probed: tuple[str, dict[str, Any], Path]) -> None:
    said, found, path = probed
    profile = load_profile(str(path))
    assert str(path) in said
    assert profile.packages == found["packages"]
    assert profile.python == ".".join(map(str, sys.version_info[:2]))
    assert "alice/rsna-probe v1" in profile.source


def test_what_the_image_has_is_not_hidden() -> None:
    found = {"python": "3.12.3", "packages": {"Hydra_Core": "1.3"}, "places": {"/dev/shm": {"total": 2**30}}}
    profile = make_profile(found, "alice/rsna-probe v1")
    assert "hydra-core" not in profile.hidden
    assert "rsna" in profile.hidden
    assert (profile.python, profile.shared_memory_mb) == ("3.12", 1024)


def test_two_alike_differ_in_nothing(probed: tuple[str, dict[str, Any], Path]) -> None:
    assert list(differences(probed[1], probed[1])) == []


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("old-layout", "mounted: rsna-probe-files on Kaggle, datasets/alice/rsna-probe-files here"),
        ("unpack-any-name", "files renamed.zip.tmp: absent on Kaggle, {size} bytes here"),
    ],
)
def test_differences_are_listed(
    probed: tuple[str, dict[str, Any], Path], tmp_path: Path, fault: str, line: str
) -> None:
    _, other, _ = probe(tmp_path, fault)
    size = len(awkward_files()["renamed.zip.tmp"])
    assert line.format(size=size) in list(differences(other, probed[1]))


def test_the_rest_is_compared_too(probed: tuple[str, dict[str, Any], Path]) -> None:
    here = probed[1]
    places = {**here["places"], "/tmp": {**here["places"]["/tmp"], "total": 1, "writable": False}, "/data": {}}
    live = {**here, "memory": here["memory"] * 2, "environment": [*here["environment"], "KAGGLE_URL_BASE"]}
    found = "\n".join(differences({**live, "python": "3.13.0", "places": places}, here))
    for words in (
        "python: 3.13.0 on Kaggle",
        "memory:",
        "/data: only on Kaggle",
        "/tmp: read-only",
        "/tmp: 0 MB",
        "KAGGLE_URL_BASE",
    ):
        assert words in found


@pytest.mark.slow  # another server, with a sandbox where this machine can make one
def test_a_live_probe_is_repeated_on_a_local_kaggle(
    probed: tuple[str, dict[str, Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_API_ENVIRONMENT", raising=False)
    _, found, profile = probed
    shutil.copy(profile, tmp_path)
    said: list[object] = []
    lines = differences_from_local({**found, "cpus": 96}, Settings("alice"), tmp_path, said.append)
    assert f"cpus: 96 on Kaggle, {found['cpus']} here" in lines
    assert not [line for line in lines if line.startswith(("files", "listed", "mounted"))]
    assert find_server(tmp_path / "local" / STATE) is None
