"""A tiny bundle with random weights, and a tiny competition of uncompressed DICOM files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from rsna.competitions import Threshold
from rsna.config import CompetitionSpec, DataSpec, EnvSpec, ImagingSpec, InputSpec, ModelSpec
from rsna.config.training import SchedulerSpec, TrainConfig
from rsna.inference import Bundle, BundleSpec, Member, PredictOptions, write_bundle
from rsna.inference.predictions import prediction_table
from rsna.models import create_model, save_weights

IMAGES = [(patient, side, view) for patient in ("10", "11", "12") for side in ("L", "R") for view in ("CC", "MLO")]


def write_dicom(path: Path, seed: int, scale: int = 1) -> None:
    """A breast-like bright half on a dark ground, (96, 64) times `scale`, uncompressed, 12 bits."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (96, 64)).astype(np.uint16)
    pixels[10:80, :40] += random.integers(800, 3000, (70, 40)).astype(np.uint16)
    pixels = np.kron(pixels, np.ones((scale, scale), np.uint16))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(seed)])
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, image, enforce_file_format=True)


@pytest.fixture
def writer() -> Callable[..., None]:
    """Writes a DICOM file."""
    return write_dicom


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    """A breast competition: 12 images of 3 patients, the same ones as training and as test images."""
    data = tmp_path / "data"
    common = pd.DataFrame(
        [
            {
                "site_id": 1,
                "patient_id": patient,
                "image_id": str(100 + index),
                "laterality": side,
                "view": view,
                "age": 50,
                "implant": 0,
                "machine_id": 21,
                "prediction_id": f"{patient}_{side}",
            }
            for index, (patient, side, view) in enumerate(IMAGES)
        ]
    )
    for index, row in common.iterrows():
        for split in ("train", "test"):
            write_dicom(data / f"{split}_images/{row.patient_id}/{row.image_id}.dcm", seed=int(str(index)))
    common.to_csv(data / "test.csv", index=False)
    units = common[["prediction_id"]].drop_duplicates()
    units.assign(cancer=0.02).to_csv(data / "sample_submission.csv", index=False)
    unknown = dict.fromkeys(("biopsy", "invasive", "difficult_negative_case"), 0)
    cancer = (common["prediction_id"] == "10_L").astype(int)
    train = common.drop(columns="prediction_id").assign(cancer=cancer, BIRADS="", density="", **unknown)
    train.to_csv(data / "train.csv", index=False)
    return data


@pytest.fixture
def config() -> TrainConfig:
    """Of a network that builds in a blink, with different prepared and model sizes."""
    return TrainConfig(
        name="tiny",
        competition=CompetitionSpec(),
        env=EnvSpec(data="data", prepared="prepared"),
        scheduler=SchedulerSpec("constant", "epoch"),
        data=DataSpec(ImagingSpec(height=64, width=32), InputSpec(height=48, width=32)),
        model=ModelSpec(backbone="test_resnet", pretrained=False),
        fold="all",
    )


@pytest.fixture
def spec() -> BundleSpec:
    """Two members, folds 0 and 1."""
    return BundleSpec(
        competition="breast",
        aggregation="mean",
        threshold=Threshold(0.5, 0.4, 0.6, 0.7),
        members=tuple(Member(f"fold_{fold}.safetensors", "", fold, 3, 0.8) for fold in (0, 1)),
        tta=("none",),
        priors={"cancer": {"overall": 0.02, "view": {"CC": 0.01, "MLO": 0.03}}},
    )


@pytest.fixture
def weights(tmp_path: Path, config: TrainConfig) -> list[Path]:
    """Random weights of two members."""
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        files.append(tmp_path / f"weights_{seed}.safetensors")
        save_weights(create_model(config.model, config.data.input, 1), files[-1])
    return files


@pytest.fixture
def oof() -> pd.DataFrame:
    """Out-of-fold predictions of patients 10 and 11, in folds 0 and 1."""
    rows = [(str(100 + i), f"{p}_{s}", f"{p}") for i, (p, s, _) in enumerate(IMAGES) if p in ("10", "11")]
    table = pd.DataFrame(rows, columns=["image_id", "prediction_id", "group_id"])
    table["fold"] = (table["group_id"] == "11").astype(int)
    table["target_cancer"] = (table["prediction_id"] == "10_L").astype(np.float32)
    parts = []
    for fold in (0, 1):
        part = table[table["fold"] == fold]
        member = Member(f"fold_{fold}.safetensors", "", fold, 3)
        parts.append(prediction_table(part, np.full((len(part), 1, 1), 0.3, np.float32), [member], ["cancer"]))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def make_bundle(
    tmp_path: Path, spec: BundleSpec, config: TrainConfig, oof: pd.DataFrame, weights: list[Path]
) -> Callable[..., Bundle]:
    """Write the bundle anew, with other parts where they are given."""
    parts = {"folder": tmp_path / "bundle", "spec": spec, "config": config, "oof": oof, "weights": weights}
    return lambda **changes: write_bundle(**(parts | changes))


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    """The tiny bundle."""
    return make_bundle()


@pytest.fixture
def options() -> PredictOptions:
    """One decoding process on the CPU: what a test may take."""
    return PredictOptions(workers=1, batch_size=4, device="cpu")
