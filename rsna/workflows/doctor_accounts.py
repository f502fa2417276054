"""Accounts, clock and checkout. Of a credential nothing is read but whether it is there, and who may read it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from rsna.errors import RsnaError
from rsna.workflows.doctor import Finding

KAGGLE_FILES = ("access_token", "access_token.txt", "kaggle.json")
GOOGLE_FILE = "application_default_credentials.json"
CLOCK_URL = "https://www.kaggle.com/"
CLOCK_SECONDS = 5.0
CLOCK_ERROR_S = 120.0  # Google refuses signatures of another time than its own


def look_at_accounts() -> Iterator[Finding]:
    """Whether there are credentials for Kaggle and Cloud Storage, and settings that say whose."""
    from rsna.kaggle.settings import SETTINGS_FILE, read_settings

    yield _credentials(
        "Kaggle",
        kaggle_credentials(os.environ),
        "kaggle.com, Settings, API: put a token into ~/.kaggle/access_token",
    )
    yield _credentials(
        "Cloud Storage",
        google_credentials(os.environ),
        "`gcloud auth application-default login`; without, runs are pulled from the kernels' outputs",
    )
    try:
        settings = read_settings()
    except RsnaError as error:
        yield Finding("accounts", "settings", "none", str(error))
        return
    text = f"{SETTINGS_FILE}: {settings.user}, {settings.competition}, bucket {settings.bucket or 'none'}"
    yield Finding("accounts", "settings", text)


def kaggle_credentials(environment: Mapping[str, str]) -> list[str]:
    """Where the Kaggle client would find credentials: names of variables, and files."""
    found = ["KAGGLE_API_TOKEN"] if environment.get("KAGGLE_API_TOKEN") else []
    if environment.get("KAGGLE_USERNAME") and environment.get("KAGGLE_KEY"):
        found.append("KAGGLE_USERNAME and KAGGLE_KEY")
    home = Path(environment.get("HOME", "~")).expanduser()
    folders = [Path(environment.get("KAGGLE_CONFIG_DIR") or home / ".kaggle"), home / ".config" / "kaggle"]
    files = [folder / name for folder in folders for name in KAGGLE_FILES]
    return found + [str(path) for path in files if path.is_file()]


def google_credentials(environment: Mapping[str, str]) -> list[str]:
    """Where Google's client would find credentials: a file's path."""
    home = Path(environment.get("HOME", "~")).expanduser()
    named = environment.get("GOOGLE_APPLICATION_CREDENTIALS")
    paths = [Path(named)] if named else []
    paths.append(Path(environment.get("CLOUDSDK_CONFIG") or home / ".config" / "gcloud") / GOOGLE_FILE)
    return [str(path) for path in paths if path.is_file()]


def _credentials(service: str, found: list[str], remedy: str) -> Finding:
    if not found:
        return Finding("accounts", service, "no credentials", remedy)
    open_files = [name for name in found if Path(name).is_file() and Path(name).stat().st_mode & 0o077]
    loose = f"others on this machine may read it: `chmod 600 {open_files[0]}`" if open_files else ""
    return Finding("accounts", service, f"credentials in {' and '.join(found)}", loose)


def look_at_clock() -> Iterator[Finding]:
    """This machine's clock against Kaggle's, which must be reachable for that."""
    started = time.time()
    try:
        request = urllib.request.Request(CLOCK_URL, method="HEAD")
        with urllib.request.urlopen(request, timeout=CLOCK_SECONDS) as answer:
            stamp = answer.headers.get("Date")
    except urllib.error.HTTPError as error:  # an answer all the same
        stamp = error.headers.get("Date")
    except OSError as error:
        reason = getattr(error, "reason", error)
        yield Finding("accounts", "clock", f"{_now()}; not compared, since Kaggle cannot be reached ({reason})")
        return
    if not stamp:
        yield Finding("accounts", "clock", f"{_now()}; not compared, since Kaggle does not tell the time")
        return
    error_s = (started + time.time()) / 2 - parsedate_to_datetime(stamp).timestamp()
    wrong = abs(error_s) > CLOCK_ERROR_S
    remedy = "tokens and signatures of another time are refused; `timedatectl set-ntp true`" if wrong else ""
    yield Finding("accounts", "clock", f"{_now()}, {error_s:+.0f} s against Kaggle's", remedy)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


def look_at_code() -> Iterator[Finding]:
    """Git, and whether what would be pushed is committed."""
    from rsna.kaggle.snapshot import take_snapshot, uncommitted

    if shutil.which("git") is None:
        yield Finding("code", "git", "none", "install git: the code is pushed as git knows it")
        return
    version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    try:
        snapshot, changes = take_snapshot(Path()), uncommitted(Path())
    except RsnaError as error:
        yield Finding("code", "checkout", version, f"nothing could be pushed: {error}")
        return
    text = f"{version}, commit {snapshot.commit[:12]}, content {snapshot.content_hash[:12]}"
    left_out = ", with uncommitted changes, which a push leaves out" if changes else ""
    yield Finding("code", "checkout", text + left_out)
