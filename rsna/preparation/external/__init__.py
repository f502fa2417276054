"""External mammography sets: each from its original layout to the image table that `rsna prepare` works on.

They are for training only: ids carry the name of the source, and the prepared set says that it is external.
"""

from rsna.preparation.external.base import ExternalSource
from rsna.preparation.external.registry import SOURCES, import_external

__all__ = ["SOURCES", "ExternalSource", "import_external"]
