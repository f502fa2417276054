"""Where the Hydra tree lies."""

from __future__ import annotations

from pathlib import Path

from rsna.errors import RsnaError


def config_dir() -> Path:
    """The folder of the Hydra tree: package data of a wheel, else `conf/` beside the package.

    The second serves an editable install and a read-only mount on `sys.path`.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "prepare.yaml").is_file():
            return folder
    raise RsnaError(f"the configuration tree is in neither {package / 'conf'} nor {package.parent / 'conf'}; reinstall")
