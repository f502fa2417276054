"""Probabilities from pictures: the same code makes the out-of-fold predictions and runs on Kaggle."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor, nn

from rsna import faults
from rsna.config import InputSpec
from rsna.data.dataset import normalise, to_input
from rsna.errors import InputError
from rsna.inference.engines import Engine
from rsna.inference.tta import TTA, check_tta
from rsna.models.activation import activation_of, to_probabilities

logger = logging.getLogger(__name__)

Image = np.ndarray | list[np.ndarray | None] | None
"""What a prediction is made of: a picture, or one per view, or None where it cannot be made."""
Images = list[Image]


class Predictor:
    """M models that turn a stream of prepared pictures into probabilities.

    Results depend bit by bit on what a batch is made of, so batches are planned: picture i is always slot
    ``i % batch_size`` of batch ``i // batch_size``, the last batch is padded to the full size, and the slot of an
    unusable picture stays black instead of being closed.

    Where the device has not enough memory for a batch, it is halved and tried again; where mixed precision gives no
    number, full precision is asked. Both are said in `notes`.

    Args:
        models: Each maps ``(B, V, C, H, W)`` to logits ``(B, T)``; V is their `views`, one where they do not say.
        input: What the models see of a picture.
        device: `auto` takes CUDA where there is one; else any name that torch knows.
        batch_size: Pictures per planned batch.
        tta: Names out of `TTA`; the probabilities are averaged over them.
        amp: Mixed precision. Faster on a GPU, and no longer equal to the out-of-fold predictions within 1e-4.
        chunk: Pictures per forward pass, where that is less than the batch.
        engine: All the models at once, in their order, within 1e-3 of them; asked in their place unless with `amp`.

    Raises:
        InputError: For an unknown device or augmentation, or a batch size below 1.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        input: InputSpec,
        device: str = "auto",
        batch_size: int = 16,
        tta: Sequence[str] = ("none",),
        amp: bool = False,
        chunk: int | None = None,
        engine: Engine | None = None,
    ) -> None:
        check_tta(tta)
        if batch_size < 1:
            raise InputError(f"the batch size must be at least 1, got {batch_size}")
        self.input = input
        self.device = choose_device(device)
        layout = torch.channels_last if self.device.type == "cpu" else torch.preserve_format  # a quarter faster there
        self.models = [model.to(self.device, memory_format=layout).eval() for model in models]  # type: ignore[call-overload]
        self.views = int(getattr(models[0], "views", 1)) if models else 1
        self.activation = activation_of(models[0]) if models else "sigmoid"
        self.batch_size = batch_size
        self.chunk = min(batch_size, chunk or batch_size)
        self.tta = tuple(tta)
        self.amp = amp
        self.engine = engine
        self.notes: list[str] = []

    def predict(self, images: Iterable[Image]) -> np.ndarray:
        """The probabilities ``(N, M, T)``, float32, of a whole stream; see `stream`."""
        batches = list(self.stream(images))
        return np.concatenate(batches) if batches else np.empty((0, len(self.models), 0), np.float32)

    def stream(
        self, images: Iterable[Image], numbers: Iterable[int] | None = None
    ) -> Generator[np.ndarray, None, None]:
        """Yield the probabilities ``(n, M, T)``, float32, of one planned batch after the other.

        The next batch is pulled while the models work on the one before.

        Args:
            images: Prepared pictures ``(height, width)``, 8 or 16 bit, or V of them where the models take several
                views, None for one that is not there; None alone for a row that becomes NaN. Pulled at most two batches
                ahead of what was yielded.
            numbers: Of the planned batches, where some are left out.
        """
        iterator, names = iter(images), iter(count() if numbers is None else numbers)
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(1, "models", torch.set_num_threads, (threads,)) as thread:
            busy: Future[np.ndarray] | None = None
            while batch := list(islice(iterator, self.batch_size)):
                following = thread.submit(self.batch, batch, next(names))
                if busy is not None:
                    yield busy.result()
                busy = following
            if busy is not None:
                yield busy.result()

    def batch(self, images: Images, number: int = 0) -> np.ndarray:
        """The probabilities ``(n, M, T)``, float32, of one planned batch of at most `batch_size` pictures."""
        probabilities = self._forward(self._collate(images), number)[: len(images)]
        probabilities[[image is None for image in images]] = np.nan
        return probabilities

    def _collate(self, images: Images) -> Tensor:
        """One full batch ``(B, V, C, H, W)``, float32; unusable and padded slots are zero."""
        shape = (self.batch_size, self.views, self.input.channels, self.input.height, self.input.width)
        batch = torch.zeros(shape)
        for slot, image in enumerate(images):
            for view, picture in enumerate(image if isinstance(image, list) else [image]):
                if picture is not None:
                    batch[slot, view] = normalise(to_input(picture, self.input), self.input)
        return batch

    @torch.inference_mode()
    def _forward(self, batch: Tensor, number: int) -> np.ndarray:
        """Probabilities ``(B, M, T)`` of a full batch, in as many parts as the device needs."""
        while True:
            try:
                return np.concatenate([self._part(part, number) for part in batch.split(self.chunk)])
            except torch.OutOfMemoryError:
                if self.chunk == 1:
                    raise
            self.chunk = (self.chunk + 1) // 2  # outside of the handler, which keeps what has filled the memory
            self._note(f"batch {number}: the device is out of memory; {self.chunk} images at a time from now on")
            torch.cuda.empty_cache()

    def _part(self, images: Tensor, number: int) -> np.ndarray:
        """Probabilities ``(b, M, T)`` of a part of a batch, in full precision where mixed precision fails."""
        if faults.at("cuda-oom", number) and self.chunk == self.batch_size:
            raise torch.OutOfMemoryError("a fault that was switched on")
        images = images.to(self.device)
        found = self._probabilities(images, self.amp)
        if self.amp and faults.at("nan-half", number):
            found = np.full_like(found, np.nan)
        if self.amp and not np.isfinite(found).all():
            self._note(f"batch {number}: mixed precision gives no number; made in full precision")
            found = self._probabilities(images, amp=False)
        return found

    def _probabilities(self, images: Tensor, amp: bool) -> np.ndarray:
        with full_precision(), torch.autocast(self.device.type, enabled=amp):
            logits = torch.stack([self._logits(TTA[name](images), amp) for name in self.tta])  # (A, B, M, T)
        faults.slow_down(len(self.models) * len(self.tta))
        return to_probabilities(logits, self.activation).mean(dim=0).cpu().numpy()  # (B, M, T)

    def _logits(self, images: Tensor, amp: bool) -> Tensor:
        """Logits ``(B, M, T)`` of all models."""
        if self.engine is not None and not amp:
            return self.engine(images)
        return torch.stack([model(images) for model in self.models], dim=1)

    def _note(self, text: str) -> None:
        logger.warning("%s", text)
        self.notes.append(text)


def full_precision() -> AbstractContextManager[None]:
    """No TensorFloat-32 in convolutions, PyTorch's default on recent GPUs, whose error reaches the third digit.

    The out-of-fold predictions of one GPU would not be those of another, nor of the CPU.
    """
    cudnn = torch.backends.cudnn
    return cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False)


def choose_device(name: str) -> torch.device:
    """The torch device of a name; `auto` is CUDA where there is one, else the CPU.

    Raises:
        InputError: For a name that torch does not know or a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device {name!r}; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name}: there is no CUDA here; use auto or cpu")
    return device
