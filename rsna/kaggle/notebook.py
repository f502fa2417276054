"""The notebooks of `kaggle_kernels/`: their first code cell carries what was pushed and finds the code."""

from __future__ import annotations

import pprint
from pathlib import Path
from typing import Any

from rsna.errors import InputError
from rsna.io import read_json, write_json
from rsna.kaggle.metadata import KINDS, kernels_dir
from rsna.kernel import bootstrap


def notebook_path(root: Path, kind: str) -> Path:
    """The notebook of a kernel in a checkout."""
    return kernels_dir(root) / kind / f"{kind}.ipynb"


def first_cell(pushed: dict[str, Any]) -> str:
    """What was pushed, the text of `rsna.kernel.bootstrap`, and the call that finds and verifies the code.

    Args:
        pushed: What the kernel is told: the digests it must find, overrides, settings. Never a secret.
    """
    text = Path(bootstrap.__file__).read_text(encoding="utf-8").strip()
    values = pprint.pformat(pushed, width=100, sort_dicts=False)
    return f"PUSHED = {values}\n\n{text}\n\n\nCODE, BUILD = load_code(PUSHED.get('code', ''))"


def render_notebook(path: Path, pushed: dict[str, Any]) -> dict[str, Any]:
    """A notebook with its first code cell written anew; the others are its author's."""
    notebook = read_json(path)
    try:
        cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        cell["source"] = first_cell(pushed).splitlines(keepends=True)
    except (KeyError, TypeError, StopIteration) as error:
        raise InputError(f"{path} is not a notebook with a code cell") from error
    return dict(notebook)


def refresh_notebooks(root: Path) -> list[Path]:
    """Bring the first cell of every tracked notebook up to date; returns those that changed."""
    changed = []
    for path in (notebook_path(root, kind) for kind in KINDS):
        wanted = render_notebook(path, {})
        if read_json(path) != wanted:
            write_json(path, wanted)
            changed.append(path)
    return changed
