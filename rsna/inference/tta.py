"""Test-time augmentations as torch operations, on whatever device the batch lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import interpolate

from rsna.errors import InputError

Operation = Callable[[Tensor], Tensor]

SHIFT = 0.05  # of the side


def scale(factor: float) -> Operation:
    """Shrink or enlarge about the middle, cut or filled up to the size that it had."""

    def operation(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        size = max(1, round(height * factor)), max(1, round(width * factor))
        flat = images.reshape(1, -1, height, width)
        scaled = interpolate(flat, size, mode="bilinear", align_corners=False, antialias=True)
        scaled = scaled.reshape(*images.shape[:-2], *size)
        return _place(scaled, images, (height - size[0]) // 2, (width - size[1]) // 2)

    return operation


def shift(down: float, right: float) -> Operation:
    """Move by parts of the height and the width; what comes in is black."""
    return lambda images: _place(images, images, round(down * images.shape[-2]), round(right * images.shape[-1]))


def _place(part: Tensor, images: Tensor, top: int, left: int) -> Tensor:
    """`part` (..., h, w) with its corner at (top, left) of a canvas like `images` (..., H, W), cut to its edges.

    The canvas has each picture's lowest value, which is black however pictures are normalised. An absent view, zero
    everywhere, stays absent.
    """
    canvas = images.amin((-2, -1), keepdim=True).expand_as(images).clone()
    bottom, right = min(images.shape[-2], top + part.shape[-2]), min(images.shape[-1], left + part.shape[-1])
    y, x = max(0, top), max(0, left)
    canvas[..., y:bottom, x:right] = part[..., y - top : bottom - top, x - left : right - left]
    return canvas


TTA: dict[str, Operation] = {  # each maps (..., H, W) to the same shape
    "none": lambda images: images,
    "hflip": lambda images: images.flip(-1),
    "vflip": lambda images: images.flip(-2),
    "hvflip": lambda images: images.flip(-2, -1),
    "scale_90": scale(0.9),
    "scale_110": scale(1.1),
    "shift_up": shift(-SHIFT, 0),
    "shift_down": shift(SHIFT, 0),
    "shift_left": shift(0, -SHIFT),
    "shift_right": shift(0, SHIFT),
}


def check_tta(names: Sequence[str]) -> None:
    """Raise `InputError` unless there is at least one test-time augmentation, and all are known."""
    if not names or not set(names) <= set(TTA):
        raise InputError(f"tta: {', '.join(names) or 'nothing'} must be one or more of {', '.join(TTA)}")
