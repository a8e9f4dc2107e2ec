"""Checkpoints: the round trip, damaged and malicious files, atomic writes."""

import json
import os
import pickle
import re
import shutil
import warnings
import zipfile
from dataclasses import replace

import pytest
import torch
import yaml
from conftest import experiment_of

from utils import InputError
from utils.evaluation import results
from utils.experiments import checkpoints
from utils.experiments.config import make_model, snapshot
from utils.experiments.model_card import model_card
from utils.features.extraction import extract
from utils.features.log_mel import pad
from utils.inference.calibration import Calibration
from utils.paths import CHECKPOINTS, COURSE_METADATA


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of a checkpoint, for tests that damage it."""
    return shutil.copytree(trained.checkpoint, tmp_path / "checkpoint")


@torch.no_grad()
def logits(model) -> torch.Tensor:
    clips = [torch.randn(n, 20, generator=torch.Generator().manual_seed(n)) for n in (30, 20, 41)]
    return model.eval()(*pad(clips))


# Round trip


@pytest.mark.parametrize("name", ["linear", "cnn1d"])
def test_round_trip(corpus, trained, tmp_path, name):
    experiment = experiment_of(corpus, name)
    torch.manual_seed(3)
    model = make_model(experiment)
    model.train()(*pad([torch.randn(30, 20), torch.randn(25, 20)]))  # the running statistics are saved too
    checkpoints.save(tmp_path / "made", model, experiment, trained.result)
    loaded, read = checkpoints.load(tmp_path / "made")
    assert read == experiment
    assert not loaded.training
    assert torch.equal(logits(loaded), logits(model))


def test_the_files_of_a_checkpoint(trained):
    assert sorted(path.name for path in trained.checkpoint.iterdir()) == [
        "README.md",
        "best_model.pt",
        "checksums.json",
        "config_snapshot.yaml",
        "metrics.json",
    ]
    weights = torch.load(trained.checkpoint / "best_model.pt", weights_only=True)
    assert list(weights) == ["model_state"]
    assert yaml.safe_load((trained.checkpoint / "config_snapshot.yaml").read_text()) == snapshot(trained.experiment)
    assert json.loads((trained.checkpoint / "metrics.json").read_text()) == trained.result["metrics"]


def test_a_checkpoint_can_be_moved_and_needs_no_clips(trained, folder):
    model, experiment = checkpoints.load(folder)
    (features,) = extract([torch.randn(2000)], experiment.features)
    assert model(features.unsqueeze(0), torch.tensor([len(features)])).shape == (1, 10)
    assert torch.equal(logits(model), logits(checkpoints.load(trained.checkpoint)[0]))


def test_the_model_card(trained, tmp_path):
    model, experiment = checkpoints.load(trained.checkpoint)
    metrics = trained.result["metrics"] | {
        "TEST": {"accuracy": 0.8125, "macro_f1": 0.7654, "n": 16, "per_speaker": {"eve": 0.75, "finn": 0.875}}
    }
    checkpoints.save(tmp_path / "made", model, experiment, trained.result | {"metrics": metrics})
    card = (tmp_path / "made" / "README.md").read_text()
    assert "| TEST | eve, finn | 16 | 0.812 | 0.765 |" in card
    assert "`linear` of 1,010 parameters" in card  # 5 parts of 20 mels, times 10 digits, plus 10 biases
    assert "80 clips of clips; speakers: ada, bob, cleo, dan" in card
    assert "course (seed 0)" in card
    assert "Free Spoken Digit" not in card


def test_the_model_card_of_a_model_of_synthetic_speech_names_no_recordings(trained):
    data = replace(trained.experiment.data, metadata=COURSE_METADATA.name, protocol="zero", synthetic_voices=12)
    card = model_card(replace(trained.experiment, data=data), trained.result | {"train_speakers": []})
    assert "clips of 12 synthetic voices (eSpeak NG); no recorded speaker." in card and "Free Spoken" not in card
    assert "Trained on synthetic voices alone." in card


@pytest.mark.parametrize("folder", sorted(CHECKPOINTS.glob("*/")), ids=lambda path: path.name)
def test_a_committed_model_card_is_that_of_the_stored_result(folder):
    measured = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    stored = [results.load(path) for path in sorted((results.STORE / folder.name).glob("*/seed-*.json"))]
    (result,) = [result for result in stored if result["metrics"] == measured]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == model_card(checkpoints.load(folder)[1], result)


# Damaged checkpoints


@pytest.mark.parametrize("name", ["best_model.pt", "config_snapshot.yaml"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"not a checkpoint: it has no {name}"):
        checkpoints.load(folder)


def test_a_missing_folder_or_a_file_is_refused(tmp_path, folder):
    for path in (tmp_path / "none", folder / "best_model.pt"):
        with pytest.raises(InputError, match="not a checkpoint"):
            checkpoints.load(path)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_weights_are_refused(folder, share):
    content = (folder / "best_model.pt").read_bytes()
    (folder / "best_model.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="best_model.pt: .*damaged") as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_the_weights_is_detected(folder):
    content = bytearray((folder / "best_model.pt").read_bytes())
    content[len(content) // 2] ^= 0x10
    (folder / "best_model.pt").write_bytes(content)
    with pytest.raises(InputError, match="best_model.pt"):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    "other",
    [torch.zeros(3), [1, 2], {"weights": {}}, {"model_state": torch.zeros(3)}, {"model_state": {}}, "text", None],
)
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_other_content_is_refused(folder, other):
    torch.save(other, folder / "best_model.pt")
    with pytest.raises(InputError, match="best_model.pt") as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [torch.bool, torch.int8])
def test_weights_that_are_whole_numbers_are_refused(folder, kind):
    state = torch.load(folder / "best_model.pt")
    state["model_state"]["head.bias"] = state["model_state"]["head.bias"].to(kind)
    torch.save(state, folder / "best_model.pt")
    with pytest.raises(InputError, match="best_model.pt: .*'head.bias' has the type"):
        checkpoints.load(folder)


def test_weights_that_are_too_large_to_compute_with_give_no_answer(folder, corpus):
    state = torch.load(folder / "best_model.pt")
    state["model_state"]["head.bias"] += torch.tensor(3e38)
    state["model_state"]["head.weight"] += 3e38
    torch.save(state, folder / "best_model.pt")
    (folder / "checksums.json").unlink()
    with pytest.raises(InputError, match="answers with NaN"):
        checkpoints.load_recogniser(folder).predict(corpus.clips["path"][:1].tolist())


@pytest.mark.parametrize("name", ["linear", "cnn1d"])
def test_weights_of_another_model_are_refused(corpus, folder, name):
    other = make_model(experiment_of(corpus, name, features={"n_mels": 21}))
    torch.save({"model_state": other.state_dict()}, folder / "best_model.pt")
    with pytest.raises(InputError, match="best_model.pt: its weights do not fit the model that config_snapshot.yaml"):
        checkpoints.load(folder)


def test_a_snapshot_with_an_unknown_key_is_refused(folder):
    path = folder / "config_snapshot.yaml"
    path.write_text(path.read_text().replace("hop_length", "hop_lenght"))
    with pytest.raises(InputError, match="config_snapshot.yaml: features: unknown key 'hop_lenght'.*'hop_length'"):
        checkpoints.load(folder)


class Trap:
    """Creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("way", ["torch.save", "pickle", "within the weights"])
def test_code_in_a_checkpoint_is_refused_and_never_run(folder, tmp_path, way):
    sprung, weights = tmp_path / "sprung", folder / "best_model.pt"
    if way == "pickle":
        weights.write_bytes(pickle.dumps({"model_state": Trap(sprung)}))
    elif way == "torch.save":
        torch.save(Trap(sprung), weights)
    else:
        state = torch.load(weights)
        state["model_state"]["head.bias"] = Trap(sprung)
        torch.save(state, weights)
    with pytest.raises(InputError, match="best_model.pt: not a file of weights") as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert not sprung.exists()
    torch.load(weights, weights_only=False) if way != "pickle" else pickle.loads(weights.read_bytes())
    assert sprung.exists()  # the trap itself works


# Atomic writes


class Killed(BaseException):
    pass


def die(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    "step", ["torch.save", "yaml.safe_dump", "json.dumps", "utils.experiments.checkpoints.model_card"]
)
@pytest.mark.parametrize("exists", [False, True])
def test_a_killed_save_leaves_nothing_or_the_old_checkpoint(trained, tmp_path, monkeypatch, step, exists):
    target = tmp_path / "made"
    model, experiment = checkpoints.load(trained.checkpoint)
    if exists:
        checkpoints.save(target, model, experiment, trained.result)
    torch.manual_seed(5)
    other = make_model(experiment)
    with monkeypatch.context() as patch:
        patch.setattr(step, die)
        with pytest.raises(Killed):
            checkpoints.save(target, other, experiment, trained.result)
    assert list(tmp_path.iterdir()) == ([target] if exists else [])
    if exists:
        assert torch.equal(logits(checkpoints.load(target)[0]), logits(model))


def test_a_checkpoint_replaces_an_older_one_completely(trained, tmp_path):
    target = tmp_path / "made"
    model, experiment = checkpoints.load(trained.checkpoint)
    for _ in range(2):
        checkpoints.save(target, model, experiment, trained.result)
        assert len(list(target.iterdir())) == 5
        checkpoints.save_calibration(target, Calibration())
        (target / "figures").mkdir()
        (target / "figures" / "curves.png").touch()
        (target / "checksums.json").unlink()  # as in checkpoints of older versions
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("file", ["note.txt", "README.md", "figures/mine.txt"])
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a checkpoint"])
def test_a_folder_with_files_of_others_is_never_replaced(trained, tmp_path, file, beside):
    target = tmp_path / "made"
    model, experiment = checkpoints.load(trained.checkpoint)
    if beside:
        if file == "README.md":
            return  # the checkpoint's own
        checkpoints.save(target, model, experiment, trained.result)
    (target / file).parent.mkdir(parents=True, exist_ok=True)
    (target / file).write_text("mine")
    with pytest.raises(InputError, match="not written by this program"):
        checkpoints.save(target, model, experiment, trained.result)
    assert (target / file).read_text() == "mine" and list(tmp_path.iterdir()) == [target]


def test_an_unwritable_place_is_an_input_error(trained, tmp_path):
    (tmp_path / "file").touch()
    model, experiment = checkpoints.load(trained.checkpoint)
    with pytest.raises(InputError, match="could not be written"):
        checkpoints.save(tmp_path / "file" / "made", model, experiment, trained.result)


# Checksums and hostile files


@pytest.mark.parametrize("name", ["best_model.pt", "config_snapshot.yaml", "calibration.json", "checksums.json"])
def test_a_flipped_bit_anywhere_is_refused_or_harmless(trained, folder, name):
    """Harmless: in the padding of the weights' archive, if there were no checksums."""
    checkpoints.save_calibration(folder, Calibration(temperature=1.5, threshold=0.25))
    checkpoints.load_recogniser(folder)
    content = (folder / name).read_bytes()
    for place in range(0, 8 * len(content), max(1, 8 * len(content) // 60)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        (folder / name).write_bytes(damaged)
        with pytest.raises(InputError, match=re.escape(str(folder))) as caught:
            checkpoints.load_recogniser(folder)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_without_checksums_is_loaded(folder):
    """As those of older versions."""
    (folder / "checksums.json").unlink()
    (folder / "calibration.json").write_text('{"temperature": 1.5, "threshold": 0.25}')
    assert checkpoints.load_recogniser(folder).calibration == Calibration(False, 1.5, 0.25)


@pytest.mark.parametrize("folder", sorted(CHECKPOINTS.glob("*/")), ids=lambda path: path.name)
def test_a_committed_checkpoint_matches_its_checksums(folder):
    assert (folder / "checksums.json").is_file()
    checkpoints.load_recogniser(folder)


HOSTILE = {
    "sparse": lambda weight: weight.to_sparse(),
    "sparse by rows": lambda weight: weight.reshape(-1, 1).to_sparse_csr(),
    "on no device": lambda weight: weight.to("meta"),
    "complex": lambda weight: weight.to(torch.complex64),
    "quantised": lambda weight: torch.quantize_per_tensor(weight.reshape(-1, 10), 0.1, 0, torch.qint8),
    "nested": lambda weight: torch.nested.nested_tensor([weight, weight]),
    "NaN": lambda weight: weight * torch.nan,
    "infinite": lambda weight: weight + torch.inf,
    "one NaN": lambda weight: weight.index_fill(0, torch.tensor([0]), torch.nan),
    "of another shape": lambda weight: weight[:1],
    "a terabyte of one number": lambda weight: torch.zeros(1).expand(2**40),
    "a list": lambda weight: weight.tolist(),
    "nothing": lambda weight: None,
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_no_real_numbers_are_refused(folder, change):
    weights = torch.load(folder / "best_model.pt")
    name = max(weights["model_state"], key=lambda name: weights["model_state"][name].numel())
    weights["model_state"][name] = change(weights["model_state"][name])
    torch.save(weights, folder / "best_model.pt")
    with pytest.raises(InputError, match="best_model.pt: ") as caught, warnings.catch_warnings(action="error"):
        checkpoints.load(folder)
    assert "\n" not in str(caught.value) and "checksum" not in str(caught.value)


def test_compressed_or_overlapping_parts_are_refused(folder):
    path = folder / "best_model.pt"
    with zipfile.ZipFile(path) as parts:
        content = {member.filename: parts.read(member) for member in parts.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, data in content.items():
            parts.writestr(name, data)
    with pytest.raises(InputError, match="best_model.pt: .*compress"):
        checkpoints.load(folder)


@pytest.mark.parametrize("name", ["best_model.pt", "config_snapshot.yaml"])
@pytest.mark.parametrize(
    "kind", ["folder", pytest.param("pipe", marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes"))]
)
def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(folder, sdr, corpus, name, kind):
    (folder / name).unlink()
    (folder / name).mkdir() if kind == "folder" else os.mkfifo(folder / name)
    with pytest.raises(InputError, match=f"has no {name}"):
        checkpoints.load(folder)
    sdr("predict", folder, corpus.folder / "0_ada_0.wav").refused(f"has no {name}")


def test_an_absurd_snapshot_is_refused_before_anything_is_allocated(folder):
    path = folder / "config_snapshot.yaml"
    path.write_text(path.read_text().replace("n_fft: 256", f"n_fft: {2**40}"))
    with pytest.raises(InputError, match="config_snapshot.yaml: features: n_fft is 1099511627776.*65,536"):
        checkpoints.load(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", '{"temperature": NaN}', '{"temperature": 1e-300}', "9" * 5000])
def test_a_hostile_calibration_is_refused(folder, text):
    (folder / "calibration.json").write_text(text)
    with pytest.raises(InputError, match="calibration.json: "):
        checkpoints.load_recogniser(folder)


@pytest.mark.parametrize("text", ["null", "[]", "{}", "5", '"sums"'])
def test_checksums_that_are_none_are_not_blamed_on_the_weights(folder, text):
    (folder / "checksums.json").write_text(text)
    with pytest.raises(InputError, match="checksums.json: (expected|has no checksum of best_model.pt)"):
        checkpoints.load_recogniser(folder)


@pytest.mark.parametrize("name", ["calibration.json", "checksums.json"])
def test_a_folder_in_place_of_an_optional_file_is_refused(trained, tmp_path, name):
    """It is not taken for a file that is not there."""
    copy = tmp_path / "model"
    shutil.copytree(trained.checkpoint, copy)
    (copy / name).unlink(missing_ok=True)
    (copy / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: this is a folder"):
        checkpoints.load_recogniser(copy)
