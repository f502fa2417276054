"""A hidden test for a downloaded competition, which has none: training patients, who leave its training table."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.competitions import Competition
from rsna.data.table import inside
from rsna.errors import InputError
from rsna.io import digest, ensure_dir, read_json, write_json
from rsna.kaggle.publish import link_or_copy
from rsna.log import progress
from rsna.tables import write_csv

logger = logging.getLogger(__name__)

TABLES = ("train.csv", "test.csv", "sample_submission.csv")
HIDDEN = "hidden"
MADE_OF = "made-of.json"  # beside the tables; what a folder was made of, so that it is not made again
SEED = 0
POSITIVE_SHARE = 0.25  # of the hidden patients, so that a handful of them has a score at all


def with_hidden_test(competition: Competition, data: Path, patients: int, out: Path) -> Path:
    """The competition's folder itself where it has a hidden test, else one like it in which some patients are hidden.

    Only patients whose images are here take part, so that a download of a few patients will do. Files are linked, or
    copied to another file system.

    Args:
        competition: What `data` holds.
        data: As `rsna data download` makes it. Nothing in it is changed.
        patients: How many are hidden.
        out: The folder that is made; left as it is if it was made of the same.

    Raises:
        InputError: Where too few patients have their images here.
    """
    if (data / HIDDEN).is_dir() or not all((data / name).is_file() for name in TABLES):
        return data
    table = competition.train_table(data)
    complete = _complete_groups(data, table)
    hidden = choose_patients(competition, table[table["group_id"].isin(complete)], patients)
    tables = [hashlib.sha256((data / name).read_bytes()).hexdigest() for name in TABLES]
    made_of = {"data": str(data.resolve()), "made_of": digest([tables, sorted(complete), hidden])}
    if not ((out / MADE_OF).is_file() and read_json(out / MADE_OF) == made_of):
        with tempfile.TemporaryDirectory(prefix=".part-", dir=ensure_dir(out.parent)) as name:
            part = Path(name) / out.name
            _make(competition, data, hidden, complete, part)
            write_json(part / MADE_OF, made_of)
            shutil.rmtree(out, ignore_errors=True)
            part.rename(out)
    logger.info("%s: %d patients are hidden, %d to learn from", out, patients, len(complete) - patients)
    return out


def _complete_groups(data: Path, table: pd.DataFrame) -> set[str]:
    """The patients all of whose images are here."""
    here = [(data / path).is_file() for path in progress(table["path"], f"looking at {data}")]
    return set(table["group_id"]) - set(table.loc[~np.array(here), "group_id"])


def choose_patients(competition: Competition, table: pd.DataFrame, count: int) -> dict[str, str]:
    """Draw patients, the same ones every time: `Public` or `Private` by `group_id`, positive ones in both parts."""
    groups = sorted(set(table["group_id"]))
    if not 2 <= count < len(groups):
        raise InputError(
            f"{count} patients cannot be hidden: {len(groups)} have all their images here; take between 2 and"
            f" {max(len(groups) - 1, 2)} (--hidden-patients), or download more (`rsna data download --patients N`)"
        )
    columns = [target.column for target in competition.targets if target.kind == "binary"]
    found = set(table.loc[(table[columns] > 0.5).any(axis=1), "group_id"])
    drawn = [groups[index] for index in np.random.default_rng(SEED).permutation(len(groups))]
    positive = [group for group in drawn if group in found]
    first = min(max(2, round(count * POSITIVE_SHARE)), (len(positive) + 1) // 2)
    negative = [group for group in drawn if group not in found]
    chosen = [*positive[:first], *negative, *positive[first:]][:count]
    return {group: ("Public", "Private")[number % 2] for number, group in enumerate(chosen)}


def _make(competition: Competition, data: Path, hidden: dict[str, str], complete: set[str], out: Path) -> None:
    """Write both halves of the competition."""
    table, raw = competition.train_table(data), pd.read_csv(data / "train.csv", dtype=str, keep_default_na=False)
    if len(raw) != len(table):
        raise InputError(f"{data}/train.csv has not one row per image; a hidden test cannot be made of it")
    secret, shown = table["group_id"].isin(list(hidden)), table["group_id"].isin(complete - set(hidden))
    write_csv(out / "train.csv", raw[shown])
    tests = competition.test_table(data)["path"]
    _link(data, [*TABLES[1:], *tests], out, [*TABLES[1:], *tests])
    _link(data, table["path"][shown], out, table["path"][shown])
    _write_hidden(
        competition, data, raw[secret], table[secret].assign(Usage=table["group_id"].map(hidden)), out / HIDDEN
    )


def _write_hidden(competition: Competition, data: Path, raw: pd.DataFrame, table: pd.DataFrame, out: Path) -> None:
    """Write the hidden test: its tables, its solution, its images."""
    form, units = competition.format, table.drop_duplicates("prediction_id")
    test = raw.assign(**{form.id: table["prediction_id"]})
    write_csv(out / "test.csv", test[[column.name for column in competition.test_columns]])
    sample = competition.sample_submission(data).iloc[0]
    ids = pd.DataFrame({form.id: units["prediction_id"]})
    write_csv(out / "sample_submission.csv", ids.assign(**{name: sample[name] for name in form.values}))
    truth = {name: units[target.column] for name, target in zip(form.values, competition.targets, strict=True)}
    write_csv(out / "solution.csv", ids.assign(**truth, Usage=units["Usage"]))
    _link(data, table["path"], out, competition.test_table(out)["path"])


def _link(source: Path, names: Iterable[str], target: Path, new_names: Iterable[str]) -> None:
    """Give files of one folder a name in another one."""
    for name, new_name in progress(list(zip(names, new_names, strict=True)), f"linking into {target.name}"):
        file, place = inside(source, name), inside(target, new_name)
        if not file.is_file():
            raise InputError(f"{file} is missing; `rsna data download` fetches it")
        link_or_copy(file, ensure_dir(place.parent) / place.name)
