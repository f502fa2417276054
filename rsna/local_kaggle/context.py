"""What every part of the local Kaggle works with."""

from __future__ import annotations

from dataclasses import dataclass

from rsna.local_kaggle.blobs import Blobs
from rsna.local_kaggle.faults import Faults
from rsna.local_kaggle.links import Links
from rsna.local_kaggle.settings import Settings
from rsna.local_kaggle.store import Store


@dataclass(frozen=True)
class Context:
    """The state of one local Kaggle and the rules it goes by.

    Attributes:
        store: Database and folders.
        settings: Delays and limits.
        faults: What goes wrong on purpose.
        links: Makes addresses of files.
        blobs: Uploads.
        user: The one person who has an account here.
    """

    store: Store
    settings: Settings
    faults: Faults
    links: Links
    blobs: Blobs
    user: str
