"""What a competition is: tables, targets, groups, metric, thresholds and the submission file."""

from rsna.competitions.base import Competition, Target
from rsna.competitions.metrics import Threshold
from rsna.competitions.registry import create_competition, list_competitions

__all__ = ["Competition", "Target", "Threshold", "create_competition", "list_competitions"]
