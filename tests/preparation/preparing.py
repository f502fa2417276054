"""What the tests of `rsna prepare` share."""

from __future__ import annotations

from pathlib import Path

from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, PrepareConfig


def configure(data: Path, prepared: Path, imaging: ImagingSpec = ImagingSpec(height=64, width=32)) -> PrepareConfig:  # noqa: B008
    """Small pictures by two workers."""
    env = EnvSpec(data=str(data), prepared=str(prepared), workers=2)
    return PrepareConfig(CompetitionSpec("breast"), env, DataSpec(imaging=imaging))


def overrides(config: PrepareConfig) -> list[str]:
    """The command line of a configuration."""
    imaging = config.data.imaging
    return [
        f"env.data={config.env.data}",
        f"env.prepared={config.env.prepared}",
        f"env.workers={config.env.workers}",
        f"data.imaging.height={imaging.height}",
        f"data.imaging.width={imaging.width}",
    ]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
