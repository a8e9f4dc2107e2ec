"""The exported model of a checkpoint answers in place of PyTorch: with the same answers, and only if it is in step."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from utils.commands.main import main
from utils.data.audio import read_audio
from utils.data.metadata import read_metadata
from utils.experiments.checkpoint_folder import (
    CHECKSUMS,
    DEFAULT,
    EXPORTED,
    SNAPSHOT,
    STRINGS,
    WEIGHTS,
    exported_sum,
    load_exported,
)
from utils.experiments.checkpoints import load_recogniser, save_calibration
from utils.inference.calibration import Calibration
from utils.paths import COURSE_METADATA, PROJECT, speech_data

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def kept(trained, tmp_path_factory) -> Path:
    """A checkpoint with a calibration and its exported model."""
    folder = tmp_path_factory.mktemp("kept") / "checkpoint"
    shutil.copytree(trained.checkpoint, folder)
    save_calibration(folder, Calibration(temperature=0.8, threshold=0.5))
    main(["export", str(folder), "--keep"])
    return folder


@pytest.fixture
def copy(kept, tmp_path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "checkpoint"))


def assert_same_answers(folder: Path, waveforms: list[np.ndarray]) -> None:
    exported, recogniser = load_exported(folder), load_recogniser(folder)
    assert exported is not None, f"{folder} has no exported model that is in step: `sdr export {folder} --keep`"
    assert (exported.name, exported.sample_rate) == (recogniser.name, recogniser.sample_rate)
    for found, wanted in zip(exported.recognise(waveforms), recogniser.recognise(waveforms), strict=True):
        assert found.digit == wanted.digit
        assert dict(found.ranking) == pytest.approx(dict(wanted.ranking), abs=1e-3)


def test_the_answers_are_those_of_pytorch(kept, corpus):
    waveforms = [read_audio(path, 8000) for path in corpus.clips["path"]]
    longer = np.concatenate([waveforms[0], np.zeros(12_000, np.float32), waveforms[1]])  # its words are found first
    assert_same_answers(kept, [*waveforms, longer])


@pytest.mark.skipif(not (speech_data() / "0_lucas_0.wav").exists(), reason="the clips of the course are not available")
def test_the_project_s_own_model_answers_as_by_pytorch():
    clips = read_metadata(COURSE_METADATA).query("split == 'DEV'")
    assert_same_answers(DEFAULT, [read_audio(path, 8000) for path in clips["path"]])


@pytest.mark.skipif(not (speech_data() / "0_lucas_0.wav").exists(), reason="the clips of the course are not available")
def test_the_project_s_own_model_of_strings_answers_as_by_pytorch():
    clips = read_metadata(COURSE_METADATA).query("split == 'DEV'").sample(40, random_state=0)
    sound = np.concatenate([read_audio(path, 8000) for path in clips["path"]])
    assert_same_answers(STRINGS, [sound[start : start + 8000] for start in range(0, 64_000, 8000)])
    exported, recogniser = load_exported(STRINGS), load_recogniser(STRINGS)
    found, wanted = exported.recognise_words(sound), recogniser.recognise_words(sound)
    assert len(wanted) > 25
    for word, same in zip(found, wanted, strict=True):
        assert word.prediction.digit == same.prediction.digit
        assert (word.start, word.end) == pytest.approx((same.start, same.end), abs=1e-3)
        assert word.prediction.probability == pytest.approx(same.prediction.probability, abs=1e-3)


@pytest.mark.skipif(not (speech_data() / "0_lucas_0.wav").exists(), reason="the clips of the course are not available")
@pytest.mark.parametrize("noise_db", [-80, -60, -40])
def test_the_project_s_own_model_of_strings_hears_no_digit_in_the_silence_after_words(noise_db):
    names = ("7_lucas_2", "2_lucas_2", "4_george_1", "0_jackson_0", "8_lucas_0", "3_theo_0", "5_yweweler_1")
    words = np.concatenate([read_audio(speech_data() / f"{name}.wav", 8000) for name in names])
    sound = np.pad(words, (16_000, 64_000))
    sound += 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(len(sound))
    found = load_exported(STRINGS).recognise_words(sound.astype(np.float32))
    assert len(found) >= 6 and all(1.9 <= word.start < 2 + len(words) / 8000 for word in found)


def test_sdr_predict_prints_the_same_with_either(sdr, kept, copy, corpus, tmp_path):
    (copy / EXPORTED).unlink()
    files = [corpus.folder / "7_eve_1.wav", tmp_path / "none.wav", corpus.folder / "3_finn_0.wav"]
    for options in ([], ["--json"], ["--top", "3", "--json"], ["--several", "--json"]):
        quick, slow = (sdr("predict", folder, *files, *options) for folder in (kept, copy))
        assert (quick.status, quick.err) == (slow.status, slow.err) == (2, f"sdr: {files[1]}: there is no such file\n")
        if "--json" in options:
            assert [list(answer) for answer in json.loads(quick.out)] == [list(a) for a in json.loads(slow.out)]
        assert [line[0] for line in quick.out.splitlines()] == [line[0] for line in slow.out.splitlines()]


@pytest.mark.parametrize("command", [["predict"], ["predict", "--several", str(STRINGS)], ["listen", "--file"]])
def test_an_answer_needs_neither_pytorch_nor_other_large_packages(kept, corpus, command):
    said = command if len(command) > 1 else [*command, str(kept)]
    code = f"""
        import sys
        from utils.commands.main import main
        main({[*said, str(corpus.folder / "7_eve_1.wav")]!r})
        print(*sorted({{"torch", "torchaudio", "librosa", "pandas", "scipy", "sklearn"}} & set(sys.modules)))
    """
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    started = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(started, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("\n\n") and len(done.stdout) > 2 and done.stderr == ""
    assert done.stdout.startswith("7 ") or command != ["predict"]


@pytest.mark.parametrize("file", [EXPORTED, WEIGHTS, SNAPSHOT, CHECKSUMS])
def test_a_damaged_file_is_never_answered_from(copy, file):
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    assert load_exported(copy) is None


def test_an_export_of_another_calibration_is_not_used(copy):
    save_calibration(copy, Calibration(temperature=0.8, threshold=0.6))
    assert load_exported(copy) is None


def test_without_onnxruntime_pytorch_answers(sdr, kept, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "utils.inference.exported", raising=False)
    assert load_exported(kept) is None
    assert sdr("predict", kept, corpus.folder / "7_eve_1.wav").out.startswith("7 ")


def test_a_checkpoint_keeps_the_whole_model_only(sdr, kept):
    sdr("export", kept, "--keep", "--int8").refused("--keep", "--int8")


def put_stranger_s(copy, nodes: list[tuple], rate: str = "8000") -> None:
    """Make the exported model of a checkpoint another one, with the right checksum."""
    onnx = pytest.importorskip("onnx")
    kind, make = onnx.TensorProto.FLOAT, onnx.helper
    sound, out = (make.make_tensor_value_info(name, kind, [1, f"{name}_length"]) for name in ("waveform", "out"))
    tenths = make.make_tensor("tenths", kind, [1, 10], [0.1] * 10)
    zeros = make.make_tensor("zeros", kind, [1, 2000], [0.0] * 2000)
    graph = make.make_graph([make.make_node(*node) for node in nodes], "other", [sound], [out], [tenths, zeros])
    model = make.make_model(graph, ir_version=9, opset_imports=[make.make_opsetid("", 18)])
    make.set_model_props(model, {"name": "other", "sample_rate": rate, "threshold": "0.5"})
    onnx.save(model, copy / EXPORTED)
    renew_sums(copy)


def renew_sums(copy) -> None:
    sums = json.loads((copy / CHECKSUMS).read_text()) | {EXPORTED: exported_sum(copy)}
    (copy / CHECKSUMS).write_text(json.dumps(sums))


@pytest.mark.parametrize("rate", ["8000", "0", "99999999999999999999"])
def test_an_exported_model_of_a_stranger_is_not_used(copy, rate):
    """It gives back the waveform instead of probabilities."""
    put_stranger_s(copy, [("Identity", ["waveform"], ["out"])], rate)
    assert load_exported(copy) is None


def test_an_exported_model_that_is_damaged_prints_nothing(copy, capfd):
    """The name of an operation is no text, so onnxruntime cannot even say what is wrong."""
    put_stranger_s(copy, [("Identity", ["waveform"], ["out"])])
    (copy / EXPORTED).write_bytes((copy / EXPORTED).read_bytes().replace(b"Identity", b"Identit\xec"))
    renew_sums(copy)
    assert load_exported(copy) is None and capfd.readouterr() == ("", "")


@pytest.mark.parametrize("loudness", [("Abs", ["waveform"], ["loud"]), ("Add", ["waveform", "zeros"], ["loud"])])
def test_an_exported_model_that_answers_in_silence_alone_is_told_in_one_line(sdr, copy, corpus, loudness):
    """Its "probabilities" grow with the sound, or it takes only so many samples."""
    put_stranger_s(copy, [loudness, ("ReduceSum", ["loud"], ["sum"]), ("Add", ["tenths", "sum"], ["out"])])
    assert load_exported(copy) is not None
    sdr("predict", copy, corpus.folder / "7_eve_1.wav").refused("'other' does not answer", "delete its model.onnx")
