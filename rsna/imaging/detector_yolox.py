"""What a YOLOX network says (Ge et al., 2021), as its own export writes it: cells of three grids, not yet boxes."""

from __future__ import annotations

import numpy as np

from rsna.errors import InputError
from rsna.imaging.detector import SIZE

STRIDES = (8, 16, 32)
LARGEST_OFFSET = 64.0  # cells or exponents; what is beyond it has been decoded already


def grid_cells() -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows (P, 2) of all cells, stride by stride and row by row, and their strides (P, 1)."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: SIZE // stride, : SIZE // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((columns.size, 1), stride))
    return np.concatenate(cells).astype(np.float64), np.concatenate(strides).astype(np.float64)


def decode_yolox(output: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode the output of one picture.

    Args:
        output: (P, 5 + classes): offset of the centre in cells (x, y), logarithm of the size in cells (w, h), the
            probabilities of an object and of each class.
        where: How errors name the network.

    Returns:
        Boxes (P, 4) as left, top, right, bottom in pixels; scores (P,): object times the best class.

    Raises:
        InputError: For another number of cells, and for what has been decoded already.
    """
    cells, strides = grid_cells()
    if output.ndim != 2 or len(output) != len(cells) or output.shape[1] < 6:
        raise InputError(
            f"{where} gives {output.shape}; a YOLOX network of {SIZE} pixels gives ({len(cells)}, 5 + classes)"
        )
    values = output.astype(np.float64)
    if np.abs(values[:, :4]).max() > LARGEST_OFFSET:
        raise InputError(f"{where} decodes its boxes itself; export it without --decode_in_inference")
    centres, sizes = (values[:, :2] + cells) * strides, np.exp(values[:, 2:4]) * strides
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    return boxes.astype(np.float32), (values[:, 4] * values[:, 5:].max(axis=1)).astype(np.float32)
