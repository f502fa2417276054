"""The training loop against the bare forward and backward pass of the same model, and against timm's own parts.

ResNet-18 on grey pictures of 512x256, batches of 8, default workers, no pretrained weights. The ways take turns step
by step in one process, so that a slow moment of the machine hits all alike; the ratio is the median over the turns.
Seconds on the clock tell what a user waits for, seconds of the processor what was computed, whoever else was busy.

    python benchmarks/train_loop.py [--quick] [--json FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import numpy as np
import pandas as pd
import timm
import timm.data
import timm.optim
import torch
from harness import Row, options, report
from lightning.pytorch.callbacks import Callback
from timm.utils import AverageMeter

from rsna.config import ImagingSpec
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.data import PreparedSpec
from rsna.imaging import write_png
from rsna.tables import write_csv, write_parquet
from rsna.training.callbacks import LearningRates, Seeds
from rsna.training.fit import create_trainer, quiet
from rsna.training.history import History
from rsna.training.loaders import FoldData
from rsna.training.run import build_module
from rsna.training.schedule import create_schedule
from rsna.training.split import load_split

HEIGHT, WIDTH, BATCH = 512, 256, 8
IMAGES = 96  # of which a third validates
MEAN, STD = 0.485, 0.229


def make_pictures(folder: Path) -> None:
    """A prepared set of breast-like pictures, in one folder per class, as timm wants them."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = (x / (0.7 * WIDTH)) ** 2 + ((y - HEIGHT / 2) / (0.45 * HEIGHT)) ** 2 < 1
    rows = []
    for index in range(IMAGES):
        texture = cv2.GaussianBlur(draw.normal(128, 60, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 1.5)
        positive, path = index % 4 == 0, f"images/{int(index % 4 == 0)}/{index}.png"
        write_png(folder / path, np.where(inside, texture, 0).clip(0, 255).astype(np.uint8))
        rows.append((str(index), f"p{index}", f"p{index}_L", path, np.float32(positive), index % 3))
    table = pd.DataFrame(rows, columns=["image_id", "group_id", "prediction_id", "path", "target_cancer", "fold"])
    PreparedSpec("breast", ImagingSpec(height=HEIGHT, width=WIDTH), len(table), "0" * 64).write(folder)
    write_parquet(folder / "table.parquet", table.drop(columns="fold").astype({"target_cancer": np.float32}))
    write_csv(folder / "folds.csv", table[["image_id", "fold"]])


def make_config(folder: Path, *overrides: str) -> TrainConfig:
    """The default training of the set, with its default augmentation."""
    size = f"{{height: {HEIGHT}, width: {WIDTH}}}"
    own = [f"data.imaging={size}", f"data.input={size}", f"trainer.batch_size={BATCH}", f"env.prepared={folder}"]
    fixed = ["model.pretrained=false", "tracking=none", f"env.runs={folder / 'runs'}", "trainer.accelerator=cpu"]
    return compose(TrainConfig, "train", [*own, *fixed, *overrides])


class Turns(Callback):
    """Lets the other ways make a step after each of ours, and keeps the seconds of all: on the clock, of the processor.

    Args:
        others: One step of each.
        unsteady: Turns at the start that do not count.
    """

    def __init__(self, others: dict[str, Callable[[], object]], unsteady: int) -> None:
        self.others, self.unsteady = others, unsteady
        self.seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ("rsna", *others)}

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Our first step has no predecessor, at whose end its clock would have started."""
        if batch_idx == 0 and trainer.current_epoch == 0:
            self._start = now()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Our turn ends here, and the next one starts as soon as the others had theirs."""
        self._note("rsna")
        for name, step in self.others.items():
            self._start = now()
            step()
            self._note(name)
        self._start = now()

    def _note(self, name: str) -> None:
        end = now()
        self.seconds[name].append((end[0] - self._start[0], end[1] - self._start[1]))

    def rows(self, kind: int, unit: str) -> list[Row]:
        """Milliseconds a step, and how fast the bare passes would be if a way took as long as they do."""
        counted = {name: [turn[kind] for turn in turns[self.unsteady :]] for name, turns in self.seconds.items()}
        ratios = {
            name: statistics.median(b / own for b, own in zip(counted["forward and backward"], turns, strict=True))
            for name, turns in counted.items()
        }
        return [
            Row(
                f"step, {name} ({unit})",
                round(1e3 * statistics.median(turns), 1),
                "ms",
                "forward and backward",
                round(ratios[name], 3),
            )
            for name, turns in counted.items()
        ]


def now() -> tuple[float, float]:
    """Seconds on the clock, and of the processor in all threads."""
    return time.perf_counter(), time.process_time()


def bare_step(config: TrainConfig, split: Any) -> Callable[[], object]:
    """Forward and backward of the same model on random tensors."""
    module = build_module(config, split)
    images = torch.randn(BATCH, 1, 1, HEIGHT, WIDTH)
    targets = torch.randint(2, (BATCH, 1)).float()

    def step() -> None:
        module.model.zero_grad()
        module.loss(module.model(images), targets).backward()

    return step


def timm_loader(folder: Path) -> Any:
    """timm's loader of the same pictures, without augmentation, converted batch by batch."""
    dataset = timm.data.create_dataset("", root=str(folder / "images"), input_img_mode="L")
    size, device = (1, HEIGHT, WIDTH), torch.device("cpu")
    own = {"no_aug": True, "mean": (MEAN,), "std": (STD,), "num_workers": 0, "device": device, "pin_memory": False}
    return timm.data.create_loader(dataset, size, BATCH, is_training=True, **own)


def timm_step(folder: Path) -> Callable[[], object]:
    """One step of the parts of timm's own training script."""
    model = timm.create_model("resnet18", in_chans=1, num_classes=1).train()
    optimizer = timm.optim.create_optimizer_v2(model, opt="adamw", lr=3e-4, weight_decay=0.01)
    loss, losses = torch.nn.BCEWithLogitsLoss(), AverageMeter()
    batches = forever(timm_loader(folder))

    def step() -> None:
        images, targets = next(batches)
        value = loss(model(images), targets.float()[:, None])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.update(value.item(), images.shape[0])

    return step


def forever(loader: Any) -> Iterator[Any]:
    """Epoch after epoch."""
    while True:
        yield from loader


def measure_loop(folder: Path, turns: int, unsteady: int) -> list[Row]:
    """The rows of the training loops."""
    epochs = -(-(turns + unsteady) // (IMAGES * 2 // 3 // BATCH))
    config = make_config(folder, f"trainer.epochs={epochs}")
    split = load_split(config, 0)
    data, history = FoldData(config, split), History(split.competition.monitor, split.competition.monitor_mode)
    schedule = create_schedule(config.scheduler, epochs, data.steps)
    others = {"forward and backward": bare_step(config, split), "timm": timm_step(folder)}
    clock = Turns(others, unsteady)
    callbacks = [Seeds(config.seed, 0), LearningRates(schedule, history), clock]
    limits = {"max_steps": turns + unsteady, "limit_val_batches": 0, "enable_checkpointing": False}
    with quiet():
        trainer = create_trainer(config, folder, callbacks, **limits)
        trainer.fit(build_module(config, split), datamodule=data)
    return clock.rows(0, "clock") + clock.rows(1, "processor")


def measure_loaders(folder: Path, rounds: int) -> list[Row]:
    """Images per second of one core, the loaders taking turns."""
    torch.set_num_threads(1)
    loaders = {"timm, no augmentation": timm_loader(folder)}
    for name in ("none", "light", "medium"):
        config = make_config(folder, f"augmentation={name}", "env.workers=0")
        data = FoldData(config, load_split(config, 0))
        data.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        loaders[f"rsna, {name}"] = data.train_dataloader()
    seconds: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, loader in loaders.items():
            start = time.process_time()
            count = sum(len(batch["target"] if isinstance(batch, dict) else batch[1]) for batch in islice(loader, 8))
            seconds[name].append((time.process_time() - start) / count)
    speeds = {name: 1 / statistics.median(values) for name, values in seconds.items()}
    baseline = "timm, no augmentation"
    return [
        Row(f"loader, {name}", round(speed, 1), "images/s", baseline, round(speed / speeds[baseline], 3))
        for name, speed in speeds.items()
    ]


def main() -> None:
    """Measure loops and loaders."""
    chosen = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as name, quiet():
        folder = Path(name)
        make_pictures(folder)
        rows = measure_loop(folder, *((4, 1) if chosen.quick else (24, 3)))
        rows += measure_loaders(folder, 3 if chosen.quick else 15)
    report(rows, chosen.json)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
