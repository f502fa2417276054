"""Sandboxes: a program in namespaces of its own, with a file system put together for it out of read-only pieces.

The namespaces come from `unshare` (util-linux), which needs no privileges; what is mounted where is a list of steps
that `sandbox_init` executes inside them. https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsna.errors import RsnaError

Step = tuple[str, ...]  # a method of `sandbox_init.Builder` and its arguments

INIT = Path(__file__).with_name("sandbox_init.py")
NAMESPACES = ("--user", "--map-root-user", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")
SHOWN = "/usr"  # the one folder of this machine that every sandbox shows, read-only
ROOT_OPTIONS = "size=64m,mode=755"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# what programs look up below /etc, and nothing that is this machine's own
ETC = (
    *("alternatives", "crypto-policies", "ld.so.cache", "mime.types", "pki/ca-trust/extracted", "pki/tls/certs"),
    *("ssl/certs", "ssl/openssl.cnf"),
)
ETC_NETWORK = ("pip.conf", "resolv.conf")
PROCESSES = 4096  # Kaggle's own limit is not known; a fork bomb must not reach this machine's
HOSTS = "127.0.0.1 localhost kaggle\n::1 localhost\n"


@dataclass(frozen=True)
class Sandbox:
    """What a program sees.

    Attributes:
        steps: How its file system is put together, in order; the root is an empty file system in memory.
        environment: All its variables.
        network: Whether it has this machine's network; else it has a loopback interface and nothing to route to.
        folder: Where it starts.
        processes: How many processes and threads it may have at a time, and at least 301.
    """

    steps: tuple[Step, ...]
    environment: Mapping[str, str]
    network: bool = False
    folder: str = "/"
    processes: int = PROCESSES

    def start(self, program: Sequence[str], scratch: Path, wrapper: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a program. It ends with everything it has started when the returned process is killed, or this one.

        Args:
            program: Name and arguments, as seen from inside.
            scratch: A folder of this machine for the sandbox's own use.
            wrapper: A command of this machine that starts the sandbox in place of us.

        Raises:
            RsnaError: Where the sandbox cannot be set up, with the reason.
        """
        root = scratch / "root"
        root.mkdir(exist_ok=True)
        namespaces = NAMESPACES if self.network else (*NAMESPACES, "--net")
        init = (sys.executable, "-I", "-S", str(INIT))
        told, status = os.pipe()
        try:
            process = _spawn((*wrapper, *ENDS_WITH_US, "unshare", *namespaces, *init), scratch, status)
        except OSError as error:
            os.close(told)
            raise RsnaError(f"the sandbox cannot be started: {error.filename}: {error.strerror}") from error
        finally:
            os.close(status)
        _hand_over(process, self._plan(root, program, status), told)
        return process

    def _plan(self, root: Path, program: Sequence[str], status: int) -> str:
        """What `sandbox_init` has to know."""
        plan = {
            "root": str(root),
            "steps": (("tmpfs", "/", ROOT_OPTIONS), *self.steps),
            "network": self.network,
            "folder": self.folder,
            "processes": self.processes,
            "program": list(program),
            "environment": dict(self.environment),
            "status": status,
        }
        return json.dumps(plan)

    def run(self, program: Sequence[str], seconds: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end and collect its output. Raises `RsnaError` as `start` does, and for a timeout."""
        with tempfile.TemporaryDirectory(prefix="rsna-sandbox-") as scratch:
            process = self.start(program, Path(scratch))
            try:
                output, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.communicate()
                raise RsnaError(f"{program[0]} has not ended in {seconds:.0f} s") from error
        return subprocess.CompletedProcess(list(program), process.returncode, output, errors)


def _spawn(command: Sequence[str], folder: Path, status: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[status],
        start_new_session=True,
    )


def _hand_over(process: subprocess.Popen[bytes], plan: str, told: int) -> None:
    """Give the plan to the first process of a sandbox, and wait until it stands."""
    stdin, process.stdin = process.stdin, None  # what is told is told; `communicate` has nothing to add
    assert stdin is not None
    with open(told, "rb") as answer:
        try:
            with stdin:
                stdin.write(plan.encode())
        except BrokenPipeError:
            pass  # it has died already; its last words say why
        word = answer.readline().decode("utf-8", "replace").strip()
    if word != "ready":
        process.kill()
        _, errors = process.communicate()
        raise RsnaError(f"the sandbox cannot be set up: {word or errors.decode('utf-8', 'replace').strip()}")


def system_steps(network: bool, shared_memory_mb: int = 64, accelerator: bool = False) -> list[Step]:
    """The part of a file system that every program needs: libraries, devices, processes, a few files of /etc.

    Args:
        network: Whether name servers are to be found.
        shared_memory_mb: The size of /dev/shm.
        accelerator: Whether the NVIDIA devices are to be seen.
    """
    steps: list[Step] = [("bind", SHOWN, SHOWN, "read-only")]
    for name in ("/bin", "/lib", "/lib32", "/lib64", "/sbin"):
        if os.path.islink(name):
            steps.append(("link", name, os.readlink(name)))
        elif os.path.isdir(name):
            steps.append(("bind", name, name, "read-only"))
    steps += [("bind", f"/dev/{name}", f"/dev/{name}", "device") for name in DEVICES]
    steps += [("link", f"/dev/{name}", f"/proc/self/fd/{fd}") for fd, name in enumerate(("stdin", "stdout", "stderr"))]
    steps += [("link", "/dev/fd", "/proc/self/fd"), ("link", "/dev/ptmx", "pts/ptmx"), ("terminals", "/dev/pts")]
    steps += [("tmpfs", "/dev/shm", f"size={shared_memory_mb}m,mode=1777"), ("proc", "/proc")]
    steps += _etc_steps(network)
    if accelerator:
        steps += [("bind", str(path), str(path), "device") for path in sorted(Path("/dev").glob("nvidia*"))]
        steps.append(("bind", "/sys", "/sys", "read-only"))
    return steps


def _etc_steps(network: bool) -> list[Step]:
    found = [f"/etc/{name}" for name in (*ETC, *(ETC_NETWORK if network else ())) if os.path.exists(f"/etc/{name}")]
    return [
        *(("bind", os.path.realpath(path), path, "read-only") for path in found),
        ("text", "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("text", "/etc/group", "root:x:0:\n"),
        ("text", "/etc/hosts", HOSTS),
        ("text", "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ]
