"""With the internet on: what is declared and missing is installed, and nothing that the image has is touched."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_wheels import make_wheel, only_from

from rsna.kernel import online
from rsna.kernel.online import declared_requirements, install_requirements
from rsna.kernel.requirements import lacking, requirement_name, unmet, version_of

INSTALL = """
import sys
from pathlib import Path
from rsna.kernel.online import install_requirements
print(install_requirements(Path(sys.argv[1])))
"""


def _code(folder: Path, *requirements: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "setup.py").write_text(f"raise SystemExit('run')\nREQUIRES = {list(requirements)!r}\n")
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter with pip and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    here = Path(str(importlib.metadata.distribution("pip").locate_file("")))
    for name in here.glob("pip*"):
        (site / name.name).symlink_to(name)
    (site / "rsna.pth").write_text(str(Path(__file__).parents[2]))
    return tmp_path / "venv" / "bin" / "python"


def _run(python: Path, code: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-c", INSTALL, str(code)], capture_output=True, text=True, check=False)


def _version(python: Path, name: str) -> str:
    text = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([python, "-c", text], capture_output=True, text=True, check=True).stdout.strip()


def test_the_list_is_read_without_running_it(tmp_path: Path) -> None:
    assert declared_requirements(_code(tmp_path / "code", "a>=1", "b") / "setup.py") == ["a>=1", "b"]
    assert "torch>=2.6" in declared_requirements(Path(__file__).parents[2] / "setup.py")
    (tmp_path / "setup.py").write_text("x = 1\n")
    with pytest.raises(RuntimeError, match="no list REQUIRES"):
        declared_requirements(tmp_path / "setup.py")


def test_what_is_missing_or_too_old_is_installed_and_the_rest_stays(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = only_from(tmp_path / "index", monkeypatch)
    for name in ("kept", "old"):
        make_wheel(index, name)
    subprocess.run([python, "-m", "pip", "install", "-q", "kept", "old"], check=True)
    for name, version in (("kept", "2.0"), ("old", "2.0"), ("fresh", "1.0")):
        make_wheel(index, name, version=version, requires=["kept"])
    done = _run(python, _code(tmp_path / "code", "kept>=1", "old>=2", "fresh"))
    assert done.stdout.strip() == "['old>=2', 'fresh']", done.stderr
    assert [_version(python, name) for name in ("kept", "old", "fresh")] == ["1.0", "2.0", "1.0"]
    assert _run(python, tmp_path / "code").stdout.strip() == "[]"


def test_nothing_that_the_image_has_is_replaced_for_another_package(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = only_from(tmp_path / "index", monkeypatch)
    make_wheel(index, "torch", version="2.6.0+cu124")
    subprocess.run([python, "-m", "pip", "install", "-q", "torch"], check=True)
    make_wheel(index, "torch", version="2.7")
    make_wheel(index, "greedy", requires=["torch>=2.7"])
    done = _run(python, _code(tmp_path / "code", "greedy"))
    assert done.returncode == 1
    assert "pip install failed" in done.stderr
    assert _version(python, "torch") == "2.6.0+cu124"


def test_torch_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "installed_packages", lambda: {"torch": "2.1.0+cu118"})
    monkeypatch.setattr(online, "run_pip", lambda *_: pytest.fail("pip was run"))
    with pytest.raises(
        RuntimeError, match=r"torch>=2\.6 is needed, 2\.1\.0\+cu118 is there, and that is never replaced"
    ):
        install_requirements(_code(tmp_path / "code", "torch>=2.6"))


@pytest.mark.parametrize(
    ("requirement", "packages", "met"),
    [
        ("timm>=1.0.15", {"timm": "1.0.26"}, True),
        ("timm>=1.0.15", {"timm": "0.9"}, False),
        ("timm", {}, False),
        ("timm>=1", {"timm": ""}, True),
        ("torch>=2.6", {"torch": "2.6.0+cu124"}, True),
        ("torch>=2.6", {"torch": "2.6.0a1"}, False),
        ("Hydra_Core>=1.3", {"hydra-core": "1.3.2"}, True),
        ("opencv-python-headless>=4.9", {"opencv-python": "4.12"}, True),
        ("opencv-python-headless>=4.9", {"opencv-python-headless": "4.8", "opencv-python": "4.12"}, False),
    ],
)
def test_requirements(requirement: str, packages: dict[str, str], met: bool) -> None:
    assert (unmet(requirement, packages) == "") is met
    assert lacking([requirement], packages) == ([] if met else [requirement])


def test_names() -> None:
    assert requirement_name("Pylibjpeg_OpenJPEG>=2.3; python_version > '3'") == "pylibjpeg-openjpeg"
    assert version_of("numpy", {"opencv-python": "4"}) is None
    for wrong in (">=1", "", "a b"):
        with pytest.raises(RuntimeError, match="is not a requirement"):
            unmet(wrong, {}) if wrong.startswith("a") else requirement_name(wrong)
