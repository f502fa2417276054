"""The notebooks and their metadata, as they are tracked and as they are rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsna.errors import InputError
from rsna.kaggle.metadata import KINDS, TEMPLATE_FILE, kernels_dir, lint, render_metadata
from rsna.kaggle.notebook import first_cell, notebook_path, render_notebook
from rsna.kaggle.settings import Settings
from rsna.kernel import bootstrap

ROOT = Path(__file__).resolve().parents[2]
ALICE = Settings("alice", "rsna-breast", kernels="mammo")


def cells(kind: str) -> list[str]:
    """The code cells of a tracked notebook."""
    notebook = json.loads(notebook_path(ROOT, kind).read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_cell_is_the_bootstrap_word_for_word(kind: str) -> None:
    first, *others = cells(kind)
    remedy = "run: python -c 'from rsna.kaggle.notebook import *; refresh_notebooks(Path())'"
    assert first == first_cell({}), remedy
    assert Path(bootstrap.__file__).read_text().strip() in first
    assert first.startswith("PUSHED = {}\n")
    assert 1 <= len(others) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_tracked_notebooks_hold_no_output(kind: str) -> None:
    notebook = json.loads(notebook_path(ROOT, kind).read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("kind", KINDS)
def test_rendered_metadata_pass_the_lint(kind: str) -> None:
    metadata = render_metadata(ROOT, kind, ALICE)
    assert metadata["id"] == f"alice/mammo-{kind}"
    assert "alice/rsna-code" in metadata["dataset_sources"]
    assert lint(kind, metadata, kernels_dir(ROOT) / kind) == []


LINTED: list[tuple[dict[str, Any], str]] = [
    ({"id": "alice"}, "is not owner/slug"),
    ({"title": "My training"}, "becomes 'my-training'"),
    ({"enable_internet": False}, "enable_internet must be true for train"),
    ({"enable_internet": "true"}, "in so many words"),
    ({"is_private": False}, "is_private must be true"),
    ({"machine_shape": "NvidiaTeslaP100"}, "retired; take NvidiaTeslaT4"),
    ({"machine_shape": "Abacus"}, "is not one of"),
    ({"enable_gpu": False}, "enable_gpu is False, but machine_shape is 'NvidiaTeslaT4'"),
    ({"docker_image": "gcr.io/kaggle-images/python:latest"}, "not pinned by digest"),
    ({"docker_image_pinning_type": "latest"}, "pin the image"),
    ({"code_file": "other.ipynb"}, "does not exist"),
]


@pytest.mark.parametrize(("change", "said"), LINTED, ids=[said for _, said in LINTED])
def test_the_lint_names_what_would_go_wrong(change: dict[str, Any], said: str) -> None:
    metadata = render_metadata(ROOT, "train", ALICE) | change
    assert any(said in problem for problem in lint("train", metadata, kernels_dir(ROOT) / "train"))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [("!pip install timm", "cell 1"), ("%%bash\nfalse", "cell 1"), ("x = 1\nif x:\n    !ls", "cell 1")],
)
def test_shell_lines_are_refused(tmp_path: Path, cell: str, problem: str) -> None:
    notebook = {"cells": [{"cell_type": "code", "source": cell}], "metadata": {"kernelspec": {"name": "python3"}}}
    (tmp_path / "train.ipynb").write_text(json.dumps(notebook))
    problems = lint("train", render_metadata(ROOT, "train", ALICE), tmp_path)
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_notebook_without_kernelspec_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": [], "metadata": {}}))
    assert "no kernelspec" in lint("train", render_metadata(ROOT, "train", ALICE), tmp_path)[0]


def test_what_a_notebook_is_told_survives_as_python(tmp_path: Path) -> None:
    told = {"code": "a" * 64, "overrides": ["a='it''s'", 'b="quoted"', "${c}"], "settings": {"bucket": ""}}
    rendered = render_notebook(notebook_path(ROOT, "train"), told)
    source = "".join(next(cell["source"] for cell in rendered["cells"] if cell["cell_type"] == "code"))
    namespace: dict[str, Any] = {}
    exec(source.split("\n\n", 1)[0], namespace)
    assert namespace["PUSHED"] == told


def test_what_is_no_notebook_and_no_template_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("{}")
    with pytest.raises(InputError, match="not a notebook with a code cell"):
        render_notebook(tmp_path / "x.ipynb", {})
    folder = kernels_dir(tmp_path) / "train"
    folder.mkdir(parents=True)
    (folder / TEMPLATE_FILE).write_text('{"id": "$user/$nobody"}')
    with pytest.raises(InputError, match="cannot be rendered: 'nobody'"):
        render_metadata(tmp_path, "train", ALICE)
