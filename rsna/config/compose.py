"""Hydra composes, `load` checks. Imported only where hydra is installed; the submit path never does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rsna.config.loader import load
from rsna.config.paths import config_dir
from rsna.errors import InputError

Spec = TypeVar("Spec")


def compose(spec: type[Spec], name: str, overrides: Sequence[str] = ()) -> Spec:
    """Compose `conf/<name>.yaml` with Hydra overrides and check the result against `spec`.

    Raises:
        InputError: For an unknown group, option or key, or a value of the wrong kind.
    """
    return load(spec, compose_mapping(name, overrides), name)


def compose_mapping(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The composed configuration as plain dictionaries, every interpolation resolved."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            composed = hydra_compose(name, list(overrides))
            mapping = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        text = " ".join(str(error).split())
        raise InputError(f"configuration {name}: {text}") from error
    if not isinstance(mapping, dict):
        raise InputError(f"configuration {name}: expected a mapping")
    return {str(key): value for key, value in mapping.items()}
