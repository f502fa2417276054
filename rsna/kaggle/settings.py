"""The one settings file of a checkout: who one is on Kaggle, which competition, which slugs, which bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from rsna.config import dump, load
from rsna.errors import InputError
from rsna.io import read_yaml, write_yaml

SETTINGS_FILE = Path(".rsna/settings.yaml")  # git-ignored

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


@dataclass(frozen=True)
class Settings:
    """What every Kaggle command reads.

    Attributes:
        user: The Kaggle user name.
        competition: The competition's slug on Kaggle.
        name: The competition's name here (`rsna.competitions`).
        bucket: A Cloud Storage bucket for MLflow runs; empty for none.
        prefix: The folder inside the bucket.
        code: Slug of the data set of the package.
        wheels: Slug of the data set of the offline wheels.
        model: Slug of the data set of the model bundle.
        prepared: Slug of the data set of prepared pictures.
        credentials: Slug of the private data set of bucket credentials.
        kernels: Prefix of the kernels' slugs: `<kernels>-train` and so on.
    """

    user: str
    competition: str = "rsna-breast-cancer-detection"
    name: str = "breast"
    bucket: str = ""
    prefix: str = "rsna"
    code: str = "rsna-code"
    wheels: str = "rsna-wheels"
    model: str = "rsna-model"
    prepared: str = "rsna-prepared"
    credentials: str = "rsna-credentials"
    kernels: str = "rsna"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.user):
            raise ValueError(f"user {self.user!r} is not a Kaggle user name")
        slugs = [self.code, self.wheels, self.model, self.prepared, self.credentials]
        for slug in [*slugs, *(self.kernel_slug(kind) for kind in ("train", "submit"))]:
            if not _SLUG.fullmatch(slug) or not 6 <= len(slug) <= 50:
                raise ValueError(f"slug {slug!r}: Kaggle takes 6 to 50 lower-case letters, digits and single hyphens")
        if self.bucket and not _BUCKET.fullmatch(self.bucket):
            raise ValueError(f"bucket {self.bucket!r} is not the name of a Cloud Storage bucket (no gs://)")
        kernels = {self.kernel_slug(kind) for kind in ("prepare", "train", "library", "submit")}
        if len(set(slugs)) < len(slugs) or kernels & set(slugs):
            raise ValueError("every data set and kernel needs a slug of its own")

    def dataset(self, kind: str) -> str:
        """`owner/slug` of a data set, by the field's name."""
        return f"{self.user}/{getattr(self, kind)}"

    def kernel_slug(self, kind: str) -> str:
        """The slug of the kernel `prepare`, `train`, `library` or `submit`."""
        return f"{self.kernels}-{kind}"

    def kernel(self, kind: str) -> str:
        """`owner/slug` of a kernel."""
        return f"{self.user}/{self.kernel_slug(kind)}"


SETTING_NAMES = tuple(field.name for field in fields(Settings))


def read_settings(path: Path = SETTINGS_FILE) -> Settings:
    """The settings of this checkout, or `InputError` that says to run `rsna init`."""
    if not path.is_file():
        raise InputError(f"there is no {path}: run `rsna init` here first")
    return load(Settings, read_yaml(path), str(path))


def write_settings(settings: Settings, path: Path = SETTINGS_FILE) -> None:
    """Write the settings file."""
    write_yaml(path, dump(settings))
