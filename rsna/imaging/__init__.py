"""From a file to an array: header, decoders, region, geometry, VOI, and the workers that decode. Torch-free."""

from rsna.imaging.decoders import CHAINS
from rsna.imaging.detector import RegionFinder
from rsna.imaging.dicom import DicomImage, read_dicom
from rsna.imaging.geometry import Box, Region, crop, fit, resize
from rsna.imaging.header import Header, Lut, Window
from rsna.imaging.load import (
    LoadedImage,
    check_finder,
    decode_images,
    load_image,
    load_steps,
    load_thumbnail,
    read_image,
)
from rsna.imaging.png import read_png, write_png
from rsna.imaging.pool import DecodePool, Outcome
from rsna.imaging.region import find_region
from rsna.imaging.voi import render

__all__ = [
    "CHAINS",
    "Box",
    "DecodePool",
    "DicomImage",
    "Header",
    "LoadedImage",
    "Lut",
    "Outcome",
    "Region",
    "RegionFinder",
    "Window",
    "check_finder",
    "crop",
    "decode_images",
    "find_region",
    "fit",
    "load_image",
    "load_steps",
    "load_thumbnail",
    "read_dicom",
    "read_image",
    "read_png",
    "render",
    "resize",
    "write_png",
]
