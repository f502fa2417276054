"""A folder predicted through an engine, beside the same through torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsna.errors import InputError
from rsna.inference import Bundle, PredictOptions, predict_folder
from rsna.tables import read_parquet


@pytest.mark.slow
def test_a_folder_through_an_engine(bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    from rsna.export import export_bundle

    exported = export_bundle(bundle.folder, ["openvino"])
    tables = {}
    for name in ("torch", "openvino", "auto"):
        out = tmp_path / name / "submission.csv"
        predict_folder(exported, competition, out, options=replace(options, engine=name))
        tables[name] = read_parquet(out.with_name("predictions.parquet"))
    expected = tables["torch"]["pred_cancer"].to_numpy()
    for name in ("openvino", "auto"):
        np.testing.assert_allclose(tables[name]["pred_cancer"], expected, atol=1e-3)
    assert (tables["openvino"]["pred_cancer"].to_numpy() != expected).any()  # another runtime rounds otherwise
    part = exported.spec.members[:1]
    assert len(exported.models(part)) == 1  # a part of the members goes through torch whatever was exported


def test_an_engine_that_the_bundle_lacks_is_one_line(
    bundle: Bundle, competition: Path, tmp_path: Path, options: PredictOptions
) -> None:
    with pytest.raises(InputError, match="has no engine openvino; make one with `rsna export"):
        predict_folder(bundle, competition, tmp_path / "s.csv", options=replace(options, engine="openvino"))
