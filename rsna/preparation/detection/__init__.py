"""Regions by a detector: thumbnails of images, networks that find the breast in them, the table of its boxes."""
