"""Synthetic competitions with the real file layout: something to train on, and to rehearse every stage with."""

from rsna.synthetic.breast import make_breast
from rsna.synthetic.options import BreastOptions

__all__ = ["BreastOptions", "make_breast"]
