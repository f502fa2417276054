"""Where a kernel finds the key for its bucket: a Kaggle Secret, else a private data set, else nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsna.kernel.bootstrap import find_mounts

logger = logging.getLogger(__name__)

SECRET = "RSNA_CREDENTIALS"  # the label of the Kaggle Secret; its value is the JSON of a service-account key
CREDENTIALS_FILE = "rsna-credentials.json"


def find_credentials() -> Path | Mapping[str, Any] | None:
    """The service-account key that a kernel was given, for `storage_client`; None where it was given none.

    A push through the API takes a kernel's secrets off it, hence the data set. Without either, the runs stay in the
    kernel's output, from where they are pulled.
    """
    secret = _read_secret()
    if secret is not None:
        return secret
    mounts = find_mounts(CREDENTIALS_FILE)
    return mounts[0] / CREDENTIALS_FILE if mounts else None


def _read_secret() -> Mapping[str, Any] | None:
    try:
        from kaggle_secrets import UserSecretsClient  # type: ignore[import-not-found]
    except ImportError:
        return None  # not on Kaggle
    try:
        value = json.loads(UserSecretsClient().get_secret(SECRET))
    except Exception as error:  # the module's classes differ between images, and each of them means: no such secret
        logger.info("no Kaggle Secret %s (%s)", SECRET, type(error).__name__)
        return None
    return value if isinstance(value, dict) else None
