"""A walk through the client's commands with the unmodified `kaggle`: what it lists, writes, fetches and shows."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from kaggle_lab import Lab, wait_for

from rsna.errors import InputError
from rsna.local_kaggle.competitions import add_competition

TREE = "import os\nos.mkdir('deep')\nopen('deep/a.csv', 'w').write('a')\nopen('b.txt', 'w').write('b')\nprint('said')"


def table(said: str) -> list[dict[str, str]]:
    """The rows of `--csv`, which come after what else is said."""
    lines = said.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(("ref,", "name,", "teamId,")))
    return list(csv.DictReader(io.StringIO("\n".join(lines[first:]))))


def refs(said: str) -> list[str]:
    return [row["ref"] for row in table(said)]


def fill(path: Path, **values: Any) -> None:
    """Fill in a template of the client's."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_datasets_from_the_template_to_the_end(lab: Lab, tmp_path: Path) -> None:
    """init, create, status, files, version, download of old and new, metadata, delete."""
    assert "template written" in lab.kaggle("d", "init", "-p", tmp_path)
    metadata = tmp_path / "dataset-metadata.json"
    assert json.loads(metadata.read_text())["id"] == "alice/INSERT_SLUG_HERE"
    (tmp_path / "data.csv").write_text("a,b\n")
    assert "Default slug" in lab.kaggle("d", "create", "-p", tmp_path, status=1)
    fill(metadata, id="alice/from-template", title="From a template")
    assert "public Dataset" in lab.kaggle("d", "create", "-p", tmp_path, "--public", "-t", "-r", "skip")
    lab.wait_dataset("from-template")
    assert [row["name"] for row in table(lab.kaggle("d", "files", "alice/from-template", "--csv"))] == ["data.csv"]

    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    assert "version is being created" in lab.kaggle("d", "version", "-p", tmp_path, "-m", "with a row", "-q")
    assert lab.wait_dataset("from-template")["versionNotes"] == "with a row"
    for version, text in (("/1", "a,b\n"), ("", "a,b\n1,2\n")):
        lab.kaggle("d", "download", f"alice/from-template{version}", "-p", tmp_path / f"v{version}", "--unzip", "-q")
        assert (tmp_path / f"v{version}" / "data.csv").read_text() == text
    lab.kaggle("d", "metadata", "alice/from-template", "-p", tmp_path / "told")
    assert json.loads((tmp_path / "told" / metadata.name).read_text())["info"]["title"] == "From a template"
    lab.kaggle("d", "delete", "alice/from-template", "--yes")
    assert "denied" in lab.kaggle("d", "files", "alice/from-template", status=1)


def test_dataset_lists(lab: Lab) -> None:
    """Whose, which words, licence, type and size; order and pages."""
    text = b"x" * 1000
    lab.create_dataset("list-first", {"a.csv": text}, licenseName="CC0-1.0", isPrivate=None, categoryIds=["internet"])
    lab.create_dataset("list-second", {"a.json": text * 5}, licenseName="other")
    names = {"ownerSlug": "alice", "datasetSlug": "list-first"}
    lab.call("CreateDatasetVersion", {**names, "body": {"files": [{"token": lab.upload("a.csv", text)}]}})
    lab.wait_dataset("list-first")

    def listed(*options: str) -> list[str]:
        return refs(lab.kaggle("d", "list", "-s", "list-", "--csv", *options))

    first, second = "alice/list-first", "alice/list-second"
    assert listed("--mine") == [second, first]
    assert listed("--mine", "--sort-by", "updated") == [first, second]
    assert listed() == [first]  # without --mine, what is public
    assert listed("--user", "alice", "--file-type", "json") == [second]
    assert listed("--user", "alice", "--license", "cc", "--tags", "internet") == [first]
    assert listed("--user", "alice", "--min-size", "1001", "--max-size", "9000") == [second]
    assert listed("--mine", "--page-size", "1", "--page", "2") == [first]
    assert "No datasets found" in lab.kaggle("d", "list", "--user", "bob")


@pytest.fixture(scope="module")
def ran(server: Lab) -> Lab:
    """A private and a public kernel that have run, the one after the other."""
    server.create_dataset("kernel-source", {"a.txt": b"a"})
    server.run("walk-first", TREE, datasetDataSources=["alice/kernel-source"])
    server.run("walk-second", "print('nothing')", isPrivate=False)
    server.run("walk-first", TREE, datasetDataSources=["alice/kernel-source"])
    return server


def test_kernel_lists(ran: Lab) -> None:
    def listed(*options: str) -> list[str]:
        return refs(ran.kaggle("k", "list", "-s", "walk", "-v", *options))

    first, second = "alice/walk-first", "alice/walk-second"
    assert listed("-m") == [second, first]
    assert listed("-m", "--sort-by", "dateRun") == [first, second]
    assert listed() == [second]  # without -m, what is public
    assert listed("--user", "alice", "--dataset", "alice/kernel-source", "--language", "python") == [first]
    assert listed("--user", "alice", "--kernel-type", "script", "--output-type", "data") == [first]
    assert listed("-m", "--page-size", "1", "-p", "2") == [first]
    for options in (("--parent", "alice/walk-first"), ("--competition", "titanic"), ("--kernel-type", "notebook")):
        assert "Not found" in ran.kaggle("k", "list", "-s", "walk", *options)


def test_output_of_a_kernel(ran: Lab, tmp_path: Path) -> None:
    """status, files in pages, output by pattern and whole, logs."""
    assert 'has status "KernelWorkerStatus.COMPLETE"' in ran.kaggle("k", "status", "alice/walk-first")
    page = ran.kaggle("k", "files", "alice/walk-first", "-v", "--page-size", "1")
    token = page.split("Next Page Token = ")[1].splitlines()[0]
    rest = ran.kaggle("k", "files", "alice/walk-first", "-v", "--page-token", token)
    assert [row["name"] for row in (*table(page), *table(rest))] == ["b.txt", "deep/a.csv"]
    assert "Invalid page token" in ran.kaggle("k", "files", "alice/walk-first", "--page-token", "abcd", status=1)
    ran.kaggle("k", "output", "alice/walk-first", "-p", tmp_path / "some", "--file-pattern", r".*\.csv")
    assert [path.name for path in (tmp_path / "some").rglob("*.*")] == ["walk-first.log", "a.csv"]
    ran.kaggle("k", "output", "alice/walk-first", "-p", tmp_path / "all")
    assert (tmp_path / "all/deep/a.csv").read_text() == "a"
    assert "said" in (tmp_path / "all/walk-first.log").read_text()
    assert "said" in ran.kaggle("k", "logs", "alice/walk-first")


def test_a_kernel_from_the_template_pulled_and_pushed_again(lab: Lab, tmp_path: Path) -> None:
    """init, push, pull with metadata, the next version, delete."""
    lab.kaggle("k", "init", "-p", tmp_path)
    metadata = tmp_path / "kernel-metadata.json"
    values = {"id": "alice/pull-me", "title": "Pull me", "code_file": "x.py", "language": "python"}
    fill(metadata, **values, kernel_type="script", enable_internet="false")
    (tmp_path / "x.py").write_text("print(1)")
    assert "Kernel version 1 successfully pushed" in lab.kaggle("k", "push", "-p", tmp_path)
    lab.wait_kernel("pull-me")
    lab.kaggle("k", "pull", "alice/pull-me", "-p", tmp_path / "pulled", "-m")
    told = json.loads((tmp_path / "pulled" / metadata.name).read_text())
    assert (told["id"], told["enable_internet"], told["is_private"]) == ("alice/pull-me", False, True)
    assert (tmp_path / "pulled" / told["code_file"]).read_text() == "print(1)"
    assert "Kernel version 2 successfully pushed" in lab.kaggle("k", "push", "-p", tmp_path / "pulled")
    lab.wait_kernel("pull-me")
    lab.kaggle("k", "delete", "alice/pull-me", "--yes")
    assert "denied" in lab.kaggle("k", "status", "alice/pull-me", status=1)


@pytest.fixture
def taking_files(lab: Lab, breast: Path) -> Lab:
    add_competition(lab.store, "takes-files", breast, "breast", "file")
    add_competition(lab.store, "takes-code", breast, "breast")
    return lab


def test_a_competition_that_takes_files(taking_files: Lab, breast: Path, tmp_path: Path) -> None:
    """submit, submissions, leaderboard shown and fetched, limits."""
    lab, path = taking_files, tmp_path / "submission.csv"
    solution = csv.DictReader((breast / "hidden" / "solution.csv").open())
    path.write_text("prediction_id,cancer\n" + "".join(f"{r['prediction_id']},{r['cancer']}\n" for r in solution))
    assert "Successfully submitted" in lab.kaggle("c", "submit", "takes-files", "-f", path, "-m", "by hand")
    lab.kaggle("c", "submit", "takes-code", "-f", path, "-m", "by hand", status=1)
    newest = {"competitionName": "takes-files"}
    wait_for(lambda: lab.call("ListSubmissions", newest)["submissions"][0]["status"] != "PENDING")
    [row] = table(lab.kaggle("c", "submissions", "takes-files", "-v", "-q"))
    assert (row["fileName"], row["description"], row["publicScore"]) == ("submission.csv", "by hand", "1.00000")
    assert [row["teamName"] for row in table(lab.kaggle("c", "leaderboard", "takes-files", "-s", "-v"))] == ["alice"]
    lab.kaggle("c", "leaderboard", "takes-files", "-d", "-q", "-p", tmp_path)
    with zipfile.ZipFile(tmp_path / "takes-files.zip") as archive:
        assert "alice" in archive.read("takes-files-publicleaderboard.csv").decode()


def test_competition_lists_and_files(taking_files: Lab, tmp_path: Path) -> None:
    lab = taking_files
    listed = lab.kaggle("c", "list", "--group", "entered", "--category", "research", "-s", "takes", "-v")
    assert [ref.rsplit("/", 1)[1] for ref in refs(listed)] == ["takes-code", "takes-files"]
    for options in (("--category", "featured"), ("--group", "hosted"), ("-s", "chess")):
        assert "No competitions found" in lab.kaggle("c", "list", *options)
    page = lab.kaggle("c", "files", "takes-code", "--page-size", "3", "-v", "-q")
    assert [row["name"] for row in table(page)] == ["sample_submission.csv", "test.csv", "train.csv"]
    lab.kaggle("c", "download", "takes-code", "-f", "test.csv", "-p", tmp_path)
    assert (tmp_path / "test.csv").read_text().startswith("prediction_id\n")


def test_a_competition_takes_code_or_files(lab: Lab, breast: Path) -> None:
    with pytest.raises(InputError, match="no kind of competition 'papers'"):
        add_competition(lab.store, "takes-papers", breast, "breast", "papers")


def test_config_and_quota(lab: Lab) -> None:
    said = lab.kaggle("config", "view")
    assert "username: alice" in said
    assert lab.connection.token not in said
    assert "30" in lab.kaggle("quota")


def test_what_is_not_there_says_so(lab: Lab) -> None:
    for command in (("models", "list"), ("forums", "list")):
        assert "The local Kaggle does not serve" in lab.kaggle(*command, status=1)
