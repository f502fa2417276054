"""Area averages of 16-bit pictures, compiled by numba: OpenCV's INTER_AREA to within rounding, in half its time.

The rows are added up first, many pixels at a time; what is left is a fraction of the picture.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def average(data: np.ndarray, stride: int, height: int, width: int, out: np.ndarray) -> None:
    """Shrink a picture to `out`, (rows, columns) uint16, no larger than it.

    Indices are not checked, which would take most of the time: `(height - 1) * stride + width` pixels are read.

    Args:
        data: The picture's pixels, (N,) uint16.
        stride: Pixels from row to row.
        height: Its rows.
        width: Its columns.
        out: The result.
    """
    rows, columns = out.shape
    tall, wide, scale = height / rows, width / columns, np.float32(rows * columns / (height * width))
    first, part = np.empty(columns + 1, np.int64), np.empty(columns + 1, np.float32)
    for j in range(columns):
        first[j] = int(j * wide)
        part[j] = np.float32(j * wide - first[j])
    first[columns], part[columns] = width, 0
    line = np.zeros(width + 1, np.float32)
    for i in range(rows):
        line[:] = 0
        low, high = i * tall, height if i == rows - 1 else (i + 1) * tall
        for y in range(int(low), min(height, int(high) + 1)):
            weight = np.float32(min(high, y + 1) - max(low, y))
            row = data[y * stride : y * stride + width]
            for x in range(len(row)):
                line[x] += weight * np.float32(row[x])
        for j in range(columns):
            total = (np.float32(1) - part[j]) * line[first[j]] + part[j + 1] * line[first[j + 1]]
            for x in range(first[j] + 1, first[j + 1]):
                total += line[x]
            out[i, j] = np.uint16(total * scale + np.float32(0.5))


def warm_up() -> None:
    """Compile for the types that are used."""
    average(np.frombuffer(bytes(2), np.uint16), 1, 1, 1, np.empty((1, 1), np.uint16))
