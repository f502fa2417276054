"""`kernel-metadata.json`: rendered from its template for one user, and linted before anything is pushed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template
from typing import Any

from rsna.errors import InputError
from rsna.io import read_json, read_text, write_json
from rsna.kaggle.settings import Settings

KINDS = ("prepare", "train", "library", "submit")
TEMPLATE_FILE = "kernel-metadata.template.json"
METADATA_FILE = "kernel-metadata.json"
NEEDS_INTERNET = {"prepare": False, "train": True, "library": True, "submit": False}
MACHINE_SHAPES = (
    "", "NvidiaTeslaT4", "NvidiaL4", "NvidiaL4X1", "NvidiaTeslaA100", "NvidiaH100", "NvidiaRtxPro6000",
    "TpuV5E8", "TpuV6E8",
)  # fmt: skip
RETIRED_SHAPES = {"NvidiaTeslaP100": "NvidiaTeslaT4", "TpuV38": "TpuV5E8", "Tpu1VmV38": "TpuV5E8"}
_IMAGE = re.compile(r"gcr\.io/kaggle-(gpu-)?images/python@sha256:[0-9a-f]{64}")


def kernels_dir(root: Path) -> Path:
    """The folder of the notebooks in a checkout."""
    return root / "kaggle_kernels"


def render_metadata(root: Path, kind: str, settings: Settings) -> dict[str, Any]:
    """Fill the template of a kernel with a user's settings.

    Raises:
        InputError: For an unknown kind, or a template with names that the settings lack.
    """
    if kind not in KINDS:
        raise InputError(f"there is no kernel {kind!r}; there are {', '.join(KINDS)}")
    path = kernels_dir(root) / kind / TEMPLATE_FILE
    slugs = {name: settings.kernel_slug(name) for name in KINDS}
    sets = {name: settings.dataset(name) for name in ("code", "wheels", "model", "prepared", "credentials")}
    values = {"user": settings.user, "competition": settings.competition, **slugs, **sets}
    try:
        return dict(json.loads(Template(read_text(path)).substitute(values)))
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be rendered: {error}") from error


def write_all_metadata(root: Path, settings: Settings) -> list[Path]:
    """Render the metadata of every kernel beside its notebook, so that plain `kaggle kernels push -p` works."""
    paths = [kernels_dir(root) / kind / METADATA_FILE for kind in KINDS]
    for kind, path in zip(KINDS, paths, strict=True):
        write_json(path, render_metadata(root, kind, settings))
    return paths


def lint(kind: str, metadata: dict[str, Any], folder: Path) -> list[str]:
    """What would go wrong with a push, found before it: one line each.

    Args:
        kind: The kernel's kind, which says whether it may have internet.
        metadata: As rendered.
        folder: Where its `code_file` lies.
    """
    owner, _, slug = str(metadata.get("id", "")).partition("/")
    title = str(metadata.get("title", ""))
    problems = []
    if not owner or len(slug) < 5:
        problems.append(f"id {metadata.get('id')!r} is not owner/slug with a slug of at least 5 characters")
    if _slugify(title) != slug:
        problems.append(f"title {title!r} becomes {_slugify(title)!r}, not {slug!r}: Kaggle would make another kernel")
    if metadata.get("enable_internet") is not NEEDS_INTERNET[kind]:  # the client's default is on
        problems.append(f"enable_internet must be {str(NEEDS_INTERNET[kind]).lower()} for {kind}, in so many words")
    if metadata.get("is_private") is not True:
        problems.append("is_private must be true")
    problems += _lint_machine(metadata)
    problems += _lint_notebook(folder / str(metadata.get("code_file", "")))
    return problems


def _lint_machine(metadata: dict[str, Any]) -> list[str]:
    problems = []
    shape = str(metadata.get("machine_shape", ""))
    if shape in RETIRED_SHAPES:
        problems.append(f"machine_shape {shape} is retired; take {RETIRED_SHAPES[shape]}")
    elif shape not in MACHINE_SHAPES:
        problems.append(f"machine_shape {shape!r} is not one of {', '.join(filter(None, MACHINE_SHAPES))}")
    if bool(metadata.get("enable_gpu")) != shape.startswith("Nvidia"):
        problems.append(f"enable_gpu is {metadata.get('enable_gpu')}, but machine_shape is {shape!r}")
    image = metadata.get("docker_image")
    if image and not _IMAGE.fullmatch(str(image)):
        problems.append(f"docker_image {image!r} is not pinned by digest (…/python@sha256:…)")
    if not image and metadata.get("docker_image_pinning_type") != "original":
        problems.append("pin the image: docker_image by digest, or docker_image_pinning_type original")
    return problems


def _lint_notebook(path: Path) -> list[str]:
    if not path.is_file():
        return [f"code_file {path} does not exist"]
    notebook = read_json(path)
    problems = []
    if not notebook.get("metadata", {}).get("kernelspec", {}).get("name"):
        problems.append(f"{path.name} has no kernelspec: Kaggle would not know how to run it")
    for number, cell in enumerate(notebook.get("cells", []), 1):
        lines = "".join(cell.get("source", "")).splitlines() if cell.get("cell_type") == "code" else []
        if any(line.lstrip().startswith(("!", "%%bash", "%%sh")) for line in lines):
            problems.append(
                f"{path.name}, cell {number}: a failing shell line leaves the run green; call subprocess.run"
            )
    return problems


def _slugify(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
