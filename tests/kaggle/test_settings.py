"""The settings file: one place, checked, and a clear word where it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsna.errors import InputError
from rsna.kaggle.settings import Settings, read_settings, write_settings


def test_settings_survive_the_file(tmp_path: Path) -> None:
    settings = Settings("alice", bucket="alice-runs", kernels="mammo")
    write_settings(settings, tmp_path / "settings.yaml")
    assert read_settings(tmp_path / "settings.yaml") == settings
    assert settings.dataset("code") == "alice/rsna-code"
    assert settings.kernel("train") == "alice/mammo-train"


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rsna init"):
        read_settings(tmp_path / "settings.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"user": "a b"}, "not a Kaggle user name"),
        ({"user": "alice", "code": "rsna_code"}, "lower-case letters"),
        ({"user": "alice", "code": "code"}, "6 to 50"),
        ({"user": "alice", "bucket": "gs://runs"}, "no gs://"),
        ({"user": "alice", "code": "rsna-model"}, "slug of its own"),
        ({"user": "alice", "prepared": "rsna-train"}, "slug of its own"),
        ({"user": "alice", "colour": "red"}, "unknown key"),
    ],
)
def test_wrong_settings_are_one_clear_line(tmp_path: Path, values: dict[str, str], message: str) -> None:
    (tmp_path / "s.yaml").write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    with pytest.raises(InputError, match=message):
        read_settings(tmp_path / "s.yaml")
