"""Process 1 of a sandbox: builds its file system, gives up every privilege, and starts the program.

`unshare` starts this file by its path, with the interpreter of this machine and nothing but the standard library, in
new user, mount, pid, ipc and uts namespaces, and a new network namespace where there is to be no network. The plan
comes as JSON on standard input; what `rsna.local_kaggle.sandbox.Sandbox` writes there is described in it. Whether the
sandbox stands is told in one line on the file descriptor `status`: `ready`, or what failed.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import re
import resource
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# <linux/mount.h>
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 2, 4, 8, 4096, 16384
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, AT_RECURSIVE, AT_FDCWD = 1, 2, 4, 0x8000, -100
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR = 442  # the same on every machine
# <linux/prctl.h>, <linux/capability.h>
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, CAPABILITY_VERSION_3 = 24, 38, 0x20080522
# <linux/sockios.h>, <linux/if.h>
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40

ATTRIBUTES = {
    "read-only": ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV,
    "writable": ATTR_NOSUID | ATTR_NODEV,
    "device": ATTR_NOSUID,
}
COVERED = ("sys", "sysrq-trigger", "irq", "bus", "acpi", "scsi")  # of /proc: what root could set for the whole machine
HOST_NAME = "kaggle"
OWN_PROCESS_IDS = (6, 14)  # an older Linux has one greatest process id for the whole machine

libc = ctypes.CDLL(None, use_errno=True)


class Builder:
    """Executes the steps of a plan below a folder that becomes the root of the sandbox."""

    def __init__(self, root: str, processes: int) -> None:
        self.root = root
        self.processes = processes

    def place(self, target: str, folder: bool = True) -> str:
        """The path of a target while the sandbox is built; made where it is missing, as a folder or an empty file."""
        path = self.root + target
        os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)
        if not folder and not os.path.lexists(path):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        return path

    def folder(self, target: str) -> None:
        """An empty folder."""
        self.place(target)

    def tmpfs(self, target: str, options: str) -> None:
        """An empty file system in memory."""
        mount("tmpfs", self.place(target), "tmpfs", MS_NOSUID | MS_NODEV, options)

    def bind(self, source: str, target: str, access: str) -> None:
        """A file or folder of this machine, with everything mounted below it."""
        path = self.place(target, os.path.isdir(source))
        mount(source, path, None, MS_BIND | MS_REC)
        set_attributes(path, ATTRIBUTES[access])

    def protect(self, target: str) -> None:
        """Make a mounted file system read-only, after everything has got its place in it."""
        set_attributes(self.root + target, ATTR_RDONLY, recursive=False)

    def link(self, target: str, destination: str) -> None:
        """A symbolic link."""
        os.symlink(destination, self.place(os.path.dirname(target)) + "/" + os.path.basename(target))

    def text(self, target: str, content: str, mode: str = "644") -> None:
        """A file that is made here."""
        path = self.place(target, folder=False)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(path, int(mode, 8))

    def proc(self, target: str) -> None:
        """The processes of the sandbox, without what changes the machine; no more namespaces from here on."""
        path = self.place(target)
        mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        with open(path + "/sys/user/max_user_namespaces", "w") as file:
            file.write("0")
        if kernel_version() >= OWN_PROCESS_IDS:
            with open(path + "/sys/kernel/pid_max", "w") as file:
                file.write(str(self.processes))
        for name in COVERED:
            if os.path.exists(entry := f"{path}/{name}"):
                mount(entry, entry, None, MS_BIND | MS_REC)
                set_attributes(entry, ATTR_RDONLY)

    def terminals(self, target: str) -> None:
        """Pseudo terminals, which `!command` in a notebook needs."""
        mount("devpts", self.place(target), "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")


def kernel_version() -> tuple[int, ...]:
    """Of Linux: (6, 14)."""
    return tuple(map(int, re.findall(r"\d+", platform.release())[:2]))


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2); raises `OSError`."""
    _check(libc.mount(*map(_bytes, (source, target, kind)), ctypes.c_ulong(flags), _bytes(options)), target)


def set_attributes(path: str, attributes: int, recursive: bool = True) -> None:
    """mount_setattr(2): add attributes to a mount and, by default, all those below it; raises `OSError`."""
    structure = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    number, size = ctypes.c_long(SYS_MOUNT_SETATTR), ctypes.c_size_t(len(structure))
    _check(libc.syscall(number, AT_FDCWD, _bytes(path), ctypes.c_uint(flags), structure, size), path)


def enter(root: str) -> None:
    """Make a folder the root of the file system, and let go of what was the root before."""
    os.mkdir(root + "/.old")
    number = ctypes.c_long(SYS_PIVOT_ROOT[platform.machine()])
    _check(libc.syscall(number, _bytes(root), _bytes(root + "/.old")), "pivot_root")
    os.chdir("/")
    _check(libc.umount2(b"/.old", MNT_DETACH), "/.old")
    os.rmdir("/.old")


def start_loopback() -> None:
    """Switch on `lo`, over which a notebook's client and its kernel talk; a new network namespace has nothing else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
        fcntl.ioctl(interface, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def give_up_privileges() -> None:
    """Drop all capabilities for good: without them, root in the sandbox can neither mount nor unmount anything."""
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(libc.capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24)), "capset")


def limit_processes(count: int) -> None:
    """Limit the processes and threads of this user in here. It does not hold for the machine's root."""
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = count if most == resource.RLIM_INFINITY else min(count, most)
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def build(plan: Mapping[str, Any]) -> None:
    """Turn this process's namespaces into the sandbox of a plan; raises `OSError` with the step that failed."""
    builder = Builder(plan["root"], plan["processes"])
    for name, *arguments in plan["steps"]:
        try:
            getattr(builder, name)(*arguments)
        except OSError as error:
            raise OSError(f"{name} {arguments[0]}: {error.strerror} ({error.filename})") from error
    enter(plan["root"])
    if not plan["network"]:
        start_loopback()
    socket.sethostname(HOST_NAME)
    os.umask(0o022)
    os.chdir(plan["folder"])
    give_up_privileges()


def run(program: Sequence[str], environment: Mapping[str, str], processes: int) -> int:
    """Run a program to its end, burying orphans meanwhile; returns its exit status as a shell would."""
    child = os.fork()
    if child == 0:
        for name in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)  # this interpreter ignores them, and the program would inherit that
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit_processes(processes)
        try:
            os.execvpe(program[0], list(program), environment)
        except OSError as error:
            sys.stderr.write(f"{program[0]}: {error.strerror}\n")
            os._exit(127)
    while True:
        process, status = os.wait()
        if process == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> int:
    """Read the plan, build the sandbox, run the program."""
    plan = json.load(sys.stdin)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        build(plan)
    except OSError as error:
        os.write(plan["status"], f"{error}\n".encode())
        return 1
    os.write(plan["status"], b"ready\n")
    os.close(plan["status"])
    return run(plan["program"], plan["environment"], plan["processes"])


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    sys.exit(main())
