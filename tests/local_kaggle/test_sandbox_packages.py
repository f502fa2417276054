"""The packages of a session: those of the image profile, and what it installs without a network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from session_lab import ask, notebook, run, run_well, sandboxed_runner

from rsna.local_kaggle.mounts import Mount

WHEELS = "/kaggle/input/datasets/alice/wheels"
INSTALL = f"""
import json, pathlib, subprocess, sys
requirements = pathlib.Path("/tmp/requirements.txt")
requirements.write_text("tiny-thing==1.0 --hash=sha256:{{digest}}")
options = ["--no-index", "--no-deps", "--require-hashes", "--find-links", "{WHEELS}", "-r", str(requirements)]
done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *options], capture_output=True, text=True)
"""


def write_wheel(folder: Path, name: str = "tiny_thing", version: str = "1.0") -> str:
    """A wheel of one module and one command; returns its SHA-256."""
    folder.mkdir()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = '{version}'\ndef main():\n    print('tiny')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\ntiny = {name}:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD")))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_listed_packages_are_there_and_hidden_ones_are_not(tmp_path: Path) -> None:
    listed = [
        "numpy",
        "pandas",
        "pyarrow",
        "PIL",
        "cv2",
        "yaml",
        "pydicom",
        "safetensors",
        "papermill",
        "torch",
        "timm",
    ]
    hidden = [
        "rsna",
        "hydra",
        "omegaconf",
        "mlflow",
        "lightning",
        "dicomsdl",
        "pylibjpeg",
        "gdcm",
        "imagecodecs",
        "kaggle",
    ]
    hidden += ["pytest", "ruff", "__editable___rsna_0_1_0_finder"]
    script = f"""
import importlib.metadata, importlib.util, json, sys
found = [name for name in {listed + hidden!r} if importlib.util.find_spec(name)]
names = sorted(d.metadata["Name"] for d in importlib.metadata.distributions())
print(json.dumps([found, names, sys.version.split()[0], sys.path]))"""
    found, names, version, path = ask(tmp_path, script)
    image = sandboxed_runner().image()
    assert found == listed
    assert len(names) == len(image.packages)
    assert version == image.interpreter.version
    assert not [folder for folder in path if "work" in folder or "home" in folder]


def test_packages_work(tmp_path: Path) -> None:
    """Compiled ones find their libraries, and what was installed cannot be changed."""
    script = """
import json, cv2, numpy, pandas, pyarrow.parquet, PIL.Image, ssl
image = cv2.resize(numpy.arange(16, dtype=numpy.uint8).reshape(4, 4), (2, 2))
pandas.DataFrame({"a": image[:, 0]}).to_parquet("/tmp/a.parquet")
try:
    open(numpy.__file__, "a")
    writable = True
except OSError:
    writable = False
print(json.dumps([pandas.read_parquet("/tmp/a.parquet").shape, writable]))"""
    assert ask(tmp_path, script) == [[2, 1], False]


def test_a_mounted_wheel_is_installed_by_hash(tmp_path: Path) -> None:
    digest = write_wheel(tmp_path / "wheels")
    script = (
        INSTALL.format(digest=digest)
        + """
assert done.returncode == 0, done.stderr
import tiny_thing
command = subprocess.run(["tiny"], capture_output=True, text=True, check=True)
print(json.dumps([tiny_thing.__file__, command.stdout]))"""
    )
    mounts = (Mount(tmp_path / "wheels", WHEELS),)
    module, said = ask(tmp_path, script, mounts=mounts)
    assert module.startswith("/opt/image/lib/")
    assert said == "tiny\n"
    (tmp_path / "again").mkdir()
    assert run(tmp_path / "again", "import tiny_thing").result.message.startswith("ModuleNotFoundError")


def test_a_package_of_the_image_can_be_replaced(tmp_path: Path) -> None:
    """For one session: the image itself stays as it is."""
    write_wheel(tmp_path / "wheels", "six", "99.0")
    script = f"""
import json, subprocess, sys
install = ["-m", "pip", "install", "--quiet", "--no-index", "--find-links", "{WHEELS}", "six==99.0"]
subprocess.run([sys.executable, *install], check=True)
import importlib.metadata, six
print(json.dumps([six.__version__, importlib.metadata.version("six")]))"""
    assert ask(tmp_path, script, mounts=(Mount(tmp_path / "wheels", WHEELS),)) == ["99.0", "99.0"]
    (tmp_path / "again").mkdir()
    seen = ask(tmp_path / "again", "import json, six; print(json.dumps(six.__version__))")
    assert seen == sandboxed_runner().image().packages["six"]


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels")
    script = INSTALL.format(digest="0" * 64) + "print(json.dumps([done.returncode, done.stderr]))"
    status, errors = ask(tmp_path, script, mounts=(Mount(tmp_path / "wheels", WHEELS),))
    assert status == 1
    assert "DO NOT MATCH THE HASHES" in errors


def test_without_a_network_nothing_is_downloaded(tmp_path: Path) -> None:
    script = """
import subprocess, sys
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", "--retries", "0", "hydra-core"]).returncode)"""
    session = run(tmp_path, script)
    assert session.result.outcome == "error"
    assert "No matching distribution found for hydra-core" in session.said("stderr")


def test_a_notebook_can_install_by_magic(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels")
    cells = (
        f"%pip install --quiet --no-index --find-links {WHEELS} tiny-thing",
        "import tiny_thing; tiny_thing.main()",
    )
    session = run_well(tmp_path, notebook(*cells), type="notebook", mounts=(Mount(tmp_path / "wheels", WHEELS),))
    assert "tiny\n" in session.said()


@pytest.mark.slow
def test_the_heavy_packages_work(tmp_path: Path) -> None:
    script = """
import json, torch, timm, torchvision, albumentations, sklearn, matplotlib.pyplot, pytorch_lightning
model = timm.create_model("test_resnet.r160_in1k", num_classes=1)
print(json.dumps(list(model(torch.zeros(1, 3, 64, 64)).shape)))"""
    assert ask(tmp_path, script, memory_bytes=4 * 2**30, seconds=300) == [1, 1]


def test_the_command_line_reaches_what_it_names(tmp_path: Path) -> None:
    """The commands of shown packages are on the path, with the sandbox's interpreter; those of hidden ones are not."""
    script = """
import json, shutil, subprocess
shown = subprocess.run(["pip", "--version"], capture_output=True, text=True, check=True).stdout
print(json.dumps([shown, [name for name in ("rsna", "mlflow", "kaggle", "pytest") if shutil.which(name)]]))"""
    shown, hidden = ask(tmp_path, script)
    assert shown.startswith(f"pip {sandboxed_runner().image().packages['pip']} ")
    assert hidden == []
