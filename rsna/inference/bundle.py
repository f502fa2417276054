"""The model bundle: a folder that holds all that prediction needs, verified before anything is loaded.

It is what becomes the Kaggle model data set, so it is read as something that anybody may have written: plain file
names, safetensors only, every checksum and shape compared, no name in it ever imported.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from rsna.competitions import Competition, create_competition
from rsna.config import DETECTOR_FILE, dump, load
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.imaging import RegionFinder
from rsna.inference.schema import CONFIG_FILE, OOF_FILE, SPEC_FILE, BundleSpec, Member, read_spec
from rsna.io import ensure_dir, read_yaml, sha256_file, write_json, write_yaml
from rsna.models import create_model, load_weights
from rsna.models.weights import check_weights
from rsna.tables import read_parquet, write_parquet


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle.

    Attributes:
        folder: Where it lies.
        spec: Its `bundle.json`.
        config: Its `config.yaml`, the training configuration, from which inference is built.
    """

    folder: Path
    spec: BundleSpec
    config: TrainConfig

    @classmethod
    def open(cls, folder: str | Path, digest: str = "") -> Bundle:
        """Open a bundle and verify every file of it.

        Args:
            folder: Written by `write_bundle`.
            digest: The content that is expected.

        Raises:
            InputError: One line for the first thing wrong: no bundle, another schema version, a missing file, a wrong
                checksum, an unknown configuration key, weights that do not fit the model, another bundle than the
                expected one.
        """
        root = Path(folder)
        spec = read_spec(root, digest)
        _check_files(root, spec)
        config = load(TrainConfig, read_yaml(root / CONFIG_FILE), str(root / CONFIG_FILE))
        if config.competition.name != spec.competition:
            raise InputError(f"{root} is for {spec.competition} but its configuration for {config.competition.name}")
        bundle = cls(root, spec, config)
        bundle._check_targets()
        bundle._check_weights()
        return bundle

    @property
    def competition(self) -> Competition:
        """The competition that the bundle was made for."""
        return create_competition(self.spec.competition)

    @property
    def targets(self) -> list[str]:
        """What the models predict, in the order of their outputs."""
        return [target.name for target in self.competition.targets]

    @property
    def prior(self) -> list[float]:
        """The overall rate of each target."""
        return [float(self.spec.priors[name]["overall"]) for name in self.targets]  # type: ignore[arg-type]

    @property
    def finder(self) -> RegionFinder | None:
        """The detector that finds the regions of images."""
        return RegionFinder(self.folder / DETECTOR_FILE, self.spec.detector) if self.spec.detector else None

    def oof(self) -> pd.DataFrame:
        """The out-of-fold predictions."""
        return read_parquet(self.folder / OOF_FILE)

    def models(self, members: Sequence[Member] | None = None) -> list[nn.Module]:
        """The networks of some members (all unless given), on the CPU, with their weights."""
        return [self._load(member) for member in members or self.spec.members]

    def _build(self) -> nn.Module:
        return create_model(self.config.model, self.config.data.input, len(self.targets), pretrained=False)

    def _load(self, member: Member) -> nn.Module:
        model = self._build()
        load_weights(model, self.folder / member.file)
        return model

    def _check_targets(self) -> None:
        if set(self.spec.priors) != set(self.targets):
            raise InputError(f"{self.folder / SPEC_FILE}: the priors must be of {', '.join(self.targets)}")

    def _check_weights(self) -> None:
        """By shape, without memory for a single tensor: the configuration may ask for more than anybody has."""
        with torch.device("meta"):
            model = self._build()
        for member in self.spec.members:
            check_weights(model, self.folder / member.file)


def write_bundle(
    folder: Path,
    spec: BundleSpec,
    config: TrainConfig,
    oof: pd.DataFrame,
    weights: Sequence[Path],
    overwrite: bool = False,
    detector: Path | None = None,
) -> Bundle:
    """Write a bundle, verify it, and give it its name only then. One of the same content is left as it is.

    Args:
        folder: Where it shall lie.
        spec: Its `bundle.json`; the checksums and the time are filled in here.
        config: Of all members.
        oof: Their out-of-fold predictions.
        weights: The safetensors file of each member.
        overwrite: Replace a bundle of other content.
        detector: The file of `spec.detector`.

    Raises:
        InputError: Where the folder holds another bundle and `overwrite` is off, or anything that is no bundle.
    """
    target = folder.absolute()
    ensure_dir(target.parent)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as temporary:
        staged = Path(temporary) / "bundle"
        _write_files(ensure_dir(staged), spec, config, oof, weights)
        if detector is not None:
            shutil.copyfile(detector, staged / DETECTOR_FILE)
        digest = Bundle.open(staged).spec.digest
        if _read_digest(target) != digest:
            if target.exists() and not overwrite:
                raise InputError(f"{folder} already holds another bundle; choose another --out, or add --overwrite")
            if target.exists():
                target.rename(Path(temporary) / "replaced")
            staged.rename(target)
    return Bundle.open(folder)


def _read_digest(folder: Path) -> str | None:
    """The digest of the bundle in a folder; None where there is no folder, or a bundle that cannot be read any more.

    Raises:
        InputError: For a folder that holds no bundle: it is never replaced.
    """
    if folder.exists() and not (folder / SPEC_FILE).is_file():
        raise InputError(f"{folder} exists and is no bundle; choose another --out")
    try:
        return read_spec(folder).digest
    except InputError:
        return None


def _write_files(
    folder: Path, spec: BundleSpec, config: TrainConfig, oof: pd.DataFrame, weights: Sequence[Path]
) -> None:
    write_yaml(folder / CONFIG_FILE, dump(config))
    write_parquet(folder / OOF_FILE, oof)
    members = []
    for member, source in zip(spec.members, weights, strict=True):
        shutil.copyfile(source, folder / member.file)
        members.append(replace(member, sha256=sha256_file(folder / member.file)))
    complete = replace(
        spec,
        members=tuple(members),
        config_sha256=sha256_file(folder / CONFIG_FILE),
        oof_sha256=sha256_file(folder / OOF_FILE),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_json(folder / SPEC_FILE, dump(complete))


def _check_files(folder: Path, spec: BundleSpec) -> None:
    for name, expected in spec.files().items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"the bundle {folder} lacks the file {name}; copy it again or collect it again")
        found = sha256_file(path)
        if found != expected:
            raise InputError(
                f"{path} has the checksum {found[:12]}, {SPEC_FILE} says {expected[:12]}; it was altered or half"
                " copied: copy the bundle again or collect it again"
            )
