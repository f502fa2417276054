"""`rsna kaggle push-credentials`: the one secret that is pushed, as a private data set, to private kernels only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkout import Checkout
from kaggle_lab import Lab

KEY = {
    "type": "service_account",
    "client_email": "runs@example.iam.gserviceaccount.com",
    "private_key": "-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n",
    "token_uri": "https://oauth2.googleapis.com/token",
}
NAMES = {"ownerSlug": "alice", "datasetSlug": "rsna-credentials"}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Something like a service-account key."""
    path = tmp_path / "key.json"
    path.write_text(json.dumps(KEY))
    return path


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """Without what other tests pushed."""
    lab.store.write("DELETE FROM datasets")
    lab.store.write("DELETE FROM kernels")
    return lab


def test_a_key_becomes_a_private_data_set_and_is_not_shown(checkout: Checkout, lab: Lab, key: Path) -> None:
    said = checkout.rsna("kaggle", "push-credentials", key)
    assert "version 1 is ready, and private" in said
    assert "nothing" not in said
    assert lab.call("GetDataset", NAMES)["isPrivate"]
    assert lab.file_names("rsna-credentials") == ["rsna-credentials.json"]


def test_what_is_no_key_is_refused(checkout: Checkout, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "kaggle.json").write_text('{"username": "alice", "key": "0123456789abcdef0123456789abcdef"}')
    said = checkout.rsna("kaggle", "push-credentials", tmp_path / "kaggle.json", status=2)
    assert "is no service-account key" in said
    assert "0123456789abcdef" not in said
    assert lab.post("GetDataset", NAMES).status_code == 403


@pytest.mark.parametrize("public", ["metadata", "kernel", "data set"])
def test_where_others_could_see_it_nothing_is_pushed(checkout: Checkout, lab: Lab, key: Path, public: str) -> None:
    if public == "metadata":
        checkout.write_metadata("train", is_private=False)
    elif public == "kernel":
        lab.push("rsna-train", "x = 1", isPrivate=False)
    else:
        lab.create_dataset("rsna-credentials", {"a.txt": b"a"}, isPrivate=False)
    said = checkout.rsna("kaggle", "push-credentials", key, status=2)
    assert "is public" in said
    assert public != "data set" or lab.file_names("rsna-credentials") == ["a.txt"]


@pytest.mark.loop
def test_only_training_is_given_the_credentials_and_only_where_there_are_any(
    checkout: Checkout, lab: Lab, key: Path
) -> None:
    lab.create_dataset("rsna-prepared", {"spec.json": b"{}"})
    checkout.write_metadata("train", competition_sources=[])
    checkout.write_cells("train", "(WORKING / 'train-session.json').write_text('{\"state\": \"incomplete\"}')")
    checkout.rsna("kaggle", "push-code")

    def sources() -> list[str]:
        assert "INCOMPLETE" in checkout.rsna("kaggle", "run", "train")
        metadata = lab.call("GetKernel", {"userName": "alice", "kernelSlug": "rsna-train"})["metadata"]
        return metadata["datasetDataSources"]

    assert sources() == ["alice/rsna-code", "alice/rsna-prepared"]
    checkout.rsna("kaggle", "push-credentials", key)
    assert sources() == ["alice/rsna-code", "alice/rsna-prepared", "alice/rsna-credentials"]
    lab.store.write("UPDATE sessions SET request = json_set(request, '$.isPrivate', json('false'))")
    assert "is public" in checkout.rsna("kaggle", "run", "train", status=2)
