"""`rsna doctor`: decoders that are tried, crash and lie; credentials that are never shown; when it fails."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsna.cli.app import app
from rsna.imaging.decoders import CHAINS
from rsna.imaging.stream import Codec
from rsna.workflows import doctor, doctor_accounts, doctor_decoders, doctor_machine
from rsna.workflows.doctor import Finding
from rsna.workflows.doctor_samples import SAMPLES, Sample, make, picture, try_decoder

SECRET = "KGAT_0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each kind."""
    folder = tmp_path_factory.mktemp("samples")
    assert [reason for _, reason in make(folder) if reason] == []
    return folder


@pytest.mark.parametrize("decoder", ["imagecodecs", "pillow", "numpy", "pydicom"])
def test_a_decoder_reads_what_its_chains_promise(samples: Path, decoder: str) -> None:
    reasons = dict(try_decoder(decoder, samples, SAMPLES))
    for sample in SAMPLES:
        assert (reasons[sample.name] == "") or decoder not in CHAINS[sample.codec], (sample.name, reasons[sample.name])
    assert set(reasons.values()) != {""}  # none reads everything, so a wrong file is noticed


def test_other_pixels_are_noticed(samples: Path, tmp_path: Path) -> None:
    eight_bits, twelve_bits = (
        next(s for s in SAMPLES if s.codec == Codec.NATIVE and s.name == n) for n in ("uncompressed", "implicit VR")
    )
    content = (samples / f"{eight_bits.syntax}.dcm").read_bytes()
    pixels = picture(12).tobytes()
    assert pixels in content
    (tmp_path / f"{twelve_bits.syntax}.dcm").write_bytes(content.replace(pixels, pixels[2:] + pixels[:2]))
    assert "other pixels" in dict(try_decoder("numpy", tmp_path, (twelve_bits,)))[twelve_bits.name]


def test_a_crash_is_reported_for_what_it_left_undone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("""#!/bin/sh\necho '["RLE", ""]'\nkill -SEGV $$\n""")
    python.chmod(0o700)
    monkeypatch.setattr(doctor_decoders.sys, "executable", str(python))
    answers = doctor_decoders._ask("try", "gdcm", str(tmp_path))
    assert answers["RLE"] == ""
    assert answers["JPEG-LS"] == "crashed (SIGSEGV)"


@pytest.mark.parametrize(
    ("answers", "unmade", "mark", "words"),
    [
        ({"numpy": {"x": ""}}, "", "ok", "numpy"),
        ({"numpy": {"x": "it broke"}}, "", "!!", "nobody (not numpy: it broke)"),
        ({"numpy": {}}, "", "!!", "it gave no answer"),
        ({"numpy": {"x": ""}}, "no imagecodecs", "!!", "not tried"),
    ],
)
def test_verdicts(answers: dict[str, dict[str, str]], unmade: str, mark: str, words: str) -> None:
    sample = Sample("x", "1.2.840.10008.1.2", Codec.NATIVE, essential=True)
    finding = doctor_decoders._judge(sample, unmade, answers)
    assert finding.mark == mark
    assert words in finding.text


@pytest.mark.slow  # eight processes
def test_all_decoders_of_this_machine_are_tried() -> None:
    findings = {finding.name: finding for finding in doctor_decoders.look_at_decoders()}
    for sample in SAMPLES:
        assert findings[sample.name].mark == "ok", findings[sample.name]
        chain = CHAINS[sample.codec]
        first = chain[1] if sample.name == "JPEG Lossless" else chain[0]  # our own decoder reads predictor 1 only
        assert findings[sample.name].text.split(", ")[0] == first


def test_credentials_are_found_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = tmp_path / ".kaggle" / "access_token"
    token.parent.mkdir()
    token.write_text(SECRET)
    token.chmod(0o644)
    google = tmp_path / "key.json"
    google.write_text(SECRET)
    google.chmod(0o600)
    for name in ("KAGGLE_CONFIG_DIR", "KAGGLE_USERNAME", "KAGGLE_KEY", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google))
    monkeypatch.chdir(tmp_path)
    findings = {finding.name: finding for finding in doctor_accounts.look_at_accounts()}
    assert findings["Kaggle"].text == f"credentials in KAGGLE_API_TOKEN and {token}"
    assert "chmod 600" in findings["Kaggle"].remedy
    assert findings["Cloud Storage"].mark == "ok"
    assert "rsna init" in findings["settings"].remedy
    assert SECRET not in repr(findings)
    token.chmod(stat.S_IRUSR)
    assert doctor_accounts.kaggle_credentials({"HOME": str(tmp_path)}) == [str(token)]
    token.unlink()
    assert doctor_accounts.kaggle_credentials({"HOME": str(tmp_path), "KAGGLE_USERNAME": "alice"}) == []


def test_the_machine_is_described() -> None:
    findings = {finding.name: finding for finding in doctor_machine.look_at_machine()}
    assert str(doctor_machine.cores()) in findings["processor"].text
    assert doctor_machine.memory_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert str(Path.cwd()) in findings["disk"].text
    assert "torch" in findings["GPU"].text


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        (Finding("python", "interpreter", "3.13"), 0),
        (Finding("machine", "GPU", "none", "train on Kaggle"), 0),
        (Finding("decoders", "JPEG 2000", "nobody", "install one", essential=True), 1),
    ],
)
def test_only_what_is_essential_fails(monkeypatch: pytest.MonkeyPatch, finding: Finding, status: int) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: iter([finding]))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == status, done.output
    assert finding.text in done.output
    assert finding.remedy in done.output
