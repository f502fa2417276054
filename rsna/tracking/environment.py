"""On what a run was made: interpreter, machine, GPU, packages. Environment variables stay out but for a few named."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import distributions
from typing import Any

# Nothing else of the environment is read: it is where credentials live.
VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")


def describe_environment() -> dict[str, Any]:
    """Interpreter, platform, processors, memory in bytes, GPUs and the variables that change results; JSON-able."""
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "gpus": list_gpus(),
        "torch": _describe_torch(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def freeze_packages() -> list[str]:
    """The installed packages as sorted `name==version` lines."""
    lines = {f"{found.metadata['Name']}=={found.version}" for found in distributions() if found.metadata["Name"]}
    return sorted(lines, key=lambda line: re.split("==", line)[0].lower())


def list_gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU, empty without any."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _describe_torch() -> dict[str, Any]:
    import torch

    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }
