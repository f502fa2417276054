"""From finished training runs to a model bundle: the last place to notice that things do not belong together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.competitions import create_competition
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet
from rsna.errors import InputError
from rsna.inference import Bundle, BundleSpec, Predictor, write_bundle
from rsna.inference.oof import LAW
from rsna.inference.predictor import check_tta
from rsna.models import create_model, load_weights
from rsna.preparation.verify import check_reproduces
from rsna.tracking import code_provenance, read_identity
from rsna.training.split import open_prepared
from rsna.workflows.runs import FinishedRun, common_config, read_runs

logger = logging.getLogger(__name__)

SAMPLE = 4  # pictures of each fold that go through its weights once more


def collect(
    paths: Sequence[Path],
    out: Path,
    data: Path | None = None,
    prepared: Path | None = None,
    folds: Path | None = None,
    tta: Sequence[str] = ("none",),
    accept_skew: bool = False,
    overwrite: bool = False,
) -> Bundle:
    """Make a bundle of trained folds.

    Args:
        paths: Run folders, `runs/<name>/fold_<k>`, or folders of them, `runs/<name>`.
        out: The bundle's folder. A bundle of the same content is left as it is.
        data: The competition's folder; the configuration's unless given.
        prepared: The prepared data set; the configuration's unless given.
        folds: The table of folds; the configuration's unless given.
        tta: Test-time augmentations of the submission.
        accept_skew: Go on although pictures made now may differ from those of the training; the bundle says so.
        overwrite: Replace another bundle.

    Raises:
        InputError: For a run that is not finished, runs of different configurations, two runs of one fold, predictions
            that do not fit the folds or the weights, a prepared set that its own spec does not reproduce, and another
            bundle in `out`.
    """
    check_tta(tta)
    runs = read_runs(paths)
    config = common_config(runs)
    pictures, competition = _open_pictures(config, prepared, folds), create_competition(config.competition.name)
    oof, how = join_oofs(runs, pictures.table), config.competition.aggregation
    for run in runs:
        _check_weights(run, pictures)
    code = code_provenance()
    spec = BundleSpec(
        competition=config.competition.name,
        aggregation=how,
        threshold=competition.fit_threshold(oof, how),
        members=tuple(run.member for run in runs),
        tta=tuple(tta),  # type: ignore[arg-type]
        priors=competition.priors(pictures.table),
        accepted_skew=_find_skew(pictures, data or Path(config.env.data), accept_skew),
        mlflow_run_ids=tuple(read_identity(run.folder.path).get("run_id", "") for run in runs),
        commit=code.commit,
        dirty=code.dirty,
    )
    return write_bundle(out, spec, config, oof, [run.folder.weights for run in runs], overwrite)


def _open_pictures(config: TrainConfig, prepared: Path | None, folds: Path | None) -> PreparedSet:
    env = config.env
    env = replace(env, prepared=str(prepared or env.prepared), folds=str(folds or env.folds))
    return open_prepared(replace(config, env=env))


def join_oofs(runs: Sequence[FinishedRun], table: pd.DataFrame) -> pd.DataFrame:
    """The out-of-fold predictions of all runs: each image of their folds once, in each run's order.

    Args:
        runs: Of different folds.
        table: The image table with `fold`, in which no patient has two folds.

    Raises:
        InputError: For a repeated image, one of another fold, and a missing one, unless the run was a limited trial.
    """
    for run in runs:
        images, expected = run.oof["image_id"], table.loc[table["fold"] == run.fold, "image_id"]
        wrong = images[images.duplicated() | ~images.isin(expected)]
        if len(wrong):
            raise InputError(
                f"{run.folder.oof}: image {wrong.iloc[0]} is there twice or not in fold {run.fold} of the prepared set"
                f" ({len(wrong)} such images); were the folds changed after the training? then train again"
            )
        if len(images) < len(expected) and not run.config.limit:
            raise InputError(
                f"{run.folder.oof} lacks {len(expected) - len(images)} of the {len(expected)} images of fold"
                f" {run.fold}; train it again on the prepared set as it is now"
            )
    oof = pd.concat([run.oof.assign(member=run.member.name) for run in runs], ignore_index=True)
    if len(oof) < len(table):
        logger.warning("the out-of-fold predictions cover only %d of %d images", len(oof), len(table))
    return oof


def _check_weights(run: FinishedRun, prepared: PreparedSet) -> None:
    """A few pictures through a run's weights must give its out-of-fold predictions: a wrong checkpoint is a slip."""
    columns = [name for name in run.oof if str(name).startswith("pred_")]
    model = create_model(run.config.model, run.config.data.input, len(columns), pretrained=False)
    load_weights(model, run.folder.weights)
    rows = run.oof.iloc[np.unique(np.linspace(0, len(run.oof) - 1, SAMPLE).astype(int))]
    files = prepared.table.set_index("image_id").loc[rows["image_id"], "path"]
    pictures = (prepared.read(path) for path in files)
    found = Predictor([model], run.config.data.input, batch_size=SAMPLE).predict(pictures)[:, 0]  # (SAMPLE, T)
    worst = np.abs(found - rows[columns].to_numpy(np.float32)).max()
    if not worst <= LAW:
        raise InputError(
            f"{run.folder.weights} did not make {run.folder.oof}: a prediction differs by {worst:.2g}; these are not"
            " the weights that were scored, or the prepared pictures have changed"
        )


def _find_skew(prepared: PreparedSet, data: Path, accept: bool) -> str:
    """Empty where fresh pictures equal the prepared ones, else why they may differ, which was accepted."""
    if not data.is_dir():
        reason = f"not compared: there is no data folder {data}"
    elif wrong := check_reproduces(prepared, data):
        reason = f"{len(wrong)} of the sampled pictures differ, that of image {wrong[0]} first"
    else:
        return ""
    if not accept:
        raise InputError(
            f"{prepared.folder} is not reproduced by its own spec ({reason}), so a submission would see other pictures"
            " than the training; prepare the data again, name its folder with --data, or take it with --accept-skew"
        )
    logger.warning("skew accepted: %s", reason)
    return reason
