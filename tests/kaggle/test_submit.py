"""From a bundle to a score: the kernel run, exactly that run submitted, the score in MLflow and LOG.md."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from checkout import COMPETITION, Checkout, git
from kaggle_lab import Lab, wait_for
from tiny_model import make_bundle, make_competition

from rsna.inference import Bundle
from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
from rsna.local_kaggle.competitions import add_competition

pytestmark = pytest.mark.loop

QUICK = """
import csv, os, shutil
from rsna.kernel.bootstrap import find_mounts
sample = find_mounts("sample_submission.csv")[0] / "sample_submission.csv"
rerun = os.environ.get("KAGGLE_IS_COMPETITION_RERUN")
shutil.copy(sample, WORKING / "submission.csv")
"""
SLOW_RERUN = QUICK + "import time\ntime.sleep(20 if rerun else 0)\n"
FAILING = {
    "Notebook Threw Exception": "if rerun: raise ValueError('hidden')",
    "Submission CSV Not Found": "if rerun: (WORKING / 'submission.csv').unlink()",
    "Submission Scoring Error": "if rerun: (WORKING / 'submission.csv').write_text('prediction_id,cancer\\n1_L,0\\n')",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition's folder."""
    return make_competition(tmp_path_factory.mktemp("competition") / "data")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A bundle."""
    return make_bundle(tmp_path_factory.mktemp("models") / "one", data).folder


@pytest.fixture(scope="module")
def pushed(server: Lab, project: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose code and wheels are on Kaggle."""
    root = tmp_path_factory.mktemp("submit") / "project"
    shutil.copytree(project, root, symlinks=True)
    write_settings(Settings("alice", COMPETITION), root / SETTINGS_FILE)
    checkout = Checkout(root, server)
    add_competition(server.store, COMPETITION, data, "breast")
    (root / "offline_wheels" / "lock.json").write_text('{"wheels": []}\n')  # this image has everything
    checkout.rsna("kaggle", "push-code")
    checkout.rsna("wheels", "push")
    return checkout


@pytest.fixture
def ready(pushed: Checkout, lab: Lab, made: Path) -> Checkout:
    """The checkout as it was in the beginning, with a bundle in `models/one`."""
    git(pushed.root, "checkout", "kaggle_kernels")
    for left in ("LOG.md", "mlflow.db"):
        (pushed.root / left).unlink(missing_ok=True)
    for left in ("models", ".rsna/submissions"):
        shutil.rmtree(pushed.root / left, ignore_errors=True)
    shutil.copytree(made, pushed.root / "models" / "one")
    return pushed


def _last(lab: Lab) -> dict:
    row = lab.store.row("SELECT * FROM submissions ORDER BY id DESC")
    assert row is not None
    return dict(row)


def _start_mlflow_run(root: Path) -> str:
    from rsna.tracking.store import open_client

    client = open_client(f"sqlite:///{root}/mlflow.db")
    experiment = client.create_experiment("rsna", (root / ".rsna/mlartifacts").as_uri())
    return str(client.create_run(experiment).info.run_id)


def test_the_whole_way_to_a_score(ready: Checkout, lab: Lab, data: Path) -> None:
    from rsna.tracking.store import open_client

    run = _start_mlflow_run(ready.root)
    bundle = make_bundle(ready.root / "models" / "two", data, seed=1, runs=(run, "f" * 32))
    said = ready.rsna("submit", "--bundle", "models/two", "-m", "first try")
    scored = _last(lab)
    assert (scored["status"], scored["number"]) == ("COMPLETE", ready.kernel_versions("rsna-submit"))
    assert scored["description"] == "first try"
    scores = ", ".join(f"{part} {float(f'{scored[part]:.5f}'):g}" for part in ("public", "private"))  # as Kaggle rounds
    assert scores in said
    assert "out-of-fold predictions reproduced" in said
    assert bundle.spec.digest in said
    assert "the hidden test would take" in said
    log = (ready.root / "LOG.md").read_text()
    for text in (
        f"submission {scored['id']}: kernel alice/rsna-submit v",
        "code 0123456789ab",
        bundle.spec.digest[:12],
    ):
        assert text in log
    for text in ("| all |", "Threshold 0.5000", "first try", scores):
        assert text in log
    assert f"the MLflow run {'f' * 32} of models/two is not here" in said
    recorded = open_client(f"sqlite:///{ready.root}/mlflow.db").get_run(run).data
    assert recorded.metrics["kaggle/public"] == pytest.approx(scored["public"], abs=1e-5)
    assert recorded.metrics["kaggle/private"] == pytest.approx(scored["private"], abs=1e-5)
    assert recorded.tags["kaggle.submission"] == str(scored["id"])
    ready.rsna("submit", "--ref", str(scored["id"]))
    assert (ready.root / "LOG.md").read_text() == log
    assert str(scored["id"]) in ready.rsna("submissions")


def test_without_a_bundle_the_one_on_kaggle_is_meant(ready: Checkout, lab: Lab) -> None:
    lab.store.write("DELETE FROM datasets WHERE slug = 'rsna-model'")
    assert "say which one with --bundle" in ready.rsna("submit", status=2)
    ready.rsna("kaggle", "push-model", "models/one")
    ready.write_cells("submit", QUICK)
    ready.rsna("submit")
    digest = Bundle.open(ready.root / "models" / "one").spec.digest
    assert _last(lab)["description"] == f"one {digest[:12]}"
    shutil.rmtree(ready.root / "models" / "one")
    assert "is none of those in models" in ready.rsna("submit", status=2)


@pytest.mark.parametrize("category", FAILING)
def test_a_submission_that_fails_fails_here_with_the_reason(ready: Checkout, category: str) -> None:
    ready.write_cells("submit", QUICK, FAILING[category])
    said = ready.rsna("submit", "--bundle", "models/one", status=1)
    assert f"was not scored: {category} (" in said
    assert category in ready.rsna("submissions")
    assert not (ready.root / "LOG.md").exists()


REFUSALS = [
    (403, "flat", "You must accept the rules", "click `Submit to competition` and take submission.csv"),
    (400, "nested", "Your team has used its daily Submission allowance (5)", "daily Submission allowance (5)"),
    (500, "html", "", "500"),
]


@pytest.mark.parametrize(("status", "body", "message", "said"), REFUSALS, ids=["403", "400", "500"])
def test_where_kaggle_refuses_it_says_why_and_what_to_click(
    ready: Checkout, lab: Lab, status: int, body: str, message: str, said: str
) -> None:
    ready.write_cells("submit", QUICK)
    fault = {"method": "CreateCodeSubmission", "status": status, "body": body, "message": message}
    lab.faults.switch_on("http-error", **fault)
    assert said in ready.rsna("submit", "--bundle", "models/one", status=1)


def test_a_bundle_that_was_exchanged_on_kaggle_is_refused_by_the_kernel(
    ready: Checkout, lab: Lab, data: Path, tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", data, seed=7)
    ready.rsna("kaggle", "push-model", "models/one")
    exchange = f"""
import shutil
from pathlib import Path
from rsna.inference.kernel_submit import main
shutil.copytree({str(other.folder)!r}, WORKING / "input" / "other")
main(PUSHED, BUILD, WORKING / "input")
"""
    ready.write_cells("submit", exchange)
    said = ready.rsna("submit", "--bundle", "models/one", status=1)
    assert f"the mounted bundle is {other.spec.digest[:12]}" in said


def test_a_notebook_that_was_not_pushed_by_us_refuses_to_submit(ready: Checkout, lab: Lab) -> None:
    ready.rsna("kaggle", "push-model", "models/one")
    ready.write_cells("submit", "from rsna.inference.kernel_submit import main\nmain(PUSHED, BUILD)")
    assert "successfully pushed" in ready.kaggle("kernels", "push", "-p", Path("kaggle_kernels/submit"))
    assert lab.wait_kernel("rsna-submit")["status"] == "ERROR"
    assert "was not told which code to run" in lab.log("rsna-submit")


def test_whoever_stops_waiting_can_take_it_up_again(ready: Checkout, lab: Lab) -> None:
    ready.write_cells("submit", SLOW_RERUN)
    before = lab.store.row("SELECT count(*) FROM submissions")
    process = ready.start("submit", "--bundle", "models/one")
    wait_for(lambda: lab.store.row("SELECT count(*) FROM submissions")[0] > before[0], 120)
    wait_for(lambda: any((ready.root / ".rsna" / "submissions").glob("*.json")))
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    ref = _last(lab)["id"]
    assert process.returncode == 1
    assert f"`rsna submit --ref {ref}` takes it up again" in said
    assert f"submission {ref}: public" in ready.rsna("submit", "--ref", str(ref))
    assert f"submission {ref}: kernel" in (ready.root / "LOG.md").read_text()


OTHER_KIND = """
import sys
from rsna.competitions.breast import Breast
from rsna.cli.app import main
Breast.kind = {kind!r}
main(sys.argv[1:])
"""


def _as(kind: str, ready: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `rsna` where the competition takes something else than code."""
    import os
    import sys

    from rsna.local_kaggle.client_env import client_environment

    return subprocess.run(
        [sys.executable, "-c", OTHER_KIND.format(kind=kind), *arguments],
        cwd=ready.root,
        env=client_environment(ready.lab.connection, ready.lab.state, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_competition_that_takes_files_gets_one(
    ready: Checkout, lab: Lab, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsna.competitions.breast import Breast

    monkeypatch.setattr(Breast, "kind", "file")  # of the server, which is in this process
    without = _as("file", ready, "submit", "--bundle", "models/one")
    assert (without.returncode, "--data" in without.stderr) == (2, True)
    done = _as("file", ready, "submit", "--bundle", "models/one", "--data", str(data / "hidden"), "-m", "by file")
    assert done.returncode == 0, done.stderr
    scored = _last(lab)
    assert (scored["status"], scored["description"]) == ("COMPLETE", "by file")
    assert "a file predicted here" in (ready.root / "LOG.md").read_text()


def test_a_competition_that_is_scored_elsewhere_says_what_to_do(ready: Checkout) -> None:
    done = _as("external", ready, "submit", "--bundle", "models/one")
    assert done.returncode == 2
    assert "rsna log --submission CSV --score VALUE --bundle DIR" in done.stderr
