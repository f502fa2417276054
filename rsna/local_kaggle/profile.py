"""Image profiles: which interpreter and which packages Kaggle's image has, and so a session may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rsna.config import load
from rsna.errors import InputError
from rsna.io import read_json

PROFILES = Path(__file__).with_name("profiles")


@dataclass(frozen=True)
class Profile:
    """One image.

    Attributes:
        name: For messages.
        source: Where the list of packages comes from.
        python: The image's Python version, for instance `3.12`; '' where it is not known.
        interpreter: The interpreter of this machine that stands in for the image's, with the packages of its
            environment; '' for the one that runs the local Kaggle.
        packages: The image's packages with their versions; '' for a version that is not known.
        hidden: Packages that no session sees, also where a package of the image requires them.
        shared_memory_mb: The size of /dev/shm.
    """

    name: str
    source: str = ""
    python: str = ""
    interpreter: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    shared_memory_mb: int = 512


def load_profile(name: str = "local") -> Profile:
    """A profile that comes with the package, by its name, or one of your own, by its path (`*.json`).

    Raises:
        InputError: Where there is none, or it has unknown keys or wrong types.
    """
    path = Path(name) if name.endswith(".json") else PROFILES / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.json")))
        raise InputError(f"there is no image profile {name}; known: {known}, or the path of a .json file")
    return load(Profile, read_json(path), str(path))
