"""The competition's files: its tables, the images of some patients, or all of them; what is there is kept."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from rsna.competitions import create_competition
from rsna.data.table import inside
from rsna.errors import RsnaError
from rsna.io import ensure_dir
from rsna.kaggle.client import connect, patiently, refusals_as_errors, status_of
from rsna.kaggle.parallel import in_parallel
from rsna.kaggle.settings import Settings
from rsna.log import progress

logger = logging.getLogger(__name__)

TABLES = ("train.csv", "test.csv", "sample_submission.csv")
Part = Literal["tables", "all"] | int


def download_competition(settings: Settings, folder: Path, part: Part) -> tuple[int, int]:
    """Download files of the competition; an interrupted download goes on where it was.

    Which images there are is read from the tables, since the competition's own list has hundreds of pages.

    Args:
        settings: Which competition.
        folder: Where it goes, in the competition's own layout.
        part: The tables only, `all`, or the tables and the images of so many patients of the training table.

    Returns:
        How many files came, and how many were there.

    Raises:
        RsnaError: Where Kaggle refuses, for instance because the rules were not accepted in the browser.
    """
    names = list(TABLES)
    fetched = _download(settings.competition, folder, names)
    if part != "tables":
        names += _images(settings.name, folder, part)
        fetched += _download(settings.competition, folder, names[len(TABLES) :])
    return fetched, len(names) - fetched


def _images(name: str, folder: Path, part: Part) -> list[str]:
    """The paths of the visible test's images, and of the training images that are asked for."""
    competition = create_competition(name)
    train: pd.DataFrame = competition.train_table(folder)
    if isinstance(part, int):
        train = train[train["group_id"].isin(train["group_id"].drop_duplicates().head(part))]
    return [*competition.test_table(folder)["path"], *train["path"]]


def _download(competition: str, folder: Path, names: list[str]) -> int:
    """Download what is not there; returns how many files that were. A file under its name is whole."""
    missing = [name for name in names if not inside(folder, name).is_file()]
    fetched = in_parallel(partial(_fetch, competition, folder), missing)
    return len(list(progress(fetched, f"downloading {competition}", len(missing))))


def _fetch(competition: str, folder: Path, name: str) -> None:
    """Download one file beside its place, unpack it where Kaggle packed it, and give it its name."""
    target = inside(folder, name)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=ensure_dir(target.parent)) as place:
        patiently(partial(_download_file, competition, name, place))
        files = list(Path(place).iterdir())
        packed = next((file for file in files if file.name == f"{target.name}.zip"), None)
        if packed:
            with zipfile.ZipFile(packed) as archive:
                files = [Path(archive.extract(target.name, place))]
        found = next((file for file in files if file.name == target.name), None)
        if found is None:
            raise RsnaError(f"Kaggle sent {', '.join(file.name for file in files) or 'nothing'} for {name}")
        found.replace(target)


def _download_file(competition: str, name: str, place: str) -> None:
    try:
        with refusals_as_errors(f"download {name} of {competition}"):
            connect().competition_download_file(competition, name, path=place, force=True, quiet=True)
    except RsnaError as error:
        if status_of(error) != 403:
            raise
        rules = f"https://www.kaggle.com/competitions/{competition}/rules"
        raise RsnaError(f"{error}. Open {rules} and accept the rules; the API cannot do it") from error
