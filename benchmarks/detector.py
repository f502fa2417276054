"""What a detector in the decoding workers costs: time per image, and memory per worker, against thresholding.

python benchmarks/detector.py --detector net.onnx [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import cv2
from harness import Row, against, interleaved, options, report
from imaging import phantom, write_dicom
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from rsna.config import ImagingSpec
from rsna.imaging import DecodePool, RegionFinder, load_image

SIZES = {(3328, 2560): 12, (4096, 3328): 12, (4740, 3540): 14}  # bits
SPEC = ImagingSpec(1024, 512)


def resident(path: Path, finder: RegionFinder | None) -> float:
    """Load an image in a worker, and say what it holds in memory afterwards, in MB."""
    load_image(path, SPEC, finder=finder)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def memory(paths: list[Path], finder: RegionFinder | None) -> float:
    """The most that one worker holds after any of some images, MB."""
    from detector import resident as task  # a worker does not know the main module

    with DecodePool(partial(task, finder=finder), 1) as pool:
        return max(outcome.value for outcome in pool.map(paths))


def main() -> None:
    """Measure both syntaxes over the sizes."""
    chosen = options(__doc__ or "", detector="an ONNX file of `rsna detect export`, or a YOLOX network")
    finder = RegionFinder.of(chosen.detector)
    sizes = dict(list(SIZES.items())[:1]) if chosen.quick else SIZES
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        files = []
        for codec, syntax in (("j2k", JPEG2000Lossless), ("sv1", JPEGLosslessSV1)):
            paths = [Path(name) / f"{codec}-{size[0]}.dcm" for size in sizes]
            for path, (size, bits) in zip(paths, sizes.items(), strict=True):
                write_dicom(path, phantom(*size, bits), bits, syntax)
            ways = {
                way: lambda one=one, paths=paths: [load_image(path, SPEC, finder=one) for path in paths]
                for way, one in (("threshold", None), ("detector", finder))
            }
            ways["detector"]()  # opens it
            seconds = {way: s / len(paths) for way, s in interleaved(ways, 3 if chosen.quick else 9).items()}
            rows += against(seconds, "threshold", f"{codec} 1024x512 ")
            files += paths
        plain, more = memory(files, None), memory(files, finder)
    rows.append(Row("a worker's memory, threshold", plain, "MB"))
    rows.append(Row("a worker's memory, detector", more, "MB", "a worker's memory, threshold", more / plain))
    report(rows, chosen.json)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
