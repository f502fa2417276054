"""JSON, YAML and configurations that anybody may have written: plain values, or one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mutations import FUZZED, VALUES, altered, checked, damaged

from rsna.config import CompetitionSpec, EnvSpec, dump, load
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference.schema import BundleSpec
from rsna.io import digest, read_json, read_yaml
from rsna.plain import MAX_DEPTH, parse_json, parse_yaml

CONFIG = TrainConfig("tiny", CompetitionSpec(), EnvSpec("data", "prepared"), SchedulerSpec("constant", "epoch"))
PLAIN = dump(replace(CONFIG, fold="all"))
BUNDLE = {
    "competition": "breast",
    "aggregation": "mean",
    "threshold": {"value": 0.5, "low": 0.4, "high": 0.6, "score": 0.7},
    "members": [{"file": "fold_0.safetensors", "sha256": "0" * 64, "fold": 0, "epoch": 3, "score": 0.8}],
    "tta": ["none"],
    "priors": {"cancer": {"overall": 0.02, "view": {"CC": 0.01, "MLO": 0.03}}},
}
YAML_WORDS = st.sampled_from(
    [
        *(
            "a",
            "- ",
            ": ",
            "? ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "\n",
            "  ",
            "\t",
            "'",
            '"',
            "| ",
            "> ",
            "# ",
            "~",
            "=",
            "!",
            "@",
        ),
        *("&x ", "*x", "<<: ", "---\n", "%YAML 1.1\n", "!!int ", "!!set ", "!!binary "),
        *("0x", "1:2", ".inf", "2001-99-99", "1e5", "=", "!", "@"),
    ]
)


def check_plain(value: Any, depth: int = 0) -> None:
    """Finite numbers, Unicode, distinct keys, not too deep."""
    assert depth <= MAX_DEPTH
    assert type(value) in (dict, list, str, int, float, bool, type(None))
    if isinstance(value, dict):
        for key, inner in value.items():
            assert not isinstance(key, dict | list)
            check_plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check_plain(inner, depth + 1)
    else:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")


@FUZZED
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    for read in (read_json, read_yaml):
        check_plain(checked(lambda read=read: read(path)))


@FUZZED
@given(words=st.lists(YAML_WORDS, max_size=25))
def test_the_words_of_yaml_in_any_order(words: list[str]) -> None:
    check_plain(checked(lambda: parse_yaml("".join(words), "x")))


@FUZZED
@given(value=VALUES)
def test_what_json_writes_is_read_back_or_refused(value: Any) -> None:
    text = json.dumps(value)
    found = checked(lambda: parse_json(text, "x"))
    check_plain(found)
    if found is not None:
        assert json.dumps(found) == text


@FUZZED
@given(data=st.data())
def test_damaged_files(tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / "a.json").write_bytes(data.draw(damaged(json.dumps(BUNDLE).encode())))
    (tmp_path / "a.yaml").write_bytes(data.draw(damaged(yaml.safe_dump(PLAIN).encode())))
    check_plain(checked(lambda: read_json(tmp_path / "a.json")))
    check_plain(checked(lambda: read_yaml(tmp_path / "a.yaml")))


@pytest.mark.parametrize(("spec", "good"), [(TrainConfig, PLAIN), (BundleSpec, BUNDLE)])
@FUZZED
@given(data=st.data())
def test_altered_configurations(spec: type, good: Any, data: st.DataObject) -> None:
    loaded = checked(lambda: load(spec, data.draw(altered(good))))
    if loaded is not None:
        assert load(spec, dump(loaded)) == loaded
        digest(dump(loaded))


@FUZZED
@given(value=VALUES)
def test_any_value_as_a_configuration(value: Any) -> None:
    assert checked(lambda: load(TrainConfig, value)) is None
