"""`rsna kaggle publish`: the output of a kernel as a data set, verified after the upload."""

from __future__ import annotations

import pytest
from checkout import Checkout
from kaggle_lab import Lab

from rsna.kaggle.publish import LEFTOVERS

WHEELS = """
from pathlib import Path
Path("lock.json").write_text("{}")
Path("more").mkdir()
Path("more/b.whl").write_bytes(b"PK")
Path("more/empty.txt").write_text("")
"""


def test_an_output_becomes_a_data_set_without_what_the_run_itself_left(checkout: Checkout, lab: Lab) -> None:
    assert lab.run("rsna-library", WHEELS)["status"] == "COMPLETE"
    lab.run("rsna-library", "raise ValueError")  # a newer run that failed has nothing to publish
    assert "alice/rsna-wheels version 1 is ready" in checkout.rsna("kaggle", "publish", "library")
    assert sorted(lab.file_names("rsna-wheels")) == ["lock.json", "more/b.whl", "more/empty.txt"]
    assert "version 2" in checkout.rsna("kaggle", "publish", "alice/rsna-library", "--version", "1")


def test_a_file_that_kaggle_unpacks_is_not_published_in_silence(checkout: Checkout, lab: Lab) -> None:
    lab.run("some-kernel", "import gzip; gzip.open('a.gz', 'wb').write(b'1' * 100)")
    assert "--as SLUG" in checkout.rsna("kaggle", "publish", "some-kernel", status=2)
    assert "a.gz is missing" in checkout.rsna("kaggle", "publish", "some-kernel", "--as", "some-output", status=1)


def test_without_an_output_there_is_nothing_to_publish(checkout: Checkout, lab: Lab) -> None:
    lab.run("failing-kernel", "raise ValueError")
    said = checkout.rsna("kaggle", "publish", "failing-kernel", "--as", "never-made", status=2)
    assert "has no run that ended well" in said


@pytest.mark.parametrize(
    ("name", "is_left"),
    [
        ("__notebook__.ipynb", True),
        ("__results__.html", True),
        ("custom.css", True),
        ("training.log", False),
        ("__init__.py", False),
        ("runs/x/run.log", False),
        ("weights.safetensors", False),
    ],
)
def test_leftovers_of_a_run(name: str, is_left: bool) -> None:
    assert bool(LEFTOVERS.fullmatch(name)) == is_left
