"""`rsna wheels` as it is typed: built from the list, proven beside the image's packages, pushed whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / name) for name in ("kernel", "local_kaggle")]

from kaggle_lab import SETTINGS, Lab
from tiny_wheels import make_wheel, only_from

from rsna.cli.app import main
from rsna.config import dump
from rsna.errors import InputError, RsnaError
from rsna.io import read_json, write_json
from rsna.kernel.library import build_wheels
from rsna.kernel.target import Target
from rsna.local_kaggle.plain_runner import PlainRunner
from rsna.local_kaggle.profile import load_profile
from rsna.local_kaggle.server import serving
from rsna.workflows import wheels

HERE = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip finds, and a checkout that lists one wheel, as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "offline_wheels").mkdir()
    (tmp_path / "offline_wheels" / "requirements.txt").write_text("probe\n")
    folder = only_from(tmp_path / "index", monkeypatch)
    make_wheel(folder, "probe")
    return folder


@pytest.fixture
def everything(tmp_path: Path) -> str:
    """A profile of an image that has all that the submit path needs."""
    shown = load_profile()
    path = tmp_path / "all.json"
    write_json(path, dump(shown) | {"hidden": ["rsna"], "packages": shown.packages | dict.fromkeys(shown.hidden, "")})
    return str(path)


def run(*arguments: str | Path) -> int:
    """Run the command; its exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["wheels", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_wheels_are_built_and_what_cannot_be_proven_here_is_said(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("build", "--python", "3.99", "--platform", "manylinux_2_28_x86_64") == 0
    lock = json.loads(Path("offline_wheels/lock.json").read_text())
    assert lock["image"]["torch"] == load_profile().packages["torch"]
    assert "imagecodecs" not in lock["image"]  # what the submission has to bring along
    assert run("check") == 0
    said = capsys.readouterr().out
    assert "1 wheels fit together. Not proven: they are for Python 3.99" in said
    assert "nothing was installed or imported" in said


WRONG = {
    "no lock": (lambda folder: (folder / "lock.json").unlink(), 2, "lock.json is missing"),
    "a wheel less": (lambda folder: next(folder.glob("*.whl")).unlink(), 2, "probe-1.0-py3-none-any.whl is missing"),
    "other bytes": (lambda folder: make_wheel(folder, "probe", value=666), 2, "other bytes than were locked"),
    "no target": (
        lambda folder: write_json(folder / "lock.json", json.loads((folder / "lock.json").read_text()) | {"python": 3}),
        2,
        "does not say which python",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_set_that_is_not_whole_is_refused(index: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    change, status, message = WRONG[what]
    run("build", "--python", "3.99", "--platform", "manylinux_2_28_x86_64")
    change(Path("offline_wheels"))
    assert run("check") == status
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_what_the_image_of_the_profile_lacks_is_named(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(index, "probe", requires=["numpy>=1", "absent>=2"])
    assert run("build", "--python", "3.99", "--platform", "manylinux_2_28_x86_64") == 1
    assert "absent>=2 is missing (for probe-1.0-py3-none-any.whl)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--python", "three"), "is not a version"), (("--profile", "moon"), "there is no image profile moon")],
)
def test_wrong_options_are_one_clear_line(
    index: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run("build", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_set_is_proven_offline_beside_the_images_packages(
    index: Path, everything: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_wheels(["probe"], tmp_path / "set", Target(), {})
    checked = wheels.check(tmp_path, tmp_path / "set", everything)
    assert (checked.wheels, checked.installed, checked.unproven) == (1, ("probe",), "")


def test_a_set_that_lacks_what_the_list_asks_for_is_refused(index: Path, tmp_path: Path) -> None:
    build_wheels(["probe"], tmp_path / "set", Target(), {})
    (tmp_path / "offline_wheels" / "requirements.txt").write_text("probe\nimagecodecs\ntimm\n")
    with pytest.raises(RsnaError, match=r"asks for: imagecodecs is missing; build it again"):
        wheels.check(tmp_path, tmp_path / "set")


@pytest.mark.slow
def test_a_set_that_does_not_carry_the_submit_path_is_found_out(index: Path, everything: str, tmp_path: Path) -> None:
    build_wheels(["probe"], tmp_path / "set", Target(), {})
    shown = read_json(everything)
    write_json(everything, shown | {"hidden": [*shown["hidden"], "safetensors"]})
    with pytest.raises(
        RsnaError, match="does not carry a submission: ModuleNotFoundError: No module named 'safetensors'"
    ):
        wheels.check(tmp_path, tmp_path / "set", everything)


@pytest.mark.slow
def test_a_wheel_that_cannot_be_imported_is_found_out(index: Path, everything: str, tmp_path: Path) -> None:
    row = make_wheel(tmp_path / "set", "probe", value="1 / 0")  # type: ignore[arg-type]
    lock = {"python": HERE, "platform": Target().platform, "wheels": [row], "image": {}}
    write_json(tmp_path / "set" / "lock.json", lock)
    with pytest.raises(RsnaError, match="ZeroDivisionError"):
        wheels.check(tmp_path, tmp_path / "set", everything)


def test_the_environment_of_the_proof_sees_the_image_and_nothing_else(tmp_path: Path) -> None:
    import subprocess

    from rsna.local_kaggle.image import open_image

    python = wheels.make_environment(open_image(load_profile()), tmp_path / "image")
    ask = (
        "import importlib.util as u; print([bool(u.find_spec(n)) for n in ('numpy', 'imagecodecs', 'pytest', 'rsna')])"
    )
    done = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, False, False, False]"


@pytest.mark.loop
def test_wheels_are_pushed_whole_or_the_push_fails(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import subprocess

    from rsna.kaggle.settings import SETTINGS_FILE, Settings, write_settings
    from rsna.local_kaggle.client_env import client_environment

    write_settings(Settings("alice"), tmp_path / SETTINGS_FILE)
    build_wheels(["probe"], Path("offline_wheels"), Target("3.99", "manylinux_2_28_x86_64"), {})
    with serving(tmp_path / "state", PlainRunner(), "alice", SETTINGS) as connection:
        lab = Lab(tmp_path / "state", connection)

        def push() -> subprocess.CompletedProcess[str]:
            env = client_environment(connection, lab.state, os.environ)
            command = [str(Path(sys.executable).with_name("rsna")), "wheels", "push"]
            return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

        lab.faults.switch_on("unpack-any-name")
        done = push()
        assert (done.returncode, "probe-1.0-py3-none-any.whl is missing" in done.stderr) == (1, True)
        lab.faults.switch_off()
        assert "version 2: pushed" in push().stdout
        assert sorted(lab.file_names("rsna-wheels")) == ["lock.json", "probe-1.0-py3-none-any.whl"]
        assert "nothing pushed" in push().stdout
        next(Path("offline_wheels").glob("*.whl")).unlink()
        done = push()
        assert (done.returncode, "is not whole" in done.stderr) == (2, True)


def test_what_is_no_set_of_wheels_is_not_pushed(tmp_path: Path) -> None:
    from rsna.kaggle.settings import Settings
    from rsna.kaggle.wheels import push_wheels

    with pytest.raises(InputError, match="make the wheels with `rsna wheels build`"):
        push_wheels(Settings("alice"), tmp_path)
