"""Engines of bundles: making them, checking them against torch, and adding them to the bundle."""

from rsna.export.bundle import export_bundle

__all__ = ["export_bundle"]
