"""The whole of `rsna predict` against the same model fed by way A of `imaging.py`, both from nothing to a submission.

ResNet-18 with random weights on the CPU, 512x256, synthetic mammograms in their real sizes. A few patients are made and
repeated by links. A decodes in as many processes, each writing and reading back its PNG; the model, its batches and
the means over images are the same. Memory is the proportional share (PSS) of all processes together, five times a
second; bytes written are what the kernel counts for all of them.

    python benchmarks/predict.py [--quick] [--json FILE] [--data DIR] [--patients N]
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from harness import Row, options, report

from rsna.competitions import Threshold, create_competition
from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, InputSpec, ModelSpec
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference import Bundle, BundleSpec, Member, Predictor, prediction_table, write_bundle
from rsna.models import create_model, save_weights
from rsna.synthetic import BreastOptions, make_breast

HEIGHT, WIDTH = 512, 256
PATIENTS, QUICK_PATIENTS = 400, 3
FLAT, QUICK_FLAT = (100, 2000), (10, 30)
MADE, QUICK_MADE = 16, 2  # patients that are really different
SCALE, QUICK_SCALE, FLAT_SCALE = 1.0, 0.25, 0.06
BATCH = 16
HIDDEN_IMAGES, KAGGLE_CORES, VCPU_FACTOR = 32_000, 4, 1.5  # half a core at 2 GHz against a core here, on the safe side
WAY_A = "--way-a"


@dataclass(frozen=True)
class Cost:
    """What a command has cost: seconds, the most memory at one time (MB), what it has written (MB)."""

    seconds: float
    memory: float
    written: float


def repeat(made: Path, folder: Path, patients: int) -> Path:
    """A test set of so many patients, whose images are links to those of the made ones."""
    raw = pd.read_csv(made / "hidden/test.csv", dtype=str)
    own = [rows for _, rows in raw.groupby("patient_id", sort=False)]
    parts = []
    for index in range(patients):
        rows = own[index % len(own)]
        renamed = rows.assign(patient_id=str(index), image_id=[f"{index}_{i}" for i in range(len(rows))])
        parts.append(renamed.assign(prediction_id=f"{index}_" + rows["laterality"]))
        target = folder / "test_images" / str(index)
        target.mkdir(parents=True)
        for old, new in zip(rows["image_id"], renamed["image_id"], strict=True):
            (target / f"{new}.dcm").symlink_to(
                made.absolute() / "hidden/test_images" / rows["patient_id"].iloc[0] / f"{old}.dcm"
            )
    table = pd.concat(parts)
    table.to_csv(folder / "test.csv", index=False)
    table[["prediction_id"]].drop_duplicates().assign(cancer=0.02).to_csv(folder / "sample_submission.csv", index=False)
    return folder


def make_bundle(folder: Path) -> Path:
    """A bundle of one ResNet-18 with random weights."""
    data = DataSpec(ImagingSpec(HEIGHT, WIDTH), InputSpec(HEIGHT, WIDTH))
    model = ModelSpec(backbone="resnet18", pretrained=False)
    config = TrainConfig(
        name="bench",
        competition=CompetitionSpec(),
        env=EnvSpec(data="data", prepared="prepared"),
        scheduler=SchedulerSpec("constant", "epoch"),
        data=data,
        model=model,
    )
    torch.manual_seed(0)
    weights = folder.parent / "weights.safetensors"
    save_weights(create_model(model, data.input, 1), weights)
    member = Member("fold_0.safetensors", "", 0, 0)
    rows = pd.DataFrame({"image_id": ["1"], "prediction_id": ["1_L"], "fold": [0], "target_cancer": [0.0]})
    oof = prediction_table(rows, np.full((1, 1, 1), 0.5, np.float32), [member], ["cancer"])
    priors = {"cancer": {"overall": 0.02}}
    spec = BundleSpec("breast", "mean", Threshold(0.5, 0.4, 0.6, 0.5), (member,), ("none",), priors)
    return write_bundle(folder, spec, config, oof, [weights]).folder


def run_way_a(bundle: Path, data: Path, out: Path, workers: int) -> None:
    """The same model fed by way A."""
    from imaging import way_a

    opened = Bundle.open(bundle)
    table = create_competition("breast").test_table(data)
    predictor = Predictor(opened.models(), opened.config.data.input, "cpu", BATCH)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=out.parent) as pngs, ProcessPoolExecutor(workers, context) as pool:
        decode = partial(_decode_a, way_a, Path(pngs))
        pictures = pool.map(decode, (data / path for path in table["path"]), chunksize=4)
        probabilities = predictor.predict(picture[..., 0] for picture in pictures)
    predictions = prediction_table(table, probabilities, opened.spec.members, ["cancer"])
    create_competition("breast").submission(predictions, "mean", None).to_csv(out, index=False)


def _decode_a(way_a: partial[np.ndarray], pngs: Path, path: Path) -> np.ndarray:
    folder = pngs / str(os.getpid())
    folder.mkdir(exist_ok=True)
    return way_a(path, HEIGHT, WIDTH, folder)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        below = [int(c) for path in Path(f"/proc/{pid}/task").glob("*/children") for c in path.read_text().split()]
    except OSError:
        below = []
    return [pid] + [each for child in below for each in family(child)]


def share(pid: int) -> float:
    """The memory of a process in MB, what it shares counted by its part; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def measure(command: list[str]) -> Cost:
    """Run a command and say what it cost; its output is shown only where it fails."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock, time.perf_counter(), 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        while process.poll() is None:
            peak = max(peak, sum(map(share, family(process.pid))))
            time.sleep(0.2)
        seconds = time.perf_counter() - start
        if process.returncode:
            said.seek(0)
            sys.exit(f"{command} failed: {said.read().decode()[-2000:]}")
    written = (resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - before) * 512 / 1e6
    return Cost(seconds, peak, written)


def ours(bundle: Path, data: Path, out: Path, workers: int) -> Cost:
    """`rsna predict`."""
    command = ["predict", "--bundle", bundle, "--data", data, "--out", out, "--workers", workers, "--device", "cpu"]
    return measure([sys.executable, "-m", "rsna.cli.app", *map(str, command)])


def theirs(bundle: Path, data: Path, out: Path, workers: int) -> Cost:
    """The same model fed by A."""
    return measure([sys.executable, __file__, WAY_A, str(bundle), str(data), str(out), str(workers)])


def compare(bundle: Path, data: Path, out: Path, tried: tuple[int, ...]) -> list[Row]:
    """Both with some numbers of workers; the projection is from the last one."""
    images = len(create_competition("breast").test_table(data))
    rows: list[Row] = []
    for workers in tried:
        a, r = theirs(bundle, data, out, workers), ours(bundle, data, out, workers)
        label = f"{workers} worker{'s' * (workers > 1)}"
        for name, cost in (("A", a), ("rsna", r)):
            speed = images / cost.seconds
            rows += [
                Row(f"{label} {name} wall", cost.seconds, "s", f"{label} A wall", a.seconds / cost.seconds),
                Row(f"{label} {name}", speed, "images/s", f"{label} A", speed * a.seconds / images),
                Row(f"{label} {name} memory", cost.memory, "MB", f"{label} A memory", cost.memory / a.memory),
                Row(f"{label} {name} written", cost.written, "MB"),
            ]
    hours = HIDDEN_IMAGES * r.seconds / images * workers / KAGGLE_CORES * VCPU_FACTOR / 3600
    return [*rows, Row("rsna, 32,000 images on 4 vCPU (projected)", hours, "h")]


def flatness(bundle: Path, made: Path, folder: Path, patients: tuple[int, int]) -> list[Row]:
    """The memory of few and of many patients."""
    few, many = (ours(bundle, repeat(made, folder / f"flat_{count}", count), folder / "s.csv", 2) for count in patients)
    name = f"memory of {patients[0]} patients"
    return [
        Row(name, few.memory, "MB", name, 1.0),
        Row(f"memory of {patients[1]} patients", many.memory, "MB", name, many.memory / few.memory),
    ]


def main() -> None:
    """Make the data, measure, print."""
    chosen = options(__doc__ or "", data="keep the made competitions in this folder", patients="how many (400)")
    quick = chosen.quick
    patients = int(chosen.patients or (QUICK_PATIENTS if quick else PATIENTS))
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        kept = Path(chosen.data) if chosen.data else temporary / "made"
        count, cores = QUICK_MADE if quick else MADE, os.cpu_count() or 1
        made = []
        for scale in (QUICK_SCALE if quick else SCALE, FLAT_SCALE):
            made.append(kept / f"{count}_{scale:g}")
            make_breast(made[-1], BreastOptions(1, count, scale=scale), workers=cores)
        bundle = make_bundle(temporary / "bundle")
        rows = compare(
            bundle, repeat(made[0], temporary / "data", patients), temporary / "s.csv", (2,) if quick else (1, 2)
        )
        rows += flatness(bundle, made[1], temporary, QUICK_FLAT if quick else FLAT)
    report(rows, chosen.json)


if __name__ == "__main__":
    if sys.argv[1:2] == [WAY_A]:
        run_way_a(*map(Path, sys.argv[2:5]), int(sys.argv[5]))
    else:
        main()
