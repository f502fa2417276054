"""Training: from a prepared data set and a config to weights and out-of-fold predictions."""

from rsna.training.run import train

__all__ = ["train"]
