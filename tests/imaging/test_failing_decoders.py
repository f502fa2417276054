"""A file whose decoder crashes, hangs or eats memory is read by the next one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from decoder_tasks import BAD, SOUND, SPEC, load
from dicom_files import breast, write_dicom

from rsna.imaging import DecodePool, load_image


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dicom(tmp_path_factory.mktemp("dicom") / "a.dcm", breast(), "sv1", 12)


def test_the_next_decoder_of_the_chain_reads_the_file(file: Path) -> None:
    chains = [(SOUND,), ("crash", SOUND), ("greedy", SOUND), ("crash", "greedy", SOUND), (SOUND, "crash")]
    with DecodePool(load, workers=2, memory_limit=2**30) as pool:
        outcomes = list(pool.map([(file, chain) for chain in chains]))
    for outcome in outcomes:
        assert outcome.error is None
        np.testing.assert_array_equal(outcome.value, load_image(file, SPEC))


@pytest.mark.slow
def test_the_next_decoder_after_one_that_hangs(file: Path) -> None:
    with DecodePool(load, workers=1, time_limit=15) as pool:
        (outcome,) = pool.map([(file, ("hang", SOUND))])
    assert outcome.error is None
    np.testing.assert_array_equal(outcome.value, load_image(file, SPEC))


@pytest.mark.slow
def test_a_file_that_no_decoder_survives_is_an_error_with_every_reason(file: Path) -> None:
    with DecodePool(load, workers=1, time_limit=15, memory_limit=2**30) as pool:
        bad, good = pool.map([(file, tuple(BAD)), (file, (SOUND,))])
    assert bad.error.startswith("no decoder could read the JPEG Lossless data (crash: the decoder crashed (SIGABRT)")
    assert "hang: took longer than 15 s; greedy: " in bad.error
    assert good.error is None
