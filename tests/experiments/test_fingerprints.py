"""Fingerprints change with the code and the word lists that a training depends on, and with nothing else."""

import pytest

from utils.experiments import fingerprints


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("utils/training/loop.py", True),
        ("model_baseline/linear.py", True),
        ("utils/data/corpora/noises.py", True),
        ("utils/data/splits.py", True),
        ("utils/data/synthesis/words.yaml", True),
        ("utils/data/synthesis/engines/espeak.py", True),
        ("utils/data/synthesis/README.md", False),
        ("utils/evaluation/figures.py", False),
    ],
)
def test_a_fingerprint_covers_what_a_training_depends_on(tmp_path, monkeypatch, changed, matters):
    for name in fingerprints.LEARNING:
        path = tmp_path / name
        (path if name.endswith(".py") else path / "module.py").parent.mkdir(parents=True, exist_ok=True)
        (path if name.endswith(".py") else path / "module.py").write_text("x = 1\n")
    file = tmp_path / changed
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x = 1\n")
    monkeypatch.setattr(fingerprints, "PROJECT", tmp_path)
    before = fingerprints.code_digests()
    file.write_text("x = 2\n")
    assert (fingerprints.code_digests() != before) == matters


def test_the_files_of_the_fingerprint_exist():
    assert all((fingerprints.PROJECT / name).exists() for name in fingerprints.LEARNING)
