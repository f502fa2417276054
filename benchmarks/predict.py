"""The whole of `rsna predict` against the same model fed by way A of `imaging.py`, both from nothing to a submission.

ResNet-18 with random weights on the CPU, 512x256, synthetic mammograms of half the real height and width (a quarter of
the decoding; the last run has real sizes). A few patients are made and repeated by links. A decodes in as
many processes, each writing and reading back its PNG; the model, its batches and the means over images are the same.
400 patients go through 2 workers and 100 through 1. Memory is that of all processes together, five times a second:
shared pages by their part (PSS), and `resident` where they count in each process (RSS). Bytes written are what the
kernel counts for all of them. Whether memory depends on the number of patients is asked with small images and 128x64.
The projection takes the processor time per image of files of the real size.

    python benchmarks/predict.py [--quick] [--json FILE] [--data DIR] [--patients N]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from harness import Row, options, report

from rsna.competitions import Threshold, create_competition
from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, InputSpec, ModelSpec
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference import BundleSpec, Member, prediction_table, write_bundle
from rsna.models import create_model, save_weights
from rsna.synthetic import BreastOptions, make_breast

HEIGHT, WIDTH = 512, 256
SMALL = 4  # times smaller is what the models see where only memory is asked for
PATIENTS, QUICK_PATIENTS = 400, 3
FEW, MANY, QUICK_MANY = 100, 2000, 10
REAL_PATIENTS = 30
MADE, QUICK_MADE = 12, 1  # patients that are really different
SCALE, QUICK_SCALE, FLAT_SCALE = 0.5, 0.12, 0.06
HIDDEN_IMAGES, KAGGLE_CORES, VCPU_FACTOR = 32_000, 4, 1.5  # half a core at 2 GHz against a core here, on the safe side
WAY_A = Path(__file__).with_name("predict_way_a.py")


@dataclass(frozen=True)
class Cost:
    """What a command has cost.

    Attributes:
        seconds: By the clock.
        processor: Seconds of all cores together.
        memory: The most at one time, shared pages counted once, MB.
        resident: The same, shared pages counted in each process.
        written: MB.
    """

    seconds: float
    processor: float
    memory: float
    resident: float
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


def make_bundle(folder: Path, height: int = HEIGHT, width: int = WIDTH) -> Path:
    """A bundle of one ResNet-18 with random weights."""
    data = DataSpec(ImagingSpec(height, width), InputSpec(height, width))
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
    priors: dict[str, dict[str, float | dict[str, float]]] = {"cancer": {"overall": 0.02}}
    spec = BundleSpec("breast", "mean", Threshold(0.5, 0.4, 0.6, 0.5), (member,), ("none",), priors)
    return write_bundle(folder, spec, config, oof, [weights]).folder


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        below = [int(c) for path in Path(f"/proc/{pid}/task").glob("*/children") for c in path.read_text().split()]
    except OSError:
        below = []
    return [pid] + [each for child in below for each in family(child)]


def memory(pid: int) -> np.ndarray:
    """The memory of a process in MB, what it shares counted by its part, and whole; 0 where it has just ended."""
    try:
        lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    except OSError:
        return np.zeros(2)
    found = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("Pss:", "Rss:")}
    return np.array([found.get("Pss:", 0.0), found.get("Rss:", 0.0)])


def measure(command: list[str]) -> Cost:
    """Run a command and say what it cost; its output is shown only where it fails."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), np.zeros(2)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        while process.poll() is None:
            peak = np.maximum(peak, sum(map(memory, family(process.pid)), np.zeros(2)))
            time.sleep(0.2)
        seconds = time.perf_counter() - start
        if process.returncode:
            said.seek(0)
            sys.exit(f"{command} failed: {said.read().decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = (after.ru_oublock - before.ru_oublock) * 512 / 1e6
    return Cost(seconds, processor, float(peak[0]), float(peak[1]), written)


def ours(bundle: Path, data: Path, out: Path, workers: int) -> Cost:
    """`rsna predict`."""
    command = ["predict", "--bundle", bundle, "--data", data, "--out", out, "--workers", workers, "--device", "cpu"]
    return measure([sys.executable, "-m", "rsna.cli.app", *map(str, command)])


def theirs(bundle: Path, data: Path, out: Path, workers: int) -> Cost:
    """The same model fed by A."""
    return measure([sys.executable, *map(str, (WAY_A, bundle, data, out, workers))])


def compare(bundle: Path, data: Path, out: Path, workers: int) -> tuple[list[Row], Cost]:
    """Both ways with some workers; also what ours has cost."""
    images, patients = count_images(data), len(list((data / "test_images").iterdir()))
    a, r = theirs(bundle, data, out, workers), ours(bundle, data, out, workers)
    rows, label = [], f"{workers} worker{'s' * (workers > 1)}, {patients} patients"
    for name, cost in (("A", a), ("rsna", r)):
        speed = images / cost.seconds
        rows += [
            Row(f"{label}, {name} wall", cost.seconds, "s", f"{label}, A wall", a.seconds / cost.seconds),
            Row(f"{label}, {name}", speed, "images/s", f"{label}, A", speed * a.seconds / images),
            Row(f"{label}, {name} memory", cost.memory, "MB", f"{label}, A memory", cost.memory / a.memory),
            Row(f"{label}, {name} resident", cost.resident, "MB", "2 GB", cost.resident / 2048),
            Row(f"{label}, {name} written", cost.written, "MB"),
        ]
    return rows, r


def flatness(patients: tuple[int, int], few: Cost, many: Cost) -> list[Row]:
    """The memory of few and of many patients."""
    name = f"memory of {patients[0]} patients"
    return [
        Row(name, few.memory, "MB", name, 1.0),
        Row(f"memory of {patients[1]} patients", many.memory, "MB", name, many.memory / few.memory),
    ]


def project(bundle: Path, data: Path, out: Path) -> list[Row]:
    """The hidden test on Kaggle's processor, from what these images take here."""
    cost, images = ours(bundle, data, out, 2), count_images(data)
    hours = HIDDEN_IMAGES * cost.processor / images / KAGGLE_CORES * VCPU_FACTOR / 3600
    return [
        Row("rsna, processor time of an image", 1000 * cost.processor / images, "ms"),
        Row("rsna, 32,000 images on 4 vCPU (projected)", hours, "h", "8.5 h", hours / 8.5),
    ]


def count_images(data: Path) -> int:
    """The rows of the test table."""
    return len(create_competition("breast").test_table(data))


def make(folder: Path, patients: int, scale: float) -> Path:
    """A synthetic competition, which is only made once."""
    made = folder / f"{patients}_{scale:g}"
    make_breast(made, BreastOptions(1, patients, scale=scale), workers=os.cpu_count() or 1)
    return made


def main() -> None:
    """Make the data, measure, print."""
    chosen = options(__doc__ or "", data="keep the made competitions in this folder", patients="how many (400)")
    quick = chosen.quick
    patients = int(chosen.patients or (QUICK_PATIENTS if quick else PATIENTS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept, out = Path(chosen.data) if chosen.data else folder / "made", folder / "s.csv"
        made = make(kept, QUICK_MADE if quick else MADE, QUICK_SCALE if quick else SCALE)
        bundle = make_bundle(folder / "bundle")
        rows, cost = compare(bundle, repeat(made, folder / "data", patients), out, 1 if quick else 2)
        if quick:
            many = ours(bundle, repeat(made, folder / "many", QUICK_MANY), out, 1)
            rows += flatness((patients, QUICK_MANY), cost, many)
        else:
            rows += compare(bundle, repeat(made, folder / "fewer", max(1, patients // 4)), out, 1)[0]
            small = make_bundle(folder / "small", HEIGHT // SMALL, WIDTH // SMALL)
            tiny = make(kept, MADE, FLAT_SCALE)
            counts = (max(1, FEW * patients // PATIENTS), max(1, MANY * patients // PATIENTS))
            rows += flatness(
                counts, *(ours(small, repeat(tiny, folder / f"flat_{count}", count), out, 2) for count in counts)
            )
            real = repeat(make(kept, QUICK_MADE, 1.0), folder / "real", max(1, REAL_PATIENTS * patients // PATIENTS))
            rows += project(bundle, real, out)
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
