"""What this machine can do for the local Kaggle: tried out, and said in words."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsna.errors import InputError, RsnaError
from rsna.local_kaggle.image import PYTHON, Image, open_image
from rsna.local_kaggle.memory import find_place
from rsna.local_kaggle.profile import Profile

PROGRAMS = ("unshare", "setpriv")  # both of util-linux
SETTINGS = {  # what forbids namespaces, the value that does, and what to do about it
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "AppArmor keeps user namespaces from ordinary users; give /usr/bin/unshare a profile with `userns`, or "
        "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
    "kernel/unprivileged_userns_clone": ("0", "`sudo sysctl kernel.unprivileged_userns_clone=1` allows them"),
    "user/max_user_namespaces": ("0", "`sudo sysctl user.max_user_namespaces=10000` allows them"),
}
CONTAINER = (
    "in a container, namespaces need `--privileged`, or `--security-opt seccomp=unconfined --security-opt "
    "apparmor=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN`"
)
# Inside: a connection over lo works, one to an address outside does not, and a package can be loaded.
QUESTION = """
import socket, zmq
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
    pass
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError:
    print("offline")
"""


@dataclass(frozen=True)
class Finding:
    """One thing that the local Kaggle needs or can use.

    Attributes:
        name: What it is.
        good: Whether it is as it should be.
        text: What was found; if it is not good, what that means or what to do.
    """

    name: str
    good: bool
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def probe(profile: Profile) -> list[Finding]:
    """Look at everything that a sandboxed session depends on; takes about a second."""
    try:
        image = open_image(profile)
    except InputError as error:
        return [Finding("image", False, str(error))]
    reason = why_no_sandbox(image)
    sandbox = "works, and has no network" if not reason else f"{reason}; --unsafe runs notebooks without one"
    return [Finding("sandbox", not reason, sandbox), _memory(), *_image(image)]


def check_sandbox(image: Image) -> None:
    """Raise `RsnaError` with the reason and what to do where this machine cannot make a sandbox."""
    if reason := why_no_sandbox(image):
        raise RsnaError(f"no sandbox for notebooks: {reason}; --unsafe runs them as plain processes of your user")


def why_no_sandbox(image: Image) -> str:
    """What keeps this machine from making a sandbox with an image, and what to do; '' where nothing does."""
    if platform.system() != "Linux":
        return f"it needs the namespaces of Linux, and this is {platform.system()}"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{' and '.join(absent)} not found; install util-linux"
    try:
        done = _ask(image)
    except RsnaError as error:
        return "; ".join((str(error), *_hints()))
    if done != "offline":
        return f"a program in it did not do as it should: {done}"
    return ""


def _ask(image: Image) -> str:
    """Try a sandbox without network; returns what the program in it said."""
    done = image.sandbox().run([PYTHON, "-c", QUESTION])
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


def _hints() -> Iterator[str]:
    for name, (value, hint) in SETTINGS.items():
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text(encoding="utf-8").strip() == value and os.getuid() != 0:
            yield hint
    if any(Path(name).exists() for name in ("/.dockerenv", "/run/.containerenv")):
        yield CONTAINER


def _memory() -> Finding:
    place = find_place()
    if place:
        return Finding("memory limit", True, f"exact, by a {place[1].name} below {place[0]}")
    text = "by measuring ten times a second; a control group that you may write to would make it exact"
    return Finding("memory limit", False, text)


def _image(image: Image) -> Iterator[Finding]:
    """The image profile, and in what this machine differs from it."""
    profile, version = image.profile, image.interpreter.version
    same = version.startswith(profile.python)
    text = f"Python {version}" + ("" if same else f" in place of {profile.python}")
    yield Finding("image", same, f"profile {profile.name}: {text}, {len(image.packages)} packages")
    if image.different:
        text = (
            f"{len(image.different)} packages have other versions here, for instance {', '.join(image.different[:3])}"
        )
        yield Finding("versions", False, text)
    if image.missing:
        yield Finding("packages", False, f"not installed here: {', '.join(image.missing)}")
