"""From finished training runs to a model bundle: the last place to notice that things do not belong together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.competitions import Competition, Threshold, create_competition
from rsna.competitions.aggregation import AGGREGATIONS, LearnedAggregation, Rule
from rsna.competitions.thresholds import choose_threshold
from rsna.config.training import TrainConfig
from rsna.data import PreparedSet, read_pictures
from rsna.data.views import sample_pictures
from rsna.ensembling.aggregator import compare_aggregations, fit_aggregation
from rsna.ensembling.selection import RULES
from rsna.errors import InputError
from rsna.inference import Bundle, BundleSpec, Predictor, write_bundle
from rsna.inference.oof import LAW
from rsna.inference.tta import check_tta
from rsna.models import create_model, load_weights
from rsna.preparation.verify import check_reproduces
from rsna.tracking import code_provenance, read_identity
from rsna.training.split import open_prepared
from rsna.workflows.checkpoints import choose
from rsna.workflows.runs import FinishedRun, common_config, read_runs

logger = logging.getLogger(__name__)

LEARNED = "learned"
SAMPLE = 4  # pictures of each fold that go through its weights once more


@dataclass(frozen=True)
class Choices:
    """What is chosen on the out-of-fold predictions.

    Attributes:
        select: The epoch of each fold; see `rsna.ensembling.selection.select_epochs`.
        aggregation: From images to units, `learned` among them; empty for the configuration's.
        by: With `learned`: a column of the image table whose values have their own coefficients.
        threshold: `best`, or a percentile of the units such as `p98.2`.
    """

    select: str = "best"
    aggregation: str = ""
    by: str = ""
    threshold: str = "best"

    def __post_init__(self) -> None:
        if self.aggregation not in ("", LEARNED, *AGGREGATIONS):
            raise InputError(f"--aggregation {self.aggregation}: choose {LEARNED}, {', '.join(AGGREGATIONS)}")
        if self.by and self.aggregation != LEARNED:
            raise InputError("--by is for --aggregation learned, which then learns for each value of the column")
        if self.select not in RULES:
            raise InputError(f"--select {self.select}: choose one of {', '.join(RULES)}")


def collect(
    paths: Sequence[Path],
    out: Path,
    data: Path | None = None,
    prepared: Path | None = None,
    folds: Path | None = None,
    tta: Sequence[str] = ("none",),
    accept_skew: bool = False,
    overwrite: bool = False,
    choices: Choices | None = None,
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
        choices: What is chosen on the out-of-fold predictions.

    Raises:
        InputError: For a run that is not finished, runs of different configurations, two runs of one fold, predictions
            that do not fit the folds or the weights, a prepared set that its own spec does not reproduce, and another
            bundle in `out`.
    """
    check_tta(tta)
    choices = choices or Choices()
    runs = read_runs(paths)
    config = common_config(runs)
    pictures, competition = _open_pictures(config, prepared, folds), create_competition(config.competition.name)
    oof, learned = join_oofs(runs, pictures.table), None
    for run in runs:
        _check_weights(run, pictures)
    if choices.select != "best":
        runs = choose(runs, choices.select, pictures)
        oof = join_oofs(runs, pictures.table)
    if choices.aggregation == LEARNED:
        oof, learned = _learn(competition, oof, pictures, choices.by)
    how = learned or choices.aggregation or config.competition.aggregation
    code = code_provenance()
    spec = BundleSpec(
        competition=config.competition.name,
        aggregation=LEARNED if learned else how,  # type: ignore[arg-type]
        threshold=fit_threshold(competition, oof, how, choices.threshold),
        members=tuple(run.member for run in runs),
        tta=tuple(tta),  # type: ignore[arg-type]
        priors=competition.priors(pictures.table),
        accepted_skew=_find_skew(pictures, data or Path(config.env.data), accept_skew),
        mlflow_run_ids=tuple(read_identity(run.folder.path).get("run_id", "") for run in runs),
        commit=code.commit,
        dirty=code.dirty,
        learned_aggregation=learned,
        detector=pictures.spec.detector,
    )
    return write_bundle(out, spec, config, oof, [run.weights for run in runs], overwrite, _detector_file(pictures))


def fit_threshold(competition: Competition, oof: pd.DataFrame, how: Rule, rule: str) -> Threshold:
    """The threshold of a rule (`choose_threshold`) per unit; the competition's own for `best`."""
    if rule == "best":
        return competition.fit_threshold(oof, how)
    units, target = competition.aggregate(oof, how), competition.targets[0]
    return choose_threshold(units[target.column], units[target.prediction], rule)


def _learn(
    competition: Competition, oof: pd.DataFrame, pictures: PreparedSet, by: str
) -> tuple[pd.DataFrame, LearnedAggregation]:
    """A learned aggregation, and the predictions with the column that it goes by; says what it is worth."""
    if by:
        if by not in pictures.table:
            raise InputError(f"--by {by}: the image table has {', '.join(map(str, pictures.table))}")
        oof[by] = oof["image_id"].map(pictures.table.set_index("image_id")[by])
    scores = compare_aggregations(competition, oof, by)[competition.monitor]
    found = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
    logger.info("%s, the learned one nested by fold: %s", competition.monitor, found)
    return oof, fit_aggregation(oof, [target.name for target in competition.targets], by)


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
    chosen = np.unique(np.linspace(0, len(run.oof) - 1, SAMPLE).astype(int)).tolist()
    rows, table = run.oof.iloc[chosen], prepared.table.set_index("image_id").loc[run.oof["image_id"]].reset_index()
    pictures = sample_pictures(
        table, run.config.model.views, chosen, lambda rows: read_pictures(prepared, table.iloc[rows])
    )
    found = Predictor([model], run.config.data.input, batch_size=SAMPLE).predict(pictures)[:, 0]  # (SAMPLE, T)
    worst = np.abs(found - rows[columns].to_numpy(np.float32)).max()
    if not worst <= LAW:
        raise InputError(
            f"{run.folder.weights} did not make {run.folder.oof}: a prediction differs by {worst:.2g}; these are not"
            " the weights that were scored, or the prepared pictures have changed"
        )


def _detector_file(prepared: PreparedSet) -> Path | None:
    """The detector of a prepared set, which goes along into the bundle; its content is compared there."""
    if prepared.finder is not None and not prepared.finder.path.is_file():
        raise InputError(f"{prepared.folder} lacks its detector, {prepared.finder.path.name}; prepare the data again")
    return prepared.finder.path if prepared.finder is not None else None


def _find_skew(prepared: PreparedSet, data: Path, accept: bool) -> str:
    """Empty where fresh pictures equal the prepared ones, else why they may differ, which was accepted."""
    if prepared.spec.boxes:
        reason = (
            "its regions came from a table of boxes, which a submission does not have: prepare with the detector"
            " itself, `rsna prepare boxes=FILE.onnx`"
        )
    elif not data.is_dir():
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
