"""Configuration: the specs (frozen dataclasses), the strict loader, and Hydra's composition."""

from rsna.config.environment import CompetitionSpec, EnvSpec, PrepareConfig
from rsna.config.imaging import DETECTOR_FILE, DataSpec, DetectorFile, ImagingSpec, InputSpec, RoiSpec
from rsna.config.loader import differences, dump, load, spec_hash
from rsna.config.model import FreezeSpec, ModelSpec, ViewsSpec
from rsna.config.paths import config_dir

__all__ = [
    "DETECTOR_FILE",
    "CompetitionSpec",
    "DataSpec",
    "DetectorFile",
    "EnvSpec",
    "FreezeSpec",
    "ImagingSpec",
    "InputSpec",
    "ModelSpec",
    "PrepareConfig",
    "RoiSpec",
    "ViewsSpec",
    "config_dir",
    "differences",
    "dump",
    "load",
    "spec_hash",
]
