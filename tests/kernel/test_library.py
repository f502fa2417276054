"""Building the offline wheels: every one listed, checked before it is needed, nothing of the image's own replaced."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
from tiny_wheels import make_sdist, make_wheel, only_from

import rsna.kernel
from rsna.kernel import library
from rsna.kernel.library import build_wheels, read_requirements
from rsna.kernel.requirements import NEVER
from rsna.kernel.target import Target
from rsna.kernel.wheels import read_lock, verify_wheels

HERE = "{}.{}".format(*sys.version_info[:2])
OTHER = Target("3.99", "manylinux_2_28_x86_64")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip finds."""
    return only_from(tmp_path / "index", monkeypatch)


def _lock(folder: Path) -> dict:
    return json.loads((folder / "lock.json").read_text())


def test_the_kernels_modules_need_the_standard_library_and_pip_alone() -> None:
    for path in Path(rsna.kernel.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            outside = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
            allowed = ("rsna.kernel.", "rsna.log", "pip._vendor.packaging")
            assert all(name.startswith(allowed) for name in outside), (path, outside)


def test_wheels_are_taken_ready_made_or_built_of_their_source(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "ready", requires=["numpy>=1", "source", 'nothing; extra == "gpu"', 'old; python_version < "3"'])
    make_sdist(index, "source")
    rows = build_wheels(["ready>=1", "source"], tmp_path / "out", Target(), {"numpy": "2.1"})
    assert [(row["name"], row["version"], row["tag"]) for row in rows] == [
        ("ready", "1.0", "py3-none-any"),
        ("source", "1.0", "py3-none-any"),
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"lock.json", *(row["file"] for row in rows)}
    assert verify_wheels(tmp_path / "out") == []
    assert [wheel.requirement for wheel in read_lock(tmp_path / "out")] == ["ready>=1", "source"]
    lock = _lock(tmp_path / "out")
    assert (lock["python"], lock["image"]) == (HERE, {"numpy": "2.1"})
    assert all(row["size"] == (tmp_path / "out" / row["file"]).stat().st_size for row in rows)


def test_for_another_interpreter_only_what_fits_it_is_taken(index: Path, tmp_path: Path) -> None:
    for tag in ("cp399-cp399-manylinux_2_17_x86_64", f"cp{HERE.replace('.', '')}-none-any"):
        make_wheel(index, "ready", tag=tag)
    make_wheel(index, "ready", version="2.0", tag="cp399-cp399-manylinux_2_31_x86_64")  # needs a newer C library
    make_sdist(index, "source")
    rows = build_wheels(["ready", "source"], tmp_path / "out", OTHER, {})
    assert [row["tag"] for row in rows] == ["cp399-cp399-manylinux_2_17_x86_64", "py3-none-any"]
    assert (_lock(tmp_path / "out")["python"], _lock(tmp_path / "out")["platform"]) == ("3.99", OTHER.platform)


def test_what_cannot_be_had_for_another_interpreter_is_said(index: Path, tmp_path: Path) -> None:
    make_sdist(index, "compiled", pure=False)
    with pytest.raises(RuntimeError, match="compiled has no wheel for the target and is not pure Python"):
        build_wheels(["compiled"], tmp_path / "out", OTHER, {})
    with pytest.raises(RuntimeError, match="pip wheel failed"):
        build_wheels(["unheard-of"], tmp_path / "out", OTHER, {})
    assert list((tmp_path / "out").iterdir()) == []


MISSING = {
    "not listed": (["needs"], {}, r"dep>=2 is missing \(for needs-1\.0"),
    "too old in the image": (["needs"], {"dep": "1.9"}, r"dep>=2 is needed, 1\.9 is there"),
    "too old in the list": (["needs", "dep==1.0"], {}, r"dep>=2 is needed, 1\.0 is there"),
}


@pytest.mark.parametrize("what", MISSING)
def test_a_set_that_would_not_do_is_refused(index: Path, tmp_path: Path, what: str) -> None:
    make_wheel(index, "needs", requires=["dep>=2"])
    make_wheel(index, "dep")
    make_wheel(index, "good")
    build_wheels(["good"], tmp_path / "out", Target(), {})
    before = _lock(tmp_path / "out")
    requirements, image, message = MISSING[what]
    with pytest.raises(RuntimeError, match=message):
        build_wheels(requirements, tmp_path / "out", Target(), image)
    assert _lock(tmp_path / "out") == before
    assert verify_wheels(tmp_path / "out") == []


def test_a_wheel_that_wants_another_python_is_refused(tmp_path: Path) -> None:
    row = make_wheel(tmp_path, "future", python=">=3.90")
    with pytest.raises(RuntimeError, match=r"wants Python >=3\.90"):
        library.check_rows(tmp_path, [row], {}, Target("3.11"))


def test_one_opencv_stands_for_every_other(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "needs", requires=["opencv-python-headless>=4.9"])
    assert build_wheels(["needs"], tmp_path / "out", Target(), {"opencv-contrib-python": "4.11"})
    with pytest.raises(RuntimeError, match=r"4\.5 is there"):
        build_wheels(["needs"], tmp_path / "out", Target(), {"opencv-python": "4.5"})


def test_an_unknown_version_of_the_image_is_believed(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "needs", requires=["dep>=2"])
    assert build_wheels(["needs"], tmp_path / "out", Target(), {"dep": ""})


def test_a_build_takes_the_place_of_the_last_one(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "ready")
    build_wheels(["ready"], tmp_path / "out", Target(), {})
    (tmp_path / "out" / "mine.txt").write_text("kept")
    (tmp_path / "out" / "left-1.0.tar.gz").write_bytes(b"an archive that Kaggle would unpack")
    make_wheel(index, "ready", version="2.0")
    build_wheels(["ready"], tmp_path / "out", Target(), {})
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"lock.json", "ready-2.0-py3-none-any.whl", "mine.txt", "left-1.0.tar.gz.tmp"}


@pytest.mark.parametrize("name", [*NEVER, "OpenCV_Python"])
def test_the_images_own_are_never_listed(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.txt").write_text(f"timm>=1  # a comment\n\n{name}>=1\n")
    with pytest.raises(RuntimeError, match="never over the image's own"):
        read_requirements(tmp_path / "list.txt")


def test_the_projects_own_list_can_be_read() -> None:
    assert "timm>=1.0.15" in read_requirements(Path(__file__).parents[2] / "offline_wheels/requirements.txt")


def test_a_missing_list_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cannot read the list of wheels"):
        read_requirements(tmp_path / "list.txt")


def test_the_kernel_builds_for_itself(index: Path, tmp_path: Path) -> None:
    make_wheel(index, "ready")
    (tmp_path / "code" / "offline_wheels").mkdir(parents=True)
    (tmp_path / "code" / "offline_wheels" / "requirements.txt").write_text("ready\n")
    library.main(tmp_path / "code", tmp_path / "out")
    assert _lock(tmp_path / "out")["image"]["pip"]  # the freeze of what runs this


def test_platforms_run_what_was_built_for_older_ones() -> None:
    platforms = Target("3.12", "manylinux_2_17_x86_64").platforms
    assert platforms[:2] == ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]
    assert "manylinux_2_28_x86_64" not in platforms
    assert Target("3.12", "macosx_14_0_arm64").platforms == ["macosx_14_0_arm64"]
    with pytest.raises(RuntimeError, match="is not a version"):
        Target("3.x")
