"""The machine: Python and packages, sandbox, processor, accelerator, memory, disk."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rsna.kernel.requirements import installed_packages, unmet
from rsna.workflows.doctor import Finding

GB = 10**9
DISK_GB = 20.0  # prepared pictures of the whole competition at 1024x512, and some runs
MEMORY_GB = 8.0
SHARED_MB = 512.0
GPU_SECONDS = 120.0
GPU_QUESTION = """
import json, torch
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
known = torch.cuda.get_arch_list()
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "known": known, "gpus": [
    {"name": gpu.name, "memory": gpu.total_memory, "arch": f"sm_{gpu.major}{gpu.minor}"} for gpu in gpus]}))
"""


def look_at_packages() -> Iterator[Finding]:
    """The interpreter, and whether what `setup.py` declares is installed."""
    old = "Python 3.11 or newer is needed" if sys.version_info < (3, 11) else ""
    yield Finding("python", "interpreter", f"{platform.python_version()}, {sys.executable}", old, essential=True)
    try:
        declared = importlib.metadata.requires("rsna") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("python", "packages", "rsna is not installed", "`pip install -e .` in the checkout")
        return
    installed = installed_packages()
    plain = [requirement for requirement in declared if "extra ==" not in requirement]
    problems = [reason for requirement in plain if (reason := unmet(requirement.split(";")[0], installed))]
    remedy = f"{'; '.join(problems)}: `pip install -e .` in the checkout" if problems else ""
    yield Finding("python", "packages", f"{len(plain)} required, {len(problems)} unmet", remedy, essential=True)
    yield _extra("kaggle", ("kaggle", "six", "uvicorn", "papermill"), installed, "Kaggle, real or local")
    yield _extra("gcs", ("google-cloud-storage",), installed, "runs on Cloud Storage")


def _extra(name: str, packages: tuple[str, ...], installed: dict[str, str], use: str) -> Finding:
    absent = [package for package in packages if package not in installed]
    text = f"{use}: {', '.join(f'{package} {installed[package]}' for package in packages if package in installed)}"
    remedy = f"not installed: {', '.join(absent)}; `pip install -e .[{name}]`" if absent else ""
    return Finding("python", f"extra {name}", text, remedy)


def look_at_sandbox() -> Iterator[Finding]:
    """What the local Kaggle can do here."""
    try:
        from rsna.local_kaggle.probe import probe
    except ImportError as error:
        yield Finding("sandbox", "local Kaggle", f"not installed ({error})", "`pip install -e .[kaggle]`")
        return
    from rsna.local_kaggle.profile import load_profile

    for finding in probe(load_profile()):
        # other versions than in Kaggle's image are a fact to know, not a lack to remedy
        remedy = "" if finding.good or finding.name != "sandbox" else finding.text
        yield Finding("sandbox", finding.name, "none" if remedy else finding.text, remedy)


def look_at_machine() -> Iterator[Finding]:
    """Processor, accelerator, memory, shared memory, disk."""
    yield Finding("machine", "processor", f"{processor()}, {cores()} cores to use")
    yield _accelerator()
    memory = memory_bytes()
    small = "training at 1024x512 and the sandbox want more; use smaller pictures and fewer workers"
    yield Finding("machine", "memory", f"{memory / GB:.0f} GB", small if memory < MEMORY_GB * GB else "")
    yield _shared_memory()
    free = shutil.disk_usage(Path.cwd()).free
    full = f"prepared pictures and runs want {DISK_GB:.0f} GB; prepare on Kaggle, or set env.prepared to another disk"
    yield Finding("machine", "disk", f"{free / GB:.0f} GB free below {Path.cwd()}", full if free < DISK_GB * GB else "")


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or less by the limit of its control group."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text(encoding="utf-8").strip() if Path(path).exists() else ""
        limits += [int(text)] if text.isdecimal() else []
    return min(limits)


def _shared_memory() -> Finding:
    if not Path("/dev/shm").is_dir():
        return Finding("machine", "/dev/shm", "none", "DataLoader workers need it; set env.workers=0")
    megabytes = shutil.disk_usage("/dev/shm").total / 1e6
    small = "DataLoader workers may die of a bus error: `docker run --shm-size 2g`, or env.workers=0"
    return Finding("machine", "/dev/shm", f"{megabytes:.0f} MB", small if megabytes < SHARED_MB else "")


def _accelerator() -> Finding:
    """Asked in a process of its own: a broken driver hangs or aborts."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", GPU_QUESTION], capture_output=True, text=True, timeout=GPU_SECONDS, check=True
        )
        found = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        return Finding("machine", "torch", "cannot be loaded", f"reinstall torch: {error}", essential=True)
    if not found["gpus"]:
        remedy = "training is slow here: `rsna kaggle run train` trains on Kaggle's GPU"
        if shutil.which("nvidia-smi"):
            remedy = f"there is a driver, but torch (CUDA {found['cuda']}) sees no GPU; install a torch that fits"
        return Finding("machine", "GPU", f"none (torch {found['torch']})", remedy)
    names = ", ".join(f"{gpu['name']} {gpu['memory'] / GB:.0f} GB ({gpu['arch']})" for gpu in found["gpus"])
    strange = [gpu["arch"] for gpu in found["gpus"] if gpu["arch"] not in found["known"]]
    remedy = f"torch {found['torch']} has no code for {', '.join(strange)}; install another torch" if strange else ""
    return Finding("machine", "GPU", f"{names}, torch {found['torch']}", remedy)
