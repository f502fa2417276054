"""Competitions and submissions through the unmodified client; the categories in which a rerun can fail."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kaggle_lab import Lab, wait_for

from rsna.competitions import create_competition
from rsna.competitions.breast import Breast
from rsna.errors import InputError
from rsna.local_kaggle.competitions import add_competition
from rsna.local_kaggle.plain_runner import PlainRunner
from rsna.local_kaggle.server import serving
from rsna.local_kaggle.settings import Settings

# Answers 1 for every left breast in whatever test table is mounted, and leaves what it saw beside the submission.
SUBMIT = """
import os
data = '/kaggle/input/competitions/rsna-breast'
units = open(data + '/test.csv').read().split()[1:]
with open('submission.csv', 'w') as file:
    file.write('prediction_id,cancer\\n' + ''.join(f"{u},{int(u.endswith('L'))}\\n" for u in units))
open('seen.txt', 'w').write(' '.join(sorted(os.listdir(data))))
rerun = os.environ.get('KAGGLE_IS_COMPETITION_RERUN') == '1'
"""


@pytest.fixture
def comp(lab: Lab, breast: Path) -> Lab:
    """The server with the competition `rsna-breast`."""
    add_competition(lab.store, "rsna-breast", breast, "breast")
    return lab


def submit_version(lab: Lab, slug: str, text: str, **fields: Any) -> Any:
    """Push a kernel, wait for it, submit its version, wait for the score; returns the submission."""
    status = lab.run(slug, text, competitionDataSources=["rsna-breast"], **fields)
    assert status["status"] == "COMPLETE", status
    ref = lab.call("CreateCodeSubmission", submission(slug))["ref"]
    wait_for(lambda: lab.call("GetSubmission", {"ref": ref})["status"] != "PENDING")
    return lab.call("GetSubmission", {"ref": ref})


def submission(slug: str, **fields: Any) -> dict[str, Any]:
    names = {"competitionName": "rsna-breast", "kernelOwner": "alice", "kernelSlug": slug, "kernelVersion": 1}
    return {**names, "fileName": "submission.csv", "submissionDescription": "a try", **fields}


def test_data_through_the_client(comp: Lab, tmp_path: Path) -> None:
    """List, files, download of all and of one; nothing hidden is among them."""
    assert "rsna-breast" in comp.kaggle("competitions", "list")
    assert "train_images/1/10.dcm" in comp.kaggle("competitions", "files", "rsna-breast")
    comp.kaggle("competitions", "download", "rsna-breast", "-p", tmp_path)
    with zipfile.ZipFile(tmp_path / "rsna-breast.zip") as archive:
        names = archive.namelist()
    assert names == ["sample_submission.csv", "test.csv", "train.csv", "train_images/1/10.dcm"]
    comp.kaggle("competitions", "download", "rsna-breast", "-f", "train_images/1/10.dcm", "-p", tmp_path)
    assert (tmp_path / "10.dcm").read_bytes() == b"DICM"


@pytest.mark.loop
def test_code_submission_through_the_client(comp: Lab, tmp_path: Path) -> None:
    """Submit, submissions, limits, leaderboard: scored on the hidden data, public and private apart."""
    comp.run("first-submit", SUBMIT, competitionDataSources=["rsna-breast"])
    options = ("-k", "alice/first-submit", "-v", "1", "-f", "submission.csv", "-m", "a first try")
    said = comp.kaggle("competitions", "submit", "rsna-breast", *options)
    assert f"Successfully submitted to {create_competition('breast').title}" in said

    def done() -> bool:
        return "COMPLETE" in comp.kaggle("competitions", "submissions", "rsna-breast")

    wait_for(done)
    assert "1.00000" in comp.kaggle("competitions", "submissions", "rsna-breast")
    assert "Remaining today: 99" in comp.kaggle("competitions", "submission-limits", "rsna-breast")
    assert "1.00000" in comp.kaggle("competitions", "leaderboard", "rsna-breast", "--show")
    comp.kaggle("competitions", "leaderboard", "rsna-breast", "--download", "-p", tmp_path)
    with zipfile.ZipFile(tmp_path / "rsna-breast.zip") as archive:
        assert len(archive.namelist()) == 2
        assert "1.00000" in archive.read("rsna-breast-privateleaderboard.csv").decode()


def test_a_rerun_sees_the_hidden_test_and_not_the_solution(comp: Lab) -> None:
    text = SUBMIT + "print('units', len(units), rerun, open('seen.txt').read())"
    assert submit_version(comp, "what-is-seen", text)["publicScore"] == "1.00000"
    assert "units 2 False" in comp.log("what-is-seen")
    row = comp.store.row("SELECT id FROM sessions WHERE submission IS NOT NULL ORDER BY id DESC")
    assert row is not None
    log = (comp.store.session_folder(row["id"]) / "log.jsonl").read_text()
    assert "units 8 True sample_submission.csv test.csv train.csv train_images" in log


def test_public_and_private_parts_are_scored_apart(comp: Lab) -> None:
    wrong_in_private = SUBMIT.replace("int(u.endswith('L'))", "int(u.endswith('L') and u < '4')")
    told = submit_version(comp, "two-parts", wrong_in_private)
    assert (told["publicScore"], told["privateScore"]) == ("1.00000", "0.00000")


@pytest.mark.parametrize(
    ("slug", "text", "error"),
    [
        ("throws", SUBMIT + "assert not rerun", "Notebook Threw Exception"),
        ("leaves-none", SUBMIT + "if rerun: os.remove('submission.csv')", "Submission CSV Not Found"),
        ("one-short", SUBMIT.replace("[1:]", "[1:3]"), "Submission Scoring Error"),
        ("no-number", SUBMIT + "if rerun: open('submission.csv', 'a').write('x,nan')", "Submission Scoring Error"),
        ("not-text", SUBMIT + r"if rerun: open('submission.csv', 'wb').write(b'\xff\x00')", "Submission Scoring Error"),
    ],
)
def test_failures_have_kaggles_categories(comp: Lab, slug: str, text: str, error: str) -> None:
    told = submit_version(comp, slug, text)
    assert (told["status"], told["errorDescription"]) == ("ERROR", error)
    assert told["publicScore"] == ""


def test_the_true_reason_is_kept_for_the_owner(comp: Lab) -> None:
    ref = submit_version(comp, "why-it-failed", SUBMIT.replace("[1:]", "[1:3]"))["ref"]
    row = comp.store.row("SELECT detail FROM submissions WHERE id = ?", ref)
    assert row is not None
    assert "6 of 8 ids are missing" in row["detail"]


def test_a_rerun_has_a_time_limit_of_its_own(tmp_path: Path, breast: Path) -> None:
    with serving(tmp_path / "state", PlainRunner(), "alice", Settings(rerun_seconds=0.5)) as connection:
        lab = Lab(tmp_path / "state", connection)
        add_competition(lab.store, "rsna-breast", breast, "breast")
        told = submit_version(lab, "slow-rerun", SUBMIT + "if rerun:\n    import time; time.sleep(60)")
        assert told["errorDescription"] == "Notebook Timeout"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"kernelVersion": 7}, "version 7"),
        ({"kernelVersion": None}, "version"),
        ({"fileName": "other.csv"}, "other.csv"),
        ({"fileName": None}, "output file"),
        ({"fileName": "../../log.jsonl"}, "output file"),
    ],
)
def test_code_submissions_are_checked(comp: Lab, fields: dict[str, Any], word: str) -> None:
    comp.run("checked-code", SUBMIT, competitionDataSources=["rsna-breast"])
    response = comp.post("CreateCodeSubmission", submission("checked-code", **fields))
    assert response.status_code == 400
    assert word in response.json()["message"]


def test_what_a_code_competition_does_not_take(comp: Lab) -> None:
    """The internet, a kernel without the data, a failed kernel, an unknown kernel or competition, a file."""
    comp.run("with-internet", SUBMIT, competitionDataSources=["rsna-breast"], enableInternet=True)
    assert "internet" in comp.post("CreateCodeSubmission", submission("with-internet")).json()["message"]
    comp.run("without-data", "open('submission.csv', 'w')")
    assert "attached" in comp.post("CreateCodeSubmission", submission("without-data")).json()["message"]
    comp.run("failed-submit", SUBMIT + "assert rerun", competitionDataSources=["rsna-breast"])
    assert "not completed" in comp.post("CreateCodeSubmission", submission("failed-submit")).json()["message"]
    assert comp.post("CreateCodeSubmission", submission("unknown-code")).status_code == 403
    other = submission("with-internet", competitionName="unknown")
    assert comp.post("CreateCodeSubmission", other).status_code == 404
    response = comp.post("CreateSubmission", {"competitionName": "rsna-breast", "blobFileTokens": "x"})
    assert "only accepts Submissions made from Notebooks" in response.json()["message"]


@pytest.fixture
def file_kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The breast competition as one that takes files."""
    monkeypatch.setattr(Breast, "kind", "file")
    return None


@pytest.mark.usefixtures("file_kind")
def test_file_submission_through_the_client(comp: Lab, tmp_path: Path, breast: Path) -> None:
    solution = (breast / "hidden" / "solution.csv").read_text()
    good = "".join(",".join(line.split(",")[:2]) + "\n" for line in solution.splitlines())
    (tmp_path / "good.csv").write_text(good)
    said = comp.kaggle("competitions", "submit", "rsna-breast", "-f", tmp_path / "good.csv", "-m", "by hand")
    assert "Successfully submitted" in said
    wait_for(lambda: latest(comp)["status"] != "PENDING")
    assert latest(comp)["privateScore"] == "1.00000"


@pytest.mark.usefixtures("file_kind")
def test_a_bad_file_is_told_its_reason(comp: Lab) -> None:
    started = {"competitionName": "rsna-breast", "fileName": "bad.csv", "contentLength": 4}
    answer = comp.call("StartSubmissionUpload", started)
    with comp.http() as client:
        assert client.put(answer["createUrl"], content=b"a,b\n").status_code == 200
    comp.call("CreateSubmission", {"competitionName": "rsna-breast", "blobFileTokens": answer["token"]})
    wait_for(lambda: latest(comp)["status"] != "PENDING")
    assert "its header is a,b and must be prediction_id,cancer" in latest(comp)["errorDescription"]


def latest(lab: Lab) -> Any:
    return lab.call("ListSubmissions", {"competitionName": "rsna-breast"})["submissions"][0]


def test_the_daily_limit(tmp_path: Path, breast: Path) -> None:
    with serving(tmp_path / "state", PlainRunner(), "alice", Settings(submissions_per_day=1)) as connection:
        lab = Lab(tmp_path / "state", connection)
        add_competition(lab.store, "rsna-breast", breast, "breast")
        submit_version(lab, "only-one", SUBMIT)
        response = lab.post("CreateCodeSubmission", submission("only-one"))
        assert response.status_code == 400
        assert "daily Submission allowance (1)" in response.json()["message"]
        limits = lab.call("GetSubmissionLimits", {"competitionName": "rsna-breast"})
        assert limits == {"numToday": 1, "numTotal": 1, "numAllowedNow": 0}


def test_rules_that_were_not_accepted(comp: Lab) -> None:
    comp.faults.switch_on("rules-not-accepted")
    assert "accept" in comp.kaggle("competitions", "download", "rsna-breast", status=1)
    code = "import os\nprint(os.path.exists('/kaggle/input/competitions'))"
    comp.run("no-rules", code, competitionDataSources=["rsna-breast"])
    assert comp.log("no-rules") == "False\n"


def test_folders_are_checked(lab: Lab, breast: Path) -> None:
    with pytest.raises(InputError, match="no competition name"):
        add_competition(lab.store, "Rsna Breast", breast, "breast")
    with pytest.raises(InputError, match="there is no competition 'chest'"):
        add_competition(lab.store, "rsna-chest", breast, "chest")
    (breast / "hidden" / "solution.csv").unlink()
    with pytest.raises(InputError, match=r"no hidden/solution\.csv"):
        add_competition(lab.store, "rsna-breast", breast, "breast")
