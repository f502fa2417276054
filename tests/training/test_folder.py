"""Whose a run folder is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.io import read_yaml, write_yaml
from rsna.training.folder import run_folder


def test_a_folder_from_before_a_key_was_there_is_still_its_configs(make_config: Callable[..., TrainConfig]) -> None:
    config = make_config()
    folder = run_folder(config, 0)
    folder.claim(config, 0)
    stored = read_yaml(folder.config)
    for group, key in (("model", "views"), ("model", "freeze"), ("trainer", "nodes"), ("loss", "weight")):
        del stored[group][key]
    del stored["auxiliary"]
    write_yaml(folder.config, stored)
    assert run_folder(config, 0) == folder
    with pytest.raises(InputError, match=r"model\.views\.layout: 'single' != 'breast'"):
        run_folder(make_config("model.views.layout=breast"), 0)
    write_yaml(folder.config, {**stored, "no_longer": 1})
    with pytest.raises(InputError, match="no_longer"):
        run_folder(config, 0)
