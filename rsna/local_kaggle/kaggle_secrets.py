"""Stands in for the module of Kaggle's image through which a notebook reads the secrets that are attached to it.

A notebook that was pushed through the API has none: a push takes them off.
"""

import json
import os


class BackendError(Exception):
    """A secret that the notebook has not."""


class UserSecretsClient:
    """Reads secrets by label."""

    def get_secret(self, label: str) -> str:
        """The secret's value."""
        secrets: dict[str, str] = json.loads(os.environ.get("LOCAL_KAGGLE_SECRETS", "{}"))
        if label not in secrets:
            raise BackendError(f"No user secrets exist for this notebook with the label {label}.")
        return secrets[label]
