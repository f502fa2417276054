"""What `rsna doctor --live` runs in a kernel: records what the session has, in `probe.json` of its output.

The text of this file is pushed as a script, so it imports the standard library only. Of the environment it takes the
names, never a value.
"""

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from typing import Any

INPUT, WORKING = "/kaggle/input", "/kaggle/working"
MARKER = "rsna-probe.json"
PLACES = (INPUT, WORKING, "/kaggle/temp", "/tmp", "/root", "/dev/shm")


def packages() -> dict[str, str]:
    """Version by name of every installed distribution."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        if distribution.metadata["Name"]:
            found.setdefault(distribution.metadata["Name"], distribution.version or "")
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def files() -> tuple[str, dict[str, int]]:
    """Where the data set of the probe is mounted, relative to the input, and the sizes of its files."""
    for folder, _, names in os.walk(INPUT, followlinks=True):
        if MARKER in names:
            paths = [
                os.path.join(place, name) for place, _, inner in os.walk(folder, followlinks=True) for name in inner
            ]
            sizes = {os.path.relpath(path, folder): os.path.getsize(path) for path in paths}
            return os.path.relpath(folder, INPUT), dict(sorted(sizes.items()))
    return "", {}


def places() -> dict[str, dict[str, int]]:
    """Size, free space in bytes, and whether it can be written to, of the places that a kernel uses."""
    found = {}
    for place in PLACES:
        if os.path.isdir(place):
            usage = shutil.disk_usage(place)
            found[place] = {"total": usage.total, "free": usage.free, "writable": os.access(place, os.W_OK)}
    return found


def mounts() -> list[str]:
    """Of those places, which are mounts, with file system and access; not where they come from."""
    with open("/proc/mounts", encoding="utf-8") as lines:
        fields = [line.split() for line in lines]
    shown = {field[1]: f"{field[2]} {field[3].split(',')[0]}" for field in fields if field[1].startswith(PLACES)}
    return sorted(f"{place} {kind}" for place, kind in shown.items())


def memory() -> int:
    """Bytes of memory, or of the control group's limit where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = file.read().strip()
            limits += [int(text)] if text.isdecimal() else []
    return min(limits)


def main() -> None:
    """Look at everything and write it down."""
    mounted, sizes = files()
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "packages": packages(),
        "mounted": mounted,
        "files": sizes,
        "places": places(),
        "mounts": mounts(),
        "memory": memory(),
        "cpus": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "environment": sorted(os.environ),
        "folder": os.getcwd(),
        "user": os.getuid(),
    }
    with open(os.path.join(WORKING, "probe.json"), "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
    print(len(found["packages"]), "packages,", len(sizes), "files in", mounted or "no folder")  # noqa: T201


if __name__ == "__main__":
    main()
