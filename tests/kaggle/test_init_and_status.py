"""`rsna init` and `rsna status`: the settings of a checkout, and where it and Kaggle stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from checkout import COMPETITION, Checkout
from kaggle_lab import Lab

from rsna.kaggle.settings import SETTINGS_FILE, Settings, read_settings
from rsna.local_kaggle.competitions import add_competition


def test_the_user_is_whose_the_credentials_are(checkout: Checkout) -> None:
    (checkout.root / SETTINGS_FILE).unlink()
    checkout.rsna("init", "--bucket", "alice-runs", "--kernels", "mammo")
    assert read_settings(checkout.root / SETTINGS_FILE) == Settings("alice", bucket="alice-runs", kernels="mammo")


def test_what_is_not_given_stays_what_it_was(checkout: Checkout) -> None:
    checkout.rsna("init", "--bucket", "alice-runs")
    checkout.rsna("init", "--prefix", "other")
    settings = read_settings(checkout.root / SETTINGS_FILE)
    assert (settings.bucket, settings.prefix, settings.competition) == ("alice-runs", "other", "rsna-breast")


def test_a_wrong_slug_is_refused_and_nothing_written(checkout: Checkout) -> None:
    before = (checkout.root / SETTINGS_FILE).read_text()
    assert "lower-case letters" in checkout.rsna("init", "--code", "RSNA_code", status=2)
    assert (checkout.root / SETTINGS_FILE).read_text() == before


def test_git_ignores_the_settings(checkout: Checkout) -> None:
    ignored = (checkout.root / ".gitignore").read_text().splitlines()
    assert f"/{SETTINGS_FILE.parts[0]}/" in ignored


def lines(said: str) -> dict[str, str]:
    """The lines of `rsna status` by their first word."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in said.splitlines() if not line.startswith(" ")}


@pytest.mark.loop
def test_every_line_stands_for_itself(checkout: Checkout, lab: Lab, competition: Path) -> None:
    lab.store.write("DELETE FROM kernels")
    add_competition(lab.store, COMPETITION, competition, "breast")
    checkout.rsna("kaggle", "push-code")
    lab.run("rsna-library", "x = 1")
    lab.run("rsna-train", "raise ValueError('boom')")
    said = lines(checkout.rsna("status"))
    assert said["code"].endswith("the same as HEAD")
    assert "not on Kaggle" in said["bundle"]
    assert "never run" in said["prepare"]
    assert "v1 complete" in said["library"]
    assert "v1 error" in said["train"]
    assert "30.0 of 30 hours left" in said["GPU"]
    assert said["submissions"] == "100 left today (0 made)"

    checkout.commit("conf/extra.yaml", "a: 1\n")
    lab.faults.switch_on("http-error", method="GetAcceleratorQuotaStatistics", status=403, message="no quota for you")
    said = lines(checkout.rsna("status"))
    assert "NOT the code of HEAD" in said["code"]
    assert said["GPU"].startswith("unknown: Kaggle refused to ask for the GPU quota: 403 no quota for you")
    assert "left today" in said["submissions"]


def test_without_kaggle_it_says_so(checkout: Checkout, lab: Lab) -> None:
    lab.faults.switch_on("http-error", method="IntrospectToken", status=503)
    assert "could not reach Kaggle" in checkout.rsna("status", status=1)
    lab.faults.switch_off()
    lab.faults.switch_on("http-error", method="IntrospectToken", status=401)
    assert "refuses the credentials" in checkout.rsna("status", status=2)


def test_nobody_waits_for_torch_to_learn_where_things_stand() -> None:
    code = "import sys, rsna.cli.status, rsna.kaggle.status, rsna.kaggle.model; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
