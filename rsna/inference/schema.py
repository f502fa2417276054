"""What `bundle.json` holds, and the names of the files beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rsna.competitions import Threshold
from rsna.competitions.aggregation import LearnedAggregation, Rule
from rsna.config import DETECTOR_FILE, DetectorFile, dump, load
from rsna.errors import InputError
from rsna.inference.engine_spec import EngineSpec
from rsna.io import digest, read_json

SCHEMA_VERSION = 3
SPEC_FILE = "bundle.json"
CONFIG_FILE = "config.yaml"
OOF_FILE = "oof.parquet"
PROVENANCE = ("commit", "dirty", "created")  # by which code it was collected, and when: no part of the content
# The version that brought a field: it is no part of the content of an older bundle.
SINCE = {"step_down": 2, "engines": 2, "learned_aggregation": 2, "detector": 3}

Tta = Literal[  # the names in `rsna.inference.tta`
    "none", "hflip", "vflip", "hvflip", "scale_90", "scale_110", "shift_up", "shift_down", "shift_left", "shift_right"
]
Step = Literal["no-tta", "half-members", "one-member", "half-resolution"]


@dataclass(frozen=True)
class Member:
    """One model of a bundle.

    Attributes:
        file: Its weights, a plain file name that ends in `.safetensors`.
        sha256: Of that file.
        fold: The validation fold: the one it was not trained on.
        epoch: The epoch whose weights the monitored metric chose, from 0.
        score: The monitored metric there; None where it was undefined, as without a positive in the fold.
    """

    file: str
    sha256: str
    fold: int
    epoch: int
    score: float | None = None

    def __post_init__(self) -> None:
        if self.file != Path(self.file).name or "\\" in self.file or not self.file.endswith(".safetensors"):
            raise ValueError(f"the member file {self.file!r} is not a plain file name ending in .safetensors")

    @property
    def name(self) -> str:
        """What the column `member` of its predictions says."""
        return self.file.removesuffix(".safetensors")


@dataclass(frozen=True)
class BundleSpec:
    """The file `bundle.json`.

    Attributes:
        competition: A registered competition.
        aggregation: How image predictions become one prediction per scored unit.
        threshold: Chosen on the out-of-fold predictions, with the range that is equally good.
        members: The models, whose probabilities are averaged.
        tta: Test-time augmentations, whose probabilities are averaged.
        priors: The competition's, from the training table: what is predicted where no image can be used.
        config_sha256: Of `config.yaml`.
        oof_sha256: Of `oof.parquet`.
        accepted_skew: Empty, or why the prepared pictures may differ from those that prediction makes.
        mlflow_run_ids: The members' training runs, in the members' order, empty text where there is none.
        commit: The code that collected the bundle.
        dirty: Whether that code differed from the commit.
        created: UTC, ISO 8601.
        step_down: What prediction gives up, one after the other, where it would not be through in time.
        engines: All models as one, for other runtimes than torch.
        learned_aggregation: Of `aggregation: learned`; None elsewhere.
        detector: What finds the regions of images, the file `detector.onnx`; None where only their pixels tell them.
        schema_version: Of the file; a field that is younger has its default.
    """

    competition: str
    aggregation: Literal["mean", "max", "min", "median", "noisy_or", "learned"]
    threshold: Threshold
    members: tuple[Member, ...]
    tta: tuple[Tta, ...]
    priors: dict[str, dict[str, float | dict[str, float]]]
    config_sha256: str = ""
    oof_sha256: str = ""
    accepted_skew: str = ""
    mlflow_run_ids: tuple[str, ...] = ()
    commit: str = ""
    dirty: bool = False
    created: str = ""
    step_down: tuple[Step, ...] = ("no-tta", "half-members", "one-member", "half-resolution")
    engines: tuple[EngineSpec, ...] = ()
    learned_aggregation: LearnedAggregation | None = None
    detector: DetectorFile | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not self.members or not self.tta:
            raise ValueError("a bundle needs at least one member and one test-time augmentation (`none`)")
        if len({member.file for member in self.members}) < len(self.members):
            raise ValueError("two members share one file of weights")
        if lacking := [name for name, rates in self.priors.items() if not isinstance(rates.get("overall"), float)]:
            raise ValueError(f"priors: {', '.join(lacking)} lacks its overall rate")
        if (self.aggregation == "learned") != (self.learned_aggregation is not None):
            raise ValueError("the aggregation `learned`, and no other, needs learned_aggregation")
        if len({engine.kind for engine in self.engines}) < len(self.engines):
            raise ValueError("two engines are of one kind")
        _ = self.digest  # refuses infinity, which JSON readers let pass

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole content: everything but which code collected it, and when."""
        content = {key: value for key, value in dump(self).items() if SINCE.get(key, 1) <= self.schema_version}
        return digest({key: value for key, value in content.items() if key not in PROVENANCE})

    @property
    def rule(self) -> Rule:
        """How images become scored units: the name of an aggregation, or a learned one."""
        return self.learned_aggregation or self.aggregation

    def files(self) -> dict[str, str]:
        """Every file that belongs to the bundle, with its SHA-256."""
        shared = {CONFIG_FILE: self.config_sha256, OOF_FILE: self.oof_sha256}
        engines = {name: sha256 for engine in self.engines for name, sha256 in engine.files.items()}
        detector = {DETECTOR_FILE: self.detector.sha256} if self.detector else {}
        return engines | shared | detector | {member.file: member.sha256 for member in self.members}


def read_spec(folder: Path, digest: str = "") -> BundleSpec:
    """Read and check `bundle.json`.

    Args:
        folder: Of the bundle.
        digest: The content that is expected; a bundle that is sound in itself may still be the wrong one.

    Raises:
        InputError: Where it is missing, of another schema version, holds what it should not, or is another one.
    """
    path = folder / SPEC_FILE
    if not path.is_file():
        raise InputError(f"{folder} is not a model bundle: it has no {SPEC_FILE}; make one with `rsna collect`")
    mapping = read_json(path)
    version = mapping.get("schema_version") if isinstance(mapping, dict) else None
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        newer = type(version) is int and version > SCHEMA_VERSION
        remedy = "update this program" if newer else "collect the bundle again with `rsna collect`"
        raise InputError(f"{path} has schema version {version}, this program reads 1 to {SCHEMA_VERSION}; {remedy}")
    spec = load(BundleSpec, _migrate(mapping, path), str(path))
    if digest and spec.digest != digest:
        raise InputError(f"{folder} is the bundle {spec.digest[:12]}, expected was {digest[:12]}; push the right one")
    return spec


def _migrate(mapping: dict[str, Any], path: Path) -> dict[str, Any]:
    """An older bundle with what it could not say yet; the version stays, so that its digest does too."""
    too_young = [key for key, since in SINCE.items() if key in mapping and since > mapping["schema_version"]]
    if too_young:
        raise InputError(f"{path}: schema version {mapping['schema_version']} has no {', '.join(too_young)}")
    return mapping  # since version 1 only fields with defaults came
