"""The submit kernel: refuses what it was not pushed for, checks itself on training images, predicts the hidden ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsna.errors import InputError, RsnaError
from rsna.inference.ensemble import ENSEMBLE_FILE, Ensemble, is_ensemble
from rsna.inference.options import PredictOptions, is_rerun
from rsna.inference.predict_ensemble import predict_ensemble
from rsna.inference.schema import SPEC_FILE, read_spec
from rsna.inference.supervise import predict_supervised
from rsna.io import write_json
from rsna.kernel.bootstrap import INPUT, WORKING, find_mounts
from rsna.log import setup_logging

logger = logging.getLogger(__name__)

SUBMISSION_FILE = "submission.csv"
CHECK_FILE = "check_report.json"
SAMPLE_FILE = "sample_submission.csv"
PATIENTS = 200  # for the check: a quarter of an hour of decoding at most


def main(
    pushed: Mapping[str, Any],
    build: Mapping[str, Any],
    root: Path = INPUT,
    out: Path = WORKING,
    options: PredictOptions | None = None,
) -> dict[str, Any]:
    """Write `submission.csv` from what is mounted.

    In a visible run, training patients are first predicted with the member that has not seen them and compared with
    the bundle's out-of-fold predictions, and the time that the hidden test will take is estimated. In a scoring rerun
    there is nobody to read that, and every minute counts; nor is torch loaded then, but by the process that predicts.

    Args:
        pushed: What the push wrote into the notebook: the digests of `code` and `bundle`.
        build: The `_build.json` of the code that runs.
        root: Where data sets and competition are mounted.
        out: Where the output goes.
        options: Where and how fast; by default the GPU where there is one, and every core.

    Returns:
        The report of the prediction.

    Raises:
        InputError: For code or a bundle that is not the pushed one, or nothing mounted.
        RsnaError: Where the bundle's out-of-fold predictions are not reproduced, or too many images cannot be used.
    """
    setup_logging()
    check_code(pushed, build)
    bundle, data = find_bundle(pushed, root), find_competition(root)
    options = options or PredictOptions()
    if is_ensemble(bundle):
        return _predict_ensemble(Ensemble.open(bundle, pushed["bundle"]), data, out, options)
    spec = read_spec(bundle)
    code = f"{build['commit'][:12]}{'-dirty' * bool(build.get('dirty'))}"
    logger.info("code %s, content %s", code, build["content_hash"][:12])
    logger.info("bundle %s, collected by %s: %d members", spec.digest, spec.commit[:12] or "nobody", len(spec.members))
    logger.info("threshold %.6g on the %s of a unit's images", spec.threshold.value, spec.aggregation)
    if not is_rerun():
        check_itself(bundle, data, out, options)
    report = predict_supervised(bundle, data, out / SUBMISSION_FILE, options=options, digest=spec.digest)
    logger.info("%s: %d units from %d images", out / SUBMISSION_FILE, report["units"], report["images"])
    return report


def _predict_ensemble(ensemble: Ensemble, data: Path, out: Path, options: PredictOptions) -> dict[str, Any]:
    """As `main`, with every bundle of an ensemble."""
    spec = ensemble.spec
    logger.info("ensemble %s of %d bundles, by %s", spec.digest, len(spec.parts), spec.by)
    for part in spec.parts:
        if not is_rerun():
            check_itself(ensemble.folder / part.folder, data, out, options)
    return predict_ensemble(ensemble, data, out / SUBMISSION_FILE, options=options)


def check_code(pushed: Mapping[str, Any], build: Mapping[str, Any]) -> None:
    """Refuse code that is not what the push said; unlike other kernels, this one must have been told."""
    expected, found = pushed.get("code", ""), build["content_hash"]
    if not expected:
        raise InputError("this notebook was not told which code to run; push it with `rsna kaggle run submit`")
    if expected != found:
        raise InputError(f"the code is {found[:12]}, this notebook was pushed for {expected[:12]}; push it again")


def find_bundle(pushed: Mapping[str, Any], root: Path) -> Path:
    """The folder of the mounted bundle, or ensemble, with the digest that the push wrote into the notebook.

    Raises:
        InputError: Where no digest was written, no bundle is mounted, or only others are.
    """
    expected = pushed.get("bundle", "")
    if not expected:
        raise InputError("this notebook was not told which bundle to submit; push it with `rsna kaggle run submit`")
    digests = {folder: read_spec(folder).digest for folder in find_mounts(SPEC_FILE, root)}
    digests |= {folder: Ensemble.open(folder).spec.digest for folder in find_mounts(ENSEMBLE_FILE, root)}
    if not digests:
        raise InputError(f"no {SPEC_FILE} below {root}: is the data set of the model attached, and was it ready?")
    fitting = [folder for folder, digest in digests.items() if digest == expected]
    if not fitting:
        mounted = ", ".join(digest[:12] for digest in digests.values())
        raise InputError(f"the mounted bundle is {mounted}, this notebook was pushed for {expected[:12]}; push again")
    return fitting[0]


def find_competition(root: Path) -> Path:
    """The mounted competition."""
    found = find_mounts(SAMPLE_FILE, root)
    if not found:
        raise InputError(f"no {SAMPLE_FILE} below {root}: attach the competition, and accept its rules in the browser")
    return found[0]


def check_itself(folder: Path, data: Path, out: Path, options: PredictOptions) -> None:
    """Compare with the bundle's out-of-fold predictions, and say how long the hidden test will take.

    Raises:
        RsnaError: Where they differ. A bundle whose skew was accepted when it was collected is only warned of.
    """
    from rsna.inference.bundle import Bundle
    from rsna.inference.oof import check_oof, predict_oof
    from rsna.inference.speed import Speed, forward_seconds

    bundle = Bundle.open(folder)
    start = time.perf_counter()
    predictions = predict_oof(bundle, data, options=options, patients=PATIENTS)
    seconds = time.perf_counter() - start
    paths = bundle.competition.train_table(data).set_index("image_id").loc[predictions["image_id"], "path"]
    size = sum((data / path).stat().st_size for path in paths)
    passes = len(bundle.spec.members) * len(options.tta or bundle.spec.tta)
    speed = Speed(len(predictions), size, seconds, passes, forward_seconds(bundle, options))
    write_json(out / CHECK_FILE, speed.report())
    logger.info("%s", speed.measured)
    logger.log(logging.WARNING if speed.too_slow else logging.INFO, "%s", speed.forecast)
    try:
        distance = check_oof(bundle, predictions)
    except RsnaError as error:
        if not bundle.spec.accepted_skew:
            raise
        logger.warning("%s; taken, since skew was accepted: %s", error, bundle.spec.accepted_skew)
    else:
        logger.info("%d out-of-fold predictions reproduced, at most %.1e apart", len(predictions), distance)
