"""Networks and losses, made by name from their specs."""

from rsna.models.classifier import Classifier, create_model
from rsna.models.losses import create_loss
from rsna.models.pooling import GlobalPool
from rsna.models.weights import load_weights, save_weights

__all__ = ["Classifier", "GlobalPool", "create_loss", "create_model", "load_weights", "save_weights"]
