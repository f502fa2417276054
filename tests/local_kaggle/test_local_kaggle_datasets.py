"""Data sets through the unmodified client, and the rules of the platform that it runs into."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from kaggle_lab import Lab, wait_for

LICENSE = [{"name": "CC0-1.0"}]


def write_dataset(folder: Path, slug: str, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    metadata = {"title": slug.replace("-", " "), "id": f"alice/{slug}", "licenses": LICENSE}
    (folder / "dataset-metadata.json").write_text(json.dumps(metadata))
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def zipped(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, b"inside")
    return archive.getvalue()


def test_life_of_a_dataset(lab: Lab, tmp_path: Path) -> None:
    """Create, status, files, version: a version is exactly what was uploaded for it."""
    folder = write_dataset(tmp_path / "data", "first-set", a="1\n", empty="")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("b")
    assert "private Dataset is being created" in lab.kaggle("datasets", "create", "-p", folder, "--dir-mode", "zip")
    lab.wait_dataset("first-set")
    assert lab.kaggle("datasets", "status", "alice/first-set") == "ready"
    assert lab.file_names("first-set") == ["a", "empty", "sub/b.txt"]
    listed = lab.kaggle("datasets", "files", "alice/first-set", "--page-size", "2")
    assert "Next Page Token" in listed
    assert "sub/b.txt" not in listed

    (folder / "a").unlink()
    (folder / "c").write_text("new")
    assert "version is being created" in lab.kaggle("datasets", "version", "-p", folder, "-m", "second")
    lab.wait_dataset("first-set")
    assert lab.file_names("first-set") == ["c", "empty"]  # nothing is inherited, and --dir-mode is `skip`
    assert '"current_version_number": 2' in lab.kaggle("datasets", "status", "alice/first-set", "--format", "json")


def test_reading_and_deleting_a_dataset(lab: Lab, tmp_path: Path) -> None:
    """Download of all and of one file, metadata, list, delete."""
    lab.create_dataset("read-set", {"c": b"old", "sub.zip": zipped("b.txt")})
    names = {"ownerSlug": "alice", "datasetSlug": "read-set"}
    lab.call("CreateDatasetVersion", {**names, "body": {"files": [{"token": lab.upload("c", b"new")}]}})
    lab.wait_dataset("read-set")
    lab.kaggle("datasets", "download", "alice/read-set/1", "-p", tmp_path / "all", "--unzip")
    assert (tmp_path / "all" / "sub" / "b.txt").read_bytes() == b"inside"
    lab.kaggle("datasets", "download", "alice/read-set", "-f", "c", "-p", tmp_path / "one")
    assert (tmp_path / "one" / "c").read_text() == "new"

    lab.kaggle("datasets", "metadata", "alice/read-set", "-p", tmp_path)
    assert json.loads((tmp_path / "dataset-metadata.json").read_text())["info"]["isPrivate"] is True
    assert "alice/read-set" in lab.kaggle("datasets", "list", "--mine")
    assert "deleted" in lab.kaggle("datasets", "delete", "alice/read-set", "--yes")
    assert "was denied" in lab.kaggle("datasets", "status", "alice/read-set", status=1)


def test_metadata_update_can_publish_a_private_dataset(lab: Lab, tmp_path: Path) -> None:
    lab.create_dataset("was-private", {"a.txt": b"a"})
    (tmp_path / "dataset-metadata.json").write_text(json.dumps({"title": "Now public", "licenses": LICENSE}))
    lab.kaggle("datasets", "metadata", "alice/was-private", "-p", tmp_path, "--update")
    info = lab.call("GetDatasetMetadata", {"ownerSlug": "alice", "datasetSlug": "was-private"})["info"]
    assert info["isPrivate"] is False
    assert info["title"] == "Now public"


def test_a_slug_in_use_is_an_error_with_exit_status_0(lab: Lab, tmp_path: Path) -> None:
    lab.create_dataset("taken-set", {"a.txt": b"a"})
    folder = write_dataset(tmp_path / "data", "taken-set", a="1")
    assert "already in use" in lab.kaggle("datasets", "create", "-p", folder)


def test_without_is_private_a_dataset_is_public(lab: Lab) -> None:
    lab.create_dataset("open-to-all", {"a.txt": b"a"}, isPrivate=None)
    answer = lab.call("GetDataset", {"ownerSlug": "alice", "datasetSlug": "open-to-all"})
    assert answer["isPrivate"] is False


@pytest.mark.parametrize(
    ("slug", "title", "status", "word"),
    [
        ("short", "long enough", 400, "slug"),
        ("x" * 51, "long enough", 400, "slug"),
        ("under_score", "long enough", 400, "slug"),
        ("Upper-Case", "long enough", 400, "slug"),
        ("with blank", "long enough", 400, "slug"),
        ("good-slug", "short", 400, "title"),
        ("good-slug", "x" * 51, 400, "title"),
        ("good-slug", "long enough", 400, "file"),
    ],
)
def test_names_are_checked(lab: Lab, slug: str, title: str, status: int, word: str) -> None:
    response = lab.post("CreateDataset", {"ownerSlug": "alice", "slug": slug, "title": title})
    assert response.status_code == status
    assert word in response.json()["message"]


def test_another_owner_is_denied(lab: Lab) -> None:
    response = lab.post("CreateDataset", {"ownerSlug": "bob", "slug": "bobs-data", "title": "Bobs data"})
    assert response.json() == {"code": 403, "message": "Permission 'datasets.create' was denied"}


def test_a_slug_of_a_kernel_is_taken(lab: Lab) -> None:
    lab.run("kernel-or-data", "pass")
    body = {"ownerSlug": "alice", "slug": "kernel-or-data", "title": "kernel or data"}
    assert lab.post("CreateDataset", body).status_code == 409


def test_uploads_are_used_once(lab: Lab) -> None:
    token = lab.upload("a.txt", b"a")
    body = {"ownerSlug": "alice", "slug": "use-once", "title": "use once", "files": [{"token": token}]}
    assert lab.call("CreateDataset", body)["status"] == "ok"
    body |= {"slug": "use-twice", "title": "use twice"}
    assert lab.post("CreateDataset", body).status_code == 400


def test_directories_of_the_other_client(lab: Lab) -> None:
    """kagglehub sends a tree, not archives."""
    inner = {"name": "deep", "files": [{"token": lab.upload("b.txt", b"b")}]}
    tree = [{"name": "top", "files": [{"token": lab.upload("a.txt", b"a")}], "directories": [inner]}]
    lab.create_dataset("tree-of-files", {"c.txt": b"c"}, directories=tree)
    assert lab.file_names("tree-of-files") == ["c.txt", "top/a.txt", "top/deep/b.txt"]


def test_a_directory_cannot_climb_out(lab: Lab) -> None:
    tree = [{"name": "../../..", "files": [{"token": lab.upload("a.txt", b"a")}]}]
    version = lab.create_dataset("climbing-tree", {"c.txt": b"c"}, directories=tree)
    assert "leads out" in version["status"]


def test_a_second_version_while_the_first_is_processed_is_denied(lab: Lab) -> None:
    lab.faults.switch_on("dataset-stuck", times=1)
    body = {"ownerSlug": "alice", "slug": "slow-set", "title": "slow set"}
    lab.call("CreateDataset", {**body, "files": [{"token": lab.upload("a.txt", b"a")}]})
    names = {"ownerSlug": "alice", "datasetSlug": "slow-set"}
    again = {**names, "body": {"files": [{"token": lab.upload("b.txt", b"b")}]}}
    assert lab.post("CreateDatasetVersion", again).status_code == 403
    assert lab.post("ListDatasetFiles", names).status_code == 404


def test_old_versions_go_when_asked(lab: Lab) -> None:
    lab.create_dataset("only-newest", {"a.txt": b"a"})
    names = {"ownerSlug": "alice", "datasetSlug": "only-newest"}
    body = {"files": [{"token": lab.upload("b.txt", b"b")}], "deleteOldVersions": True}
    lab.call("CreateDatasetVersion", {**names, "body": body})
    wait_for(lambda: len(lab.call("GetDataset", names)["versions"]) == 1)
    assert lab.post("ListDatasetFiles", {**names, "datasetVersionNumber": 1}).status_code == 404
    assert lab.file_names("only-newest") == ["b.txt"]


def test_status_and_version_tell_of_processing(lab: Lab) -> None:
    """The status is the newest version's, the number that of the last ready one; the stale status is a fault."""
    lab.create_dataset("two-versions", {"a.txt": b"a"})
    lab.faults.switch_on("dataset-stuck", times=1)
    names = {"ownerSlug": "alice", "datasetSlug": "two-versions"}
    lab.call("CreateDatasetVersion", {**names, "body": {"files": [{"token": lab.upload("b.txt", b"b")}]}})
    assert lab.call("GetDatasetStatus", names)["status"] == "NOT_YET_PERSISTED"
    assert lab.call("GetDataset", names)["currentVersionNumber"] == 1
    lab.faults.switch_on("stale-status")
    assert lab.call("GetDatasetStatus", names)["status"] == "READY"


def test_archives_are_unpacked(lab: Lab) -> None:
    """By content, and into a folder with the archive's name; `.whl` and `.tmp` survive, also in Kaggle's hands."""
    archive = zipped("data.pkl")
    files = {"w.pt": archive, "w.tmp": archive, "w.whl": archive, "not.pth": b"plain", "t.csv.gz": gzip.compress(b"1")}
    lab.create_dataset("archives", files)
    assert lab.file_names("archives") == ["not.pth", "t.csv", "w.tmp", "w.whl", "w/data.pkl"]


def test_two_files_of_one_name_fail_the_version(lab: Lab) -> None:
    version = lab.create_dataset("name-clash", {"w.pt": zipped("data.pkl"), "w.zip": zipped("data.pkl")})
    assert version["status"] == "w/data.pkl: two entries of one name"
    wait_for(lambda: not list(lab.store.datasets.rglob("*.part*")))


def test_hundreds_of_files_come_in_pages(lab: Lab) -> None:
    lab.create_dataset("many-files", {"many.zip": zipped(*(f"{number:03}.txt" for number in range(450)))})
    names = {"ownerSlug": "alice", "datasetSlug": "many-files", "pageSize": 1000}
    found, token = [], ""
    while token is not None:
        page = lab.call("ListDatasetFiles", {**names, "pageToken": token})
        assert len(page["datasetFiles"]) <= 200
        found += [file["name"] for file in page["datasetFiles"]]
        token = page["nextPageToken"] or None
    assert found == [f"many/{number:03}.txt" for number in range(450)]
    assert lab.post("ListDatasetFiles", {**names, "pageToken": "rubbish"}).status_code == 400
