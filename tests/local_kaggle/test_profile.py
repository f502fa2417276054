"""Image profiles, and what is shown of the installed packages."""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsna.errors import InputError
from rsna.local_kaggle.image import Image, covering, open_image, required
from rsna.local_kaggle.interpreter import inspect_interpreter
from rsna.local_kaggle.profile import Profile, load_profile

SMALL = ("papermill", "ipykernel", "pip")


class Package(Distribution):
    """An installed package that requires others."""

    def __init__(self, *requires: str) -> None:
        self.text = "Metadata-Version: 2.1\n" + "".join(f"Requires-Dist: {line}\n" for line in requires)

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


INSTALLED = {
    "top": Package("middle[fast]>=1", "absent", 'other; python_version < "3"', 'testing; extra == "test"'),
    "middle": Package("Base.Package", 'quick; extra == "fast"', 'slow; extra == "slow"'),
    "base-package": Package("top"),
    **{name: Package() for name in ("quick", "slow", "other", "testing", "alone")},
}


@pytest.mark.parametrize(
    ("names", "hidden", "expected"),
    [
        (["top"], [], {"top", "middle", "base-package", "quick"}),
        (["Top", "alone"], ["Middle"], {"top", "alone"}),
        (["base_package"], ["quick"], {"top", "middle", "base-package"}),
        (["top"], ["top"], set()),
        (["unknown"], [], set()),
    ],
)
def test_requirements_are_followed(names: list[str], hidden: list[str], expected: set[str]) -> None:
    assert required(names, INSTALLED, hidden, {}) == expected


def test_markers_are_those_of_the_interpreter() -> None:
    assert "other" in required(["top"], INSTALLED, [], {"python_version": "2.7"})


@pytest.mark.parametrize(
    ("shown", "hidden", "expected"),
    [
        (["a/x.py", "a/b/y.py"], [], ["a"]),
        (["a/x.py", "a/b/y.py"], ["a/c/z.py"], ["a/b", "a/x.py"]),
        (["a/x.py"], ["a/x.py"], ["a/x.py"]),
        (["six.py", "__pycache__/six.pyc"], ["__pycache__/t.pyc", "t.py"], ["__pycache__/six.pyc", "six.py"]),
        ([], ["a"], []),
    ],
)
def test_folders_are_shown_where_nothing_in_them_is_hidden(
    shown: list[str], hidden: list[str], expected: list[str]
) -> None:
    assert covering(shown, hidden) == expected


PATHS = st.sets(st.lists(st.sampled_from("abc"), min_size=2, max_size=4).map(lambda parts: "/".join(parts) + ".py"))


@given(PATHS, PATHS)
def test_everything_shown_is_covered_and_nothing_hidden(shown: set[str], hidden: set[str]) -> None:
    entries = covering(shown, hidden - shown)

    def is_covered(path: str) -> bool:
        return any(PurePosixPath(path).is_relative_to(entry) for entry in entries)

    assert all(map(is_covered, shown))
    assert not any(map(is_covered, hidden - shown))


@pytest.fixture(scope="module")
def image() -> Image:
    return open_image(load_profile())


def test_the_local_profile_shows_what_it_names(image: Image) -> None:
    profile = image.profile
    assert {"torch", "timm", "pandas", "papermill"} <= set(image.packages)
    assert not set(profile.hidden) & set(image.packages)
    assert not {name.split("/")[0] for name in image.entries} & {"rsna", "hydra", "mlflow", "imagecodecs"}
    assert all(path.exists() for path in image.entries.values())
    assert set(profile.packages) == set(image.packages) & set(profile.packages) | set(image.missing)


def test_differences_from_the_image_are_told() -> None:
    profile = Profile("mine", packages={**dict.fromkeys(SMALL, ""), "Nbformat": "0.0.1", "not-there": "1"})
    image = open_image(profile)
    assert image.missing == ["not-there"]
    assert image.different == [f"nbformat: {image.packages['nbformat']} here, 0.0.1 on Kaggle"]


def test_a_profile_needs_what_runs_notebooks() -> None:
    with pytest.raises(InputError, match="shows no ipykernel, pip, which runs notebooks"):
        open_image(Profile("mine", packages={"papermill": ""}, hidden=("ipykernel",)))


def test_another_interpreter() -> None:
    """Asked for itself, the interpreter below this venv tells of its own packages, not of the venv's."""
    here = inspect_interpreter(sys.executable)
    below = inspect_interpreter(str(here.executable))
    assert below.version == here.version
    assert below.sites == here.own_sites
    with pytest.raises(InputError, match="not a Python interpreter"):
        inspect_interpreter("/bin/true")


def test_profiles_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image profile cuda; known: local, or the path"):
        load_profile("cuda")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "package": {}}))
    with pytest.raises(InputError, match=r"unknown key.* package; valid keys: .*packages"):
        load_profile(str(path))
    path.write_text(json.dumps({"name": "mine", "packages": {"a": "1"}}))
    assert load_profile(str(path)).packages == {"a": "1"}
