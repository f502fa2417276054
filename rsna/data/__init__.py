"""Image tables, the prepared data set, and the datasets that feed a model.

`rsna.data.dataset` needs torch and is imported by name, so that preparing data does without it.
"""

from rsna.data.prepared import PreparedSet, PreparedSpec, read_pictures
from rsna.data.table import check_image_table, inside, join_folds

__all__ = ["PreparedSet", "PreparedSpec", "check_image_table", "inside", "join_folds", "read_pictures"]
