"""What must never be pushed: credentials, patient data, and files too large to be code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

MAX_FILE_BYTES = 2 * 1024 * 1024

_SECRET_NAMES = re.compile(
    r"(kaggle\.json|access_token(\.txt)?|credentials\.json|\.env(\..+)?|\.netrc|\.pypirc|id_(rsa|dsa|ecdsa|ed25519)"
    r"|.*\.(pem|p12|pfx|key|keystore)|application_default_credentials\.json)",
    re.IGNORECASE,
)
_SECRET_TEXTS = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a service-account key": re.compile(rb'"private_key_id"\s*:\s*"[0-9a-f]{16,}"'),
    "a Kaggle API key": re.compile(rb'"key"\s*:\s*"[0-9a-f]{32}"'),
    "a Kaggle access token": re.compile(rb"\bKGAT_[0-9A-Za-z_-]{16,}"),
    "a Google API key": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}\b"),
    "a Google OAuth token": re.compile(rb"\bya29\.[0-9A-Za-z_-]{20,}"),
    "a GitHub token": re.compile(rb"\b(ghp|gho|ghs|ghu|github_pat)_[0-9A-Za-z_]{20,}"),
    "an AWS access key": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "a Hugging Face token": re.compile(rb"\bhf_[0-9A-Za-z]{30,}"),
    "a Weights & Biases key": re.compile(rb"WANDB_API_KEY\s*=\s*['\"]?[0-9a-f]{40}"),
}
_PATIENT_SUFFIXES = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz")
_PATIENT_COLUMNS = re.compile(rb"^\W*[^\n]*\b(patient_id|PatientID)\b[^\n]*\r?\n[^\n]+", re.IGNORECASE)


def refusals(files: Mapping[str, bytes], max_bytes: int = MAX_FILE_BYTES) -> list[str]:
    """Why files must not leave this machine: one line for each that looks like a secret, patient data, or no code.

    Args:
        files: Contents by relative path.
        max_bytes: The size above which a file is no code.
    """
    return [f"{path}: {reason}" for path, content in files.items() if (reason := _refuse(path, content, max_bytes))]


def _refuse(path: str, content: bytes, max_bytes: int) -> str:
    name = PurePosixPath(path).name
    if _SECRET_NAMES.fullmatch(name):
        return "is named like a secret"
    for what, pattern in _SECRET_TEXTS.items():
        if pattern.search(content):
            return f"holds what looks like {what}"
    if name.lower().endswith(_PATIENT_SUFFIXES) or content[128:132] == b"DICM":
        return "is a medical image, which is patient data"
    if name.lower().endswith((".csv", ".tsv", ".csv.gz", ".parquet")) and _patient_table(name, content):
        return "is a table of patients"
    if len(content) > max_bytes:
        return f"has {len(content) / 2**20:.1f} MB, more than the {max_bytes / 2**20:.0f} MB that code needs"
    return ""


def _patient_table(name: str, content: bytes) -> bool:
    if name.lower().endswith((".parquet", ".gz")):
        return True  # nothing compressed belongs among code, and we cannot look inside
    return bool(_PATIENT_COLUMNS.match(content))
