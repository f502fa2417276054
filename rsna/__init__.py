"""From code on a laptop to a scored Kaggle code-competition submission."""

__version__ = "0.1.0"
