"""A rehearsal: what it starts and stops, and that its commands can reach nothing but the local Kaggle."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from rsna.competitions import create_competition
from rsna.errors import RsnaError
from rsna.kaggle.settings import Settings, read_settings
from rsna.local_kaggle.connection import find_server
from rsna.local_kaggle.store import Store
from rsna.synthetic import BreastOptions, make_breast
from rsna.workflows import rehearse
from rsna.workflows.rehearse import COMPETITION, STATE, Plan, StepError, rehearsal

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "KAGGLE_API_TOKEN": "KGAT_real",
    "KAGGLE_KEY": "real-key",
    "GOOGLE_APPLICATION_CREDENTIALS": "/real.json",
    "https_proxy": "http://real.example.org:3128",
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A checkout with a commit, a competition without images, and settings with a real bucket."""
    base = tmp_path_factory.mktemp("rehearse")
    root, data = base / "checkout", base / "data"
    shutil.copytree(ROOT / "kaggle_kernels", root / "kaggle_kernels")
    (root / "rsna").mkdir(parents=True)
    (root / "rsna" / "code.py").write_text("1")
    git = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    for name in ("", "hidden"):
        (data / name).mkdir(parents=True, exist_ok=True)
        for table in ("test.csv", "sample_submission.csv", "solution.csv"):
            (data / name / table).write_text("prediction_id,cancer\n")
    settings = Settings("alice", "rsna-breast", bucket="the-real-bucket", kernels="mine")
    return Plan(root, root / ".rsna" / "rehearsal", settings, data, unsafe=True)


def test_commands_run_isolated_and_everything_ends(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    said: list[object] = []
    with rehearsal(plan, said.append) as on:
        shown = json.dumps(dict(on.environment))
        assert not [value for value in SECRETS.values() if value in shown]
        assert on.environment["http_proxy"] == on.environment["https_proxy"] == on.connection.url
        assert on.environment["STORAGE_EMULATOR_HOST"].startswith("http://127.0.0.1:")
        on.rsna("init", "--prefix", "changed")  # in the rehearsal's folder
        assert read_settings(on.folder / ".rsna/settings.yaml").prefix == "changed"
        assert "alice, rsna-breast" in capfd.readouterr().out
        with pytest.raises(StepError, match="rsna kaggle run nothing") as raised:
            on.rsna("kaggle", "run", "nothing")
        assert raised.value.exit_status == 2
    assert "\n$ rsna kaggle run nothing" in said
    assert find_server(plan.folder / STATE) is None
    assert not (plan.root / ".rsna" / "settings.yaml").exists()
    assert Store(plan.folder / STATE).row("SELECT * FROM competitions")["name"] == "rsna-breast"


def test_a_server_that_runs_is_used_and_left_running(plan: Plan) -> None:
    with rehearsal(plan, lambda line: None) as first:
        said: list[object] = []
        with rehearsal(plan, said.append) as second:
            assert second.connection == first.connection
        assert f"using the local Kaggle that runs on {first.connection.url}" in said
        assert find_server(plan.folder / STATE) == first.connection


@pytest.mark.slow  # two servers, one after the other
def test_the_state_survives(plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with rehearsal(plan, lambda line: None) as on:
            on.rsna("kaggle", "push-code")
    assert "already there, nothing pushed" in capfd.readouterr().out.splitlines()[-1]


def test_uncommitted_changes_are_spoken_of(plan: Plan) -> None:
    (plan.root / "rsna" / "code.py").write_text("2")
    said: list[object] = []
    with rehearsal(plan, said.append):
        assert (plan.folder / "rsna" / "code.py").read_text() == "1"
    assert [line for line in said if str(line).startswith("uncommitted changes are left out")]
    with rehearsal(replace(plan, dirty=True), said.append):
        assert (plan.folder / "rsna" / "code.py").read_text() == "2"
    subprocess.run(["git", "-C", str(plan.root), "checkout", "-q", "."], check=True)


def test_without_a_sandbox_only_where_it_was_allowed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse, "why_no_sandbox", lambda image: "there are no namespaces")
    with (
        pytest.raises(RsnaError, match="there are no namespaces; --unsafe goes on"),
        rehearsal(replace(plan, unsafe=False), print),
    ):
        pass
    said: list[object] = []
    with rehearsal(plan, said.append) as on:
        assert not on.connection.sandboxed
    assert [line for line in said if str(line).startswith("NO SANDBOX (there are no namespaces)")]


def test_without_an_emulator_there_is_no_bucket(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearse, "has_emulator", lambda: False)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://elsewhere")
    with rehearsal(plan, lambda line: None) as on:
        assert on.settings.bucket == ""
        assert "STORAGE_EMULATOR_HOST" not in on.environment
        assert os.environ["STORAGE_EMULATOR_HOST"] not in on.environment.values()


def test_a_downloaded_competition_gets_a_hidden_test(plan: Plan, tmp_path: Path) -> None:
    make_breast(tmp_path / "breast", BreastOptions(6, 1, scale=0.03, seed=1, positive_rate=0.4))
    shutil.rmtree(tmp_path / "breast" / "hidden")
    with rehearsal(replace(plan, data=tmp_path / "breast", hidden_patients=3), lambda line: None) as on:
        assert on.plan.data == (plan.folder / COMPETITION).resolve()
        assert on.store.row("SELECT folder FROM competitions")["folder"] == str(on.plan.data)
        assert create_competition("breast").test_table(on.plan.data / "hidden")["group_id"].nunique() == 3


def test_a_folder_of_data_must_be_a_competition(plan: Plan, tmp_path: Path) -> None:
    with (
        pytest.raises(RsnaError, match=r"has no sample_submission.csv"),
        rehearsal(replace(plan, data=tmp_path), print),
    ):
        pass
