"""RSNA Screening Mammography Breast Cancer Detection (Kaggle, 2022-2023).

A few images of each breast, one label per breast. Submissions are rerun on about 8,000 hidden patients and scored by
the probabilistic F1. Tables and metric: https://www.kaggle.com/competitions/rsna-breast-cancer-detection
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rsna.competitions.aggregation import Rule, per_image
from rsna.competitions.base import Competition, Target
from rsna.competitions.image_table import check_images
from rsna.competitions.metrics import Threshold, best_threshold, binary_metrics, probabilistic_f1
from rsna.competitions.submission import SubmissionFormat
from rsna.tables import Column

VIEWS = ("CC", "MLO", "AT", "LM", "ML", "LMO")
DENSITIES = ("A", "B", "C", "D")  # from almost entirely fat to extremely dense
AGE_BANDS = {"under 40": 0, "40-49": 40, "50-59": 50, "60-69": 60, "70 and over": 70}  # by their first year

WHAT_IT_IS = (
    Column("site_id"),
    Column("patient_id", "id"),
    Column("image_id", "id"),
    Column("laterality", choices=("L", "R")),
    Column("view", choices=VIEWS),
    Column("age", "float", nullable=True),
)
HOW_IT_WAS_MADE = (Column("implant", "bool"), Column("machine_id"))
WHAT_WAS_FOUND = (
    Column("cancer", "bool"),
    Column("biopsy", "bool"),
    Column("invasive", "bool"),
    Column("BIRADS", "int", nullable=True),
    Column("density", nullable=True, choices=DENSITIES),
    Column("difficult_negative_case", "bool"),
)
KEPT = ("site_id", "laterality", "view", "age", "implant", "machine_id")


class Breast(Competition):
    """RSNA Screening Mammography Breast Cancer Detection: is there a cancer in this breast?"""

    name = "breast"
    title = "RSNA Screening Mammography Breast Cancer Detection"
    kind = "code"
    targets = (Target("cancer"),)
    auxiliary = (
        Target("biopsy", "binary", "aux"),
        Target("invasive", "binary", "aux"),
        Target("BIRADS", "ordinal", "aux"),
        Target("density", "ordinal", "aux"),
        Target("difficult_negative_case", "binary", "aux"),
        Target("age", "regression", "aux"),
    )
    train_columns = (*WHAT_IT_IS, *HOW_IT_WAS_MADE, *WHAT_WAS_FOUND)
    test_columns = (*WHAT_IT_IS, *HOW_IT_WAS_MADE, Column("prediction_id", "id"))
    format = SubmissionFormat("prediction_id", ("cancer",))
    monitor = "unit/mean_auc"

    def image_table(self, raw: pd.DataFrame, folder: str, source: Path) -> pd.DataFrame:
        """See `Competition.image_table`. The group is the patient, the scored unit the breast."""
        check_images(raw["image_id"], source)
        breast = raw["patient_id"] + "_" + raw["laterality"]
        table = pd.DataFrame(
            {
                "image_id": raw["image_id"],
                "group_id": raw["patient_id"],
                "prediction_id": raw.get("prediction_id", breast),
                "path": folder + "/" + raw["patient_id"] + "/" + raw["image_id"] + self.image_suffix,
            }
        )
        if "cancer" in raw:
            density = raw["density"].map({letter: float(i) for i, letter in enumerate(DENSITIES)})
            numbers = raw.assign(density=density)
            for target in (*self.targets, *self.auxiliary):
                table[target.column] = numbers[target.name].astype(np.float32)
        return table.join(raw[list(KEPT)])

    def strata(self, table: pd.DataFrame) -> pd.Series:
        """Patients by how many of their breasts have cancer, then by site: the two sites differ in rate and look."""
        breasts = table.drop_duplicates("prediction_id")
        cancers = (breasts["target_cancer"] > 0.5).groupby(breasts["group_id"]).sum()
        sites = table.groupby("group_id")["site_id"].first()
        return cancers.astype(str) + " with cancer, site " + sites

    def fold_report(self, table: pd.DataFrame) -> pd.DataFrame:
        """Adds each site's share and mean age, the number of machines, and those that no other fold has seen."""
        report = super().fold_report(table)
        for site, rows in table.groupby("site_id"):
            folds = rows.groupby("fold")
            report[f"site_{site}_share"] = folds.size() / report["images"]
            report[f"site_{site}_mean_age"] = folds["age"].mean()
        report["machines"] = table.groupby("fold")["machine_id"].nunique()
        homes = table.groupby("machine_id")["fold"].agg(["nunique", "first"])
        homes = homes[homes["nunique"] == 1]
        report["machines_unseen_elsewhere"] = [" ".join(homes.index[homes["first"] == fold]) for fold in report.index]
        return report

    def evaluate(self, predictions: pd.DataFrame, how: Rule, threshold: float | None = None) -> dict[str, float]:
        """See `Competition.evaluate`; the names are those of `rsna.competitions.metrics.binary_metrics`."""
        levels = {"image": per_image(predictions), "unit": self.aggregate(predictions, how)}
        return {
            f"{level}/{name}": value
            for level, rows in levels.items()
            for name, value in binary_metrics(rows["target_cancer"], rows["pred_cancer"], threshold).items()
        }

    def unit_metrics(self, units: pd.DataFrame) -> dict[str, float]:
        """See `Competition.unit_metrics`."""
        metrics = binary_metrics(units["target_cancer"], units["pred_cancer"])
        return {f"unit/{name}": value for name, value in metrics.items()}

    def fit_threshold(self, predictions: pd.DataFrame, how: Rule) -> Threshold:
        """The threshold of the best F1 per breast; see `Competition.fit_threshold`."""
        breasts = self.aggregate(predictions, how)
        return best_threshold(breasts["target_cancer"], breasts["pred_cancer"])

    def prior_keys(self, table: pd.DataFrame) -> Mapping[str, pd.Series]:
        """View, age band and site. All of them are known of a test image before it is opened."""
        bands = pd.cut(table["age"], [*AGE_BANDS.values(), np.inf], right=False, labels=list(AGE_BANDS))
        age = bands.astype(object).where(table["age"].notna(), "unknown")
        return {"view": table["view"], "age": age, "site": table["site_id"]}

    def metric(self, truth: pd.DataFrame, submitted: pd.DataFrame) -> float:
        """The probabilistic F1 over breasts."""
        return probabilistic_f1(truth["cancer"], submitted["cancer"])

    def details(self, truth: pd.DataFrame, submitted: pd.DataFrame) -> dict[str, float]:
        """`binary_metrics` per breast, with the calls above 0.5: those of a binary submission."""
        return binary_metrics(truth["cancer"], submitted["cancer"], threshold=0.5)
