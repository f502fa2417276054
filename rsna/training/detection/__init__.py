"""Training of the region detector."""

from rsna.training.detection.run import train_detector

__all__ = ["train_detector"]
