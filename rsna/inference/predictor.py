"""Probabilities from pictures: the same code makes the out-of-fold predictions and runs on Kaggle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from rsna.config import InputSpec
from rsna.data.dataset import normalise, to_input
from rsna.errors import InputError

TTA: dict[str, Callable[[Tensor], Tensor]] = {  # each maps (..., H, W) to the same shape
    "none": lambda images: images,
    "hflip": lambda images: images.flip(-1),
    "vflip": lambda images: images.flip(-2),
}


class Predictor:
    """M models that turn a stream of prepared pictures into probabilities.

    Results depend bit by bit on what a batch is made of, so batches are planned: picture i is always slot
    ``i % batch_size`` of batch ``i // batch_size``, the last batch is padded to the full size, and the slot of an
    unusable picture stays black instead of being closed.

    Args:
        models: Each maps ``(B, V, C, H, W)`` to logits ``(B, T)``.
        input: What the models see of a picture.
        device: `auto` takes CUDA where there is one; else any name that torch knows.
        batch_size: Pictures per forward pass.
        tta: Names out of `TTA`; the probabilities are averaged over them.
        amp: Mixed precision. Faster on a GPU, and no longer equal to the out-of-fold predictions within 1e-4.

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
    ) -> None:
        check_tta(tta)
        if batch_size < 1:
            raise InputError(f"the batch size must be at least 1, got {batch_size}")
        self.input = input
        self.device = choose_device(device)
        self.models = [model.to(self.device).eval() for model in models]
        self.batch_size = batch_size
        self.tta = tuple(tta)
        self.amp = amp

    def predict(self, images: Iterable[np.ndarray | None]) -> np.ndarray:
        """The probabilities ``(N, M, T)``, float32, of a whole stream; see `stream`."""
        batches = list(self.stream(images))
        return np.concatenate(batches) if batches else np.empty((0, len(self.models), 0), np.float32)

    def stream(self, images: Iterable[np.ndarray | None]) -> Iterator[np.ndarray]:
        """Yield the probabilities ``(n, M, T)``, float32, of one planned batch after the other.

        Args:
            images: Prepared pictures ``(height, width)``, 8 or 16 bit; None for one that cannot be used, whose row
                becomes NaN. Pulled one batch at a time.
        """
        iterator = iter(images)
        while batch := list(islice(iterator, self.batch_size)):
            probabilities = self._forward(self._collate(batch))[: len(batch)]
            probabilities[[image is None for image in batch]] = np.nan
            yield probabilities

    def _collate(self, images: list[np.ndarray | None]) -> Tensor:
        """One full batch ``(B, 1, C, H, W)``, float32; unusable and padded slots are zero."""
        shape = (self.batch_size, 1, self.input.channels, self.input.height, self.input.width)
        batch = torch.zeros(shape)
        for slot, image in enumerate(images):
            if image is not None:
                batch[slot, 0] = normalise(to_input(image, self.input), self.input)
        return batch.to(self.device)

    @torch.inference_mode()
    def _forward(self, batch: Tensor) -> np.ndarray:
        with full_precision(), torch.autocast(self.device.type, enabled=self.amp):
            logits = [torch.stack([model(TTA[name](batch)) for name in self.tta]) for model in self.models]
        probabilities = torch.stack(logits).float().sigmoid().mean(dim=1)  # (M, A, B, T) -> (M, B, T)
        return probabilities.transpose(0, 1).cpu().numpy()  # (B, M, T)


def check_tta(names: Sequence[str]) -> None:
    """Raise `InputError` unless there is at least one test-time augmentation, and all are known."""
    if not names or not set(names) <= set(TTA):
        raise InputError(f"tta: {', '.join(names) or 'nothing'} must be one or more of {', '.join(TTA)}")


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
