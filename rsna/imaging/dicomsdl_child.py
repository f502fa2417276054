"""Decodes with dicomsdl in a process of its own: the library may abort the process on a damaged file.

Run by `decoders.py` as `python dicomsdl_child.py < file.dcm > pixels.npy`. Imports nothing of this package.
"""

from __future__ import annotations

import io
import os
import resource
import sys

MEMORY_LIMIT = 4 * 2**30  # bytes of address space


def main() -> None:
    """Read a DICOM file from standard input, write its stored values as .npy to standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints must not mix with the pixels
    import dicomsdl
    import numpy as np

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, resource.getrlimit(resource.RLIMIT_AS)[1]))
    dataset = dicomsdl.open_memory(sys.stdin.buffer.read())
    info = dataset.getPixelDataInfo()
    pixels = np.empty((info["Rows"], info["Cols"]), info["dtype"])
    dataset.copyFrameData(0, pixels)
    buffer = io.BytesIO()
    np.save(buffer, pixels)  # a pipe cannot seek, which np.save wants
    output.write(buffer.getbuffer())
    output.close()


if __name__ == "__main__":
    main()
