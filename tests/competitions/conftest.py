"""Small tables with the real competition's columns."""

from __future__ import annotations

from pathlib import Path

import pytest

TRAIN = """\
site_id,patient_id,image_id,laterality,view,age,cancer,biopsy,invasive,BIRADS,implant,density,machine_id,difficult_negative_case
2,10006,462822612,L,CC,61.0,0,0,0,,0,,29,False
2,10006,1459541791,L,MLO,61.0,0,0,0,,0,,29,False
2,10006,1864590858,R,MLO,61.0,1,1,0,,0,,29,False
1,NA,NA,R,CC,,0,1,0,0.0,1,D,49,True
"""
TEST = """\
site_id,patient_id,image_id,laterality,view,age,implant,machine_id,prediction_id
2,10008,736471439,L,MLO,81,0,21,10008_L
2,10008,1591370361,R,CC,81,0,21,10008_R
"""


@pytest.fixture
def train_csv(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text(TRAIN)
    return path


@pytest.fixture
def hidden_csv(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_text(TEST)
    return path
