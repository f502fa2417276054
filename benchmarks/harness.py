"""What every benchmark shares: options, interleaved timing, and rows that name the baseline they are divided by."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure: a value with its unit, and how it compares with a baseline of the same run."""

    name: str
    value: float
    unit: str
    baseline: str = ""
    ratio: float | None = None


def options(description: str, **more: str) -> argparse.Namespace:
    """The options of every benchmark: `--quick` (under 45 s) and `--json FILE`; `more` has own ones with their help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and sizes, under 45 s")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    for name, text in more.items():
        parser.add_argument(f"--{name}", default="", help=text)
    return parser.parse_args()


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, measured in turns so that a slow moment of the machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways) if turn % 2 == 0 else reversed(list(ways)):
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def against(seconds: Mapping[str, float], baseline: str, prefix: str = "", scale: float = 1e3) -> list[Row]:
    """Rows in milliseconds; the ratio says how many times faster than the baseline a way is."""
    return [
        Row(
            f"{prefix}{name}", round(value * scale, 3), "ms", f"{prefix}{baseline}", round(seconds[baseline] / value, 3)
        )
        for name, value in seconds.items()
    ]


def machine() -> str:
    """The machine in one line."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def report(rows: list[Row], path: Path | None) -> None:
    """Print the rows as a table and write them as JSON where asked."""
    print(machine())
    for row in rows:
        ratio = f"{row.ratio:8.2f} x {row.baseline}" if row.ratio is not None else ""
        print(f"{row.name:<44} {row.value:12.3f} {row.unit:<8} {ratio}")
    if path:
        path.write_text(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
