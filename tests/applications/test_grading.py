"""Grading: honest submissions get what they are worth, forged ones are caught, and bad ones are told in one line."""

import json
import pickle
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import tone, write_bytes, write_metadata, write_wav
from grading_helpers import HONEST, forged, input_error, means, state_accuracy, write_fork

import model_neural
from utils.applications.grading import conduct, sandbox, seal, worker
from utils.applications.grading.grade import change, grade
from utils.applications.grading.page import PICTURES, write_page
from utils.applications.grading.sandbox import Limits
from utils.applications.grading.submission import find, opened, stated_accuracy
from utils.applications.grading.text import text
from utils.data.metadata import read_split
from utils.experiments.contract import CHECKS
from utils.features.log_mel import FeatureConfig


@pytest.fixture
def here(monkeypatch):
    """Run submissions in this process, which takes no time to start, instead of in the sandbox."""
    monkeypatch.setattr(model_neural, "__path__", list(model_neural.__path__))

    def run(work: Path, limits: Limits) -> str:
        answer = worker.answer(work) | {"limits": {"files": False, "resources": False}, "attempts": []}
        (work / seal.ANSWER).write_text(json.dumps(answer))
        del model_neural.__path__[0]
        for name in [name for name in sys.modules if name.startswith("model_neural.mean")]:
            del sys.modules[name]
        return ""

    monkeypatch.setattr(sandbox, "_run", run)


@pytest.fixture
def graded(corpus):
    """`graded(submission)`: its grade on the unseen speakers of the corpus, without references."""
    clips = read_split(corpus.metadata, "TEST")
    return lambda path, claimed=None, **given: grade(path, clips, claimed, references={}, **given)


def broken(made) -> set[str]:
    return {name for name, message in made.broken.items() if message}


# Honest submissions


def test_an_honest_fork_keeps_everything(here, graded, corpus, tmp_path):
    made = graded(write_fork(tmp_path / "ada", corpus), claimed=0.8)
    assert made.measured["accuracy"] > 0.9 and made.measured["n"] == 20
    assert not broken(made) and made.claim_holds and not made.leakage.found
    assert {"shapes", "padding", "batch", "weights", "batch-mates", "isolation"} <= made.broken.keys()
    assert made.parameters == 410 and made.model == "mean" and made.leakage.compared == 80


def test_json_has_the_documented_keys(here, corpus, tmp_path):
    clips = read_split(corpus.metadata, "TEST")
    made = grade(write_fork(tmp_path / "ada", corpus), clips, 0.9, references={"chance": np.arange(20) % 10})
    values = json.loads(json.dumps(made.to_dict()))
    assert list(values) == [
        "accuracy", "macro_f1", "n", "interval", "claimed", "claim_holds", "contract", "references", "per_speaker",
    ]  # fmt: skip
    assert set(values["references"]["chance"]) == {"accuracy", "difference", "interval", "p_value"}
    assert values["contract"]["padding"] is True and values["claim_holds"] is True
    assert values["interval"][0] <= values["accuracy"] <= values["interval"][1]
    assert set(values["per_speaker"]) == {"eve", "finn"}


def test_the_grade_is_that_of_evaluation(here, graded, corpus, trained):
    made = graded(trained.checkpoint)
    test = trained.result["metrics"]["TEST"]
    assert made.measured["accuracy"] == test["accuracy"] and made.measured["macro_f1"] == test["macro_f1"]
    assert made.claimed == test["accuracy"] and made.claim_holds  # as its metrics.json states


def test_a_zip_is_graded_like_its_folder(here, graded, corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus)
    packed = Path(shutil.make_archive(str(tmp_path / "bob"), "zip", tmp_path, "fork"))
    assert graded(packed).to_dict() == graded(fork).to_dict()


def test_a_checkpoint_within_a_fork_has_the_forks_network(here, graded, corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus)
    assert graded(fork / "runs" / "mean").model == "mean"


def test_files_that_the_grader_does_not_use_are_named(corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus)
    (fork / "utils" / "features").mkdir(parents=True)
    (fork / "utils" / "features" / "log_mel.py").write_text("# mine")
    with opened(fork) as submission:
        assert submission.changed() == ["utils/features/log_mel.py"]


def test_references_are_compared_on_the_same_clips(here, corpus, tmp_path):
    clips = read_split(corpus.metadata, "TEST")
    labels = clips["label"].to_numpy()
    others = {"perfect": labels, "hopeless": (labels + 1) % 10}
    made = grade(write_fork(tmp_path / "ada", corpus), clips, references=others)
    own = made.measured["accuracy"]
    perfect, hopeless = made.references["perfect"], made.references["hopeless"]
    assert perfect.accuracy == 1 and perfect.difference == pytest.approx(own - 1)
    assert hopeless.difference == pytest.approx(own) and hopeless.p_value < 0.001 < hopeless.interval[0]


def test_the_page_has_pictures_and_players(here, graded, corpus, tmp_path):
    made = graded(write_fork(tmp_path / "a<b>", corpus, forged("logits = logits.roll(1, 1)")), claimed=0.9)
    write_page(made, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "a&lt;b&gt;" in html and "a<b>" not in html
    assert html.count("data:image/png;base64,") == len(PICTURES)
    assert html.count("<audio") == 20 and "refuted" in html


# Forged submissions


LOOKUP = """
from pathlib import Path
table = torch.load(Path(__file__).with_name("table.pt"))
logits = logits.clone()
for row, mean in enumerate(self.means(features, lengths)):
    distance = (table["means"] - mean).abs().amax(1)
    if distance.min() < 1e-3:
        logits[row, table["labels"][distance.argmin()]] += 100
"""


def test_predictions_that_do_not_follow_from_the_weights(here, graded, corpus, tmp_path):
    """The model finds the clips in a table, by what they sound like."""
    fork = write_fork(tmp_path / "fork", corpus, forged(LOOKUP))
    clips = read_split(corpus.metadata, "TEST")
    table = {"means": torch.tensor(means(clips["path"].tolist())), "labels": torch.tensor(clips["label"].to_numpy())}
    torch.save(table, fork / "model_neural" / "table.pt")
    torch.manual_seed(0)
    state = {"linear.weight": 0.1 * torch.randn(10, 40), "linear.bias": torch.zeros(10)}
    torch.save({"model_state": state}, fork / "runs" / "mean" / "best_model.pt")
    made = graded(fork)
    assert made.measured["accuracy"] == 1
    assert broken(made) == {"weights", "small-changes"}


def test_a_number_that_the_clips_refute(here, graded, corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus, forged("logits = logits * (logits.argmax(1, keepdim=True) < 5)"))
    state_accuracy(fork, 0.99)
    made = graded(fork)
    assert made.claimed == 0.99 and made.claim_holds is False
    assert graded(fork, claimed=0.5).claim_holds


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"TEST": {"accuracy": 98.4}}', "from 0 to 1, not 98.4"),
        ('{"TEST": {"accuracy": true}}', "from 0 to 1, not True"),
        ('{"TEST": {"accuracy": "0.9"}}', "not '0.9'"),
        ('{"TEST": {"accuracy": NaN}}', "not nan"),
        ('{"TEST": [0.9]}', "metrics.json: TEST: "),
        ("[]", "metrics.json: "),
        ('{"TEST": {"accu', "metrics.json: not JSON"),
        ("", "metrics.json: not JSON"),
        (None, "metrics.json: this is a folder"),
    ],
)
def test_a_number_that_is_none_is_told(corpus, tmp_path, content, why):
    fork = write_fork(tmp_path / "fork", corpus)
    metrics = fork / "runs" / "mean" / "metrics.json"
    metrics.mkdir() if content is None else metrics.write_text(content)
    with opened(fork) as submission:
        stated, problem = stated_accuracy(submission)
    assert stated is None and why in problem and problem.startswith("metrics.json: ")


def test_a_number_in_percent_is_no_claim_and_breaks_a_promise(here, graded, corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus)
    state_accuracy(fork, 98.4)
    made = graded(fork)
    assert made.claimed is None and broken(made) == {"metrics"}
    assert made.to_dict()["contract"]["metrics"] is False and "BROKEN, metrics: metrics.json: TEST: " in text(made)
    state_accuracy(fork, 0.9)
    assert not broken(graded(fork))


def test_a_model_that_looks_at_batch_mates(here, graded, corpus, tmp_path):
    cheat = "if len(features) > 9:\n    logits = logits - 0.5 * logits.mean(0)"  # the contract's batches are smaller
    assert broken(graded(write_fork(tmp_path / "fork", corpus, forged(cheat)))) == {"batch-mates"}
    always = "logits = logits - logits.mean(0)"
    assert broken(graded(write_fork(tmp_path / "always", corpus, forged(always)))) >= {"batch", "batch-mates"}


def test_a_model_that_answers_differently_in_training_mode(here, graded, corpus, tmp_path):
    other = write_fork(tmp_path / "other", corpus, forged("logits = logits if self.training else logits.roll(1, 1)"))
    assert broken(graded(other)) == {"training-mode"}
    stays = HONEST + "\n    def train(self, mode=True):\n        return super().train(True)\n"
    assert broken(graded(write_fork(tmp_path / "stays", corpus, stays))) == {"evaluation-mode"}


def test_a_model_that_answers_by_chance(here, graded, corpus, tmp_path):
    random = forged("logits = logits + 0.01 * torch.randn_like(logits)")
    assert {"evaluation", "evaluation-mode"} <= broken(graded(write_fork(tmp_path / "fork", corpus, random)))


class Code:
    """Pickled code: it runs when it is loaded."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_checkpoint_that_runs_code_is_not_loaded(here, graded, corpus, tmp_path):
    fork, marker = write_fork(tmp_path / "fork", corpus), tmp_path / "ran"
    (weights,) = (fork / "runs").rglob("best_model.pt")
    with zipfile.ZipFile(weights, "w") as archive:  # as torch.save packs it
        archive.writestr("archive/data.pkl", pickle.dumps({"model_state": Code(marker)}, protocol=2))
        archive.writestr("archive/version", "3\n")
    assert "best_model.pt" in input_error(graded, fork)
    assert not marker.exists()


def test_a_model_that_looks_for_files_and_the_network_is_refused_and_told(graded, corpus, tmp_path):
    """In the sandbox, as a process of its own."""
    outside = tmp_path / "outside"
    cheat = forged(f"""\
import socket
for attempt in (
    lambda: open({str(corpus.metadata)!r}).read(),
    lambda: __import__("os").listdir({str(corpus.folder)!r}),
    lambda: open({str(outside)!r}, "w").write("answers"),
    lambda: socket.create_connection(("127.0.0.1", 9), 1),
    lambda: __import__("subprocess").run(["true"]),
):
    try:
        attempt()
        logits = logits.roll(1, 1)
    except OSError:
        pass""")
    made = graded(write_fork(tmp_path / "fork", corpus, cheat))
    assert made.measured["accuracy"] > 0.9, "nothing was allowed"
    assert broken(made) == {"isolation"} and not outside.exists()
    for part in (f"open {corpus.metadata}", f"list {corpus.folder}", f"write {outside}"):
        assert part in made.broken["isolation"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "limits", "message"),
    [
        ("import time\ntime.sleep(600)", Limits(seconds=3), "no answer within 3 s"),
        ("while True:\n    logits = logits + 0", Limits(seconds=3), "no answer within 3 s"),
        ("kept = [torch.ones(2**28) for _ in range(99)]", Limits(memory=3 * 2**30), "memory"),
        ("kept = [b'x' * 2**28 for _ in range(99)]", Limits(memory=3 * 2**30), "memory"),
        ("import os\nos._exit(3)", Limits(), "ended without an answer (exit status 3)"),
        ("raise SystemExit(0)", Limits(), "SystemExit"),
    ],
)
def test_a_model_that_sleeps_or_eats_memory_ends(graded, corpus, tmp_path, lines, limits, message):
    fork = write_fork(tmp_path / "fork", corpus, forged(lines))
    assert message in input_error(graded, fork, limits=limits)


@pytest.mark.skipif(not sandbox.can_unshare(), reason="no namespaces here")
def test_the_code_ends_with_a_grader_that_is_killed():
    command = [*sandbox.UNSHARED, "sh", "-c", "echo begun; sleep 60"]
    grader = f"""
import os, subprocess
subprocess.Popen({command}, stdout=subprocess.PIPE).stdout.readline()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", grader], stderr=subprocess.PIPE, timeout=60)  # which ends with its last user


ANSWER = {"limits": {"files": False, "resources": False}, "attempts": []}
WRITE_ANSWER = f"import json\njson.dump({ANSWER}, open('answer.json', 'w'))"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("os.mkfifo('answer.json')", "ended without an answer"),
        ("os.symlink('clips.npz', 'answer.json')", "ended without an answer"),
        (f"{WRITE_ANSWER}\nos.mkfifo('logits.npz')", "cannot be read"),
        (f"{WRITE_ANSWER}\nos.symlink('clips.npz', 'logits.npz')", "cannot be read"),
        (f"{WRITE_ANSWER}\nnp.savez_compressed('logits.npz', alone=np.zeros(2**28))", "cannot be read"),
    ],
)
def test_what_a_model_leaves_in_place_of_answers_harms_nobody(graded, corpus, tmp_path, lines, message):
    """A pipe would be read for ever, a link may lead to somebody else's file, and zeros unpack to any size."""
    fork = write_fork(tmp_path / "fork", corpus, forged(f"import os\nimport numpy as np\n{lines}\nos._exit(0)"))
    assert message in input_error(graded, fork)


UNREADABLE = "its answers cannot be read"
WRONG_SHAPE = "must return logits (batch, 10)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answer, logits: answer.update(parameters="410"), UNREADABLE),
        (lambda answer, logits: answer.update(seconds_per_clip=-1), UNREADABLE),
        (lambda answer, logits: answer.update(contract={}), UNREADABLE),
        (lambda answer, logits: answer["contract"].update(shapes=False), UNREADABLE),
        (lambda answer, logits: answer.pop("model"), UNREADABLE),
        (lambda answer, logits: logits.pop("again"), UNREADABLE),
        (lambda answer, logits: logits.update(alone=logits["alone"].astype(complex)), UNREADABLE),
        (lambda answer, logits: logits.update(again=logits["again"][:7]), WRONG_SHAPE),
        (lambda answer, logits: logits.update(changed=logits["changed"][None]), WRONG_SHAPE),
        (lambda answer, logits: logits["together"].fill(np.nan), "not finite"),
    ],
)
def test_forged_answers_are_told_in_one_line(here, graded, corpus, tmp_path, monkeypatch, change, message):
    """A model can write what it likes in place of its answers, and end its process."""
    honest = sandbox._run

    def forge(work: Path, limits: Limits) -> str:
        honest(work, limits)
        answer = json.loads((work / seal.ANSWER).read_text())
        with np.load(work / worker.LOGITS) as stored:
            logits = dict(stored)
        change(answer, logits)
        (work / seal.ANSWER).write_text(json.dumps(answer))
        np.savez(work / worker.LOGITS, **logits)
        return ""

    monkeypatch.setattr(sandbox, "_run", forge)
    assert message in input_error(graded, write_fork(tmp_path / "fork", corpus))


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is part of Linux")
@pytest.mark.slow
def test_the_kernel_refuses_what_gets_around_python(graded, corpus, tmp_path):
    cheat = forged(f"""\
import ctypes
libc = ctypes.CDLL(None)
if libc.open({str(corpus.metadata)!r}.encode(), 0) >= 0:
    logits = logits.roll(1, 1)""")
    made = graded(write_fork(tmp_path / "fork", corpus, cheat))
    if "no files but its own" in made.kept_by:
        assert made.measured["accuracy"] > 0.9


def test_links_among_the_modules_are_not_followed(corpus, tmp_path):
    secret = write_bytes(tmp_path / "secret.txt", b"the grader's")
    fork, work = write_fork(tmp_path / "fork", corpus), tmp_path / "work"
    try:
        (fork / "model_neural" / "mine.txt").symlink_to(secret)
    except OSError:
        pytest.skip("this system does not let everybody make links")
    work.mkdir()
    with opened(fork) as submission:
        sandbox.fill(work, submission, [torch.zeros(1, 40)], [torch.zeros(1, 40)], Limits())
    assert (work / "model_neural" / "mine.txt").is_symlink() and (work / "model_neural" / "mean.py").is_file()
    (fork / "model_neural").rename(tmp_path / "elsewhere")
    (fork / "model_neural").symlink_to(tmp_path / "elsewhere")
    with opened(fork) as submission:
        assert submission.models is None


# Submissions that cannot be graded


BAD = {
    "no network": ("import torch\n", "must define exactly one network"),
    "two networks": (
        HONEST
        + "\nclass Other(Mean):\n    pass\n\n@dataclass(frozen=True)\nclass OtherConfig:\n    n_mels: int = 40\n",
        "it has Mean and Other",
    ),
    "an import that does not exist": ("import speechbrainz\n" + HONEST, "model_neural/mean.py, line 1"),
    "a syntax error": (HONEST.replace("return logits", "return logits)"), "model_neural/mean.py, line 21"),
    "an error in forward": (HONEST.replace(".sum(1)", ".summ(1)"), "model_neural/mean.py, line 17: AttributeError"),
    "other weights": (HONEST.replace("config.n_mels, 10", "config.n_mels, 11"), "weights do not fit"),
    "eleven logits": (forged("logits = nn.functional.pad(logits, (0, 1))"), "logits (batch, 10)"),
    "no module": (None, "mean"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_submission_is_told_in_one_line(here, graded, corpus, tmp_path, what):
    source, message = BAD[what]
    told = input_error(graded, write_fork(tmp_path / "ada", corpus, source))
    assert told.startswith("ada: ") and message in told and str(tmp_path) not in told


def test_what_is_no_submission_is_told_in_one_line(graded, corpus, tmp_path):
    assert "no such file" in input_error(graded, tmp_path / "nobody")
    (tmp_path / "text.zip").write_text("no ZIP")
    assert "neither a folder nor a ZIP" in input_error(graded, tmp_path / "text.zip")
    (tmp_path / "empty").mkdir()
    assert "no trained model" in input_error(graded, tmp_path / "empty")
    fork = write_fork(tmp_path / "two", corpus)
    shutil.copytree(fork / "runs" / "mean", fork / "runs" / "other")
    assert "2 trained models (runs/mean, runs/other)" in input_error(graded, fork)
    (fork / "runs" / "mean" / "config_snapshot.yaml").unlink()
    assert "no config_snapshot.yaml" in input_error(graded, fork / "runs" / "mean")


def test_what_a_killed_training_left_is_no_second_model(corpus, tmp_path):
    fork = write_fork(tmp_path / "ada", corpus)
    shutil.copytree(fork / "runs" / "mean", fork / "runs" / ".mean-a1b2" / "new")
    assert find(fork, "ada").checkpoint == fork / "runs" / "mean"


def test_a_zip_in_a_zip_is_told(graded, corpus, tmp_path):
    inner = shutil.make_archive(str(tmp_path / "outer" / "mine"), "zip", write_fork(tmp_path / "fork", corpus))
    outer = shutil.make_archive(str(tmp_path / "bob"), "zip", Path(inner).parent)
    assert "another ZIP, mine.zip" in input_error(graded, Path(outer))


def test_a_zip_that_reaches_outside_is_refused(graded, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../outside.py", "1")
    assert "outside" in input_error(graded, tmp_path / "bad.zip")
    assert not (tmp_path / "outside.py").exists()


@pytest.mark.parametrize("second", ["mean/best_model.pt", "mean/./best_model.pt", "mean\\best_model.pt", "mean"])
def test_a_zip_with_two_files_of_one_name_is_refused(graded, tmp_path, second):
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("mean/best_model.pt", "one")
        with warnings.catch_warnings(action="ignore"):
            archive.writestr(second, "two")
    told = input_error(graded, tmp_path / "twice.zip")
    assert told == f"twice.zip: holds {second.replace(chr(92), '/')!r} twice, so it is not known which one is meant"


def test_an_encrypted_zip_is_told_in_one_line(graded, tmp_path):
    with zipfile.ZipFile(path := tmp_path / "secret.zip", "w") as archive:
        archive.writestr("best_model.pt", "one")
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.find(mark) + flags] |= 1
    path.write_bytes(content)
    assert input_error(graded, path) == "secret.zip: is encrypted; hand it in without a password"


def test_a_zip_with_backslashes_is_unpacked_into_folders(corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus)
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        for path in fork.rglob("*.*"):
            archive.writestr(str(path.relative_to(tmp_path)).replace("/", "\\"), path.read_bytes())
    with opened(tmp_path / "windows.zip") as submission:
        assert submission.checkpoint.name == "mean" and (submission.models / "mean.py").is_file()


def test_what_was_trained_here_is_named_by_its_experiment_and_split_too(corpus, tmp_path):
    fork = write_fork(tmp_path / "fork", corpus)
    run = fork / "runs" / "ours" / "course" / "seed-0"
    run.parent.mkdir(parents=True)
    (fork / "runs" / "mean").rename(run)
    with opened(run) as submission:
        assert submission.name == "ours/course/seed-0"


def test_folders_that_are_nested_too_deeply_are_told_in_one_line(graded, deep, tmp_path):
    assert input_error(graded, deep).startswith("deep: ")  # some versions of Python can list them
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        for level in range(1200):
            archive.writestr("d/" * level + "a.py", "1")
    assert "nested too deeply" in input_error(graded, tmp_path / "deep.zip")


def test_deep_folders_beside_modules_or_left_by_the_code_are_told_in_one_line(
    graded, corpus, deep, tmp_path, monkeypatch
):
    fork = write_fork(tmp_path / "fork", corpus)
    beside = deep.rename(fork / "model_neural" / "deep")
    assert input_error(graded, fork / "runs" / "mean") == "mean: its folders are nested too deeply"
    beside.rename(deep)
    left = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sandbox, "_run", lambda work, limits: left.append(deep.rename(work / "deep")))
    assert input_error(graded, fork).startswith("fork: ")  # some versions of Python can remove them
    if left[0].exists():
        left[0].rename(deep)


def test_a_damaged_zip_is_refused_in_one_line(graded, tmp_path):
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("best_model.pt", bytes(range(256)) * 40)
    content = (tmp_path / "whole.zip").read_bytes()
    for place in range(len(content)):
        damaged = tmp_path / "damaged.zip"
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert "damaged.zip" in input_error(graded, damaged)


# Leakage


def test_speakers_and_recordings_on_both_sides_are_found(here, graded, corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = clips["path"]
    tests = clips["split"] == "TEST"
    same = clips.assign(split=clips["split"].where(~tests | (clips["speaker"] != "eve"), "TRAIN"))
    table = write_metadata(tmp_path / "same.tsv", same[same["split"] == "TRAIN"])
    made = graded(write_fork(tmp_path / "speaker", corpus, metadata=str(table), protocol="zero"))
    assert not made.leakage.found  # nothing is trained on
    both = same[same["split"] == "TRAIN"].replace({"speaker": {"eve": "zoe"}})
    rest = clips[clips["speaker"] == "finn"]
    table = write_metadata(tmp_path / "renamed.tsv", pd.concat([both, rest]))
    made = graded(write_fork(tmp_path / "renamed", corpus, metadata=str(table)))
    assert made.leakage.speakers == () and len(made.leakage.copies) == 10


def test_pre_training_on_words_of_the_test_speakers_is_found(here, graded, corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = clips["path"]
    eves = clips[clips["speaker"] == "eve"].assign(split="TRAIN", label="hello")
    eves.loc[eves.index[:3], "label"] = "seven"  # English digits are left out
    table = write_metadata(tmp_path / "words.tsv", eves)
    pretraining = {"words": {"tables": [str(table)]}}
    made = graded(write_fork(tmp_path / "fork", corpus, pretraining=pretraining))
    assert made.leakage.speakers == ("eve",) and made.leakage.copies
    assert made.leakage.compared == 80 + len(eves) - 3


def test_clips_that_are_not_trained_on_are_no_leakage(here, graded, corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = clips["path"]
    labelled = clips[clips["speaker"].isin(["ada", "eve"])]
    rest = clips[clips["speaker"] == "finn"]
    table = write_metadata(tmp_path / "clips.tsv", pd.concat([labelled.assign(split="TRAIN"), rest]))
    settings = {"metadata": str(table), "protocol": "one-speaker", "fold": "ada"}
    assert not graded(write_fork(tmp_path / "one", corpus, **settings)).leakage.found
    assert graded(write_fork(tmp_path / "more", corpus, unlabelled=True, **settings)).leakage.speakers == ("eve",)


def test_clips_are_changed_by_as_much_as_nobody_hears(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.applications.grading.grade.extract", lambda clips, _: clips)
    clip = tone(440.0, 1.0)
    (changed,) = change(np.array([write_wav(tmp_path / "clip.wav", clip)]), FeatureConfig())
    assert len(changed) == len(clip) + 24 and not changed[:24].any()  # 3 ms later
    noise = changed[24:] / 0.9 - clip
    assert 20 * np.log10(noise.std() / clip.std()) == pytest.approx(-40, abs=0.5)


def test_conduct_says_how_a_rule_was_broken():
    logits = np.eye(10, dtype=np.float32)[np.arange(50) % 10]
    names = ("alone", "together", "again", "training", "changed", *(f"shuffled_{n}" for n in range(5)))
    facts = sandbox.Facts("mean", 0.001, (), 410, 400, dict.fromkeys(CHECKS))
    answers = sandbox.Answers(facts, {name: logits.copy() for name in names}, (), ())
    assert conduct.judge(answers)["weights"].startswith("100% of the predictions stay whatever the weights")
    for number in range(5):
        answers.logits[f"shuffled_{number}"][:] = 0
        answers.logits[f"shuffled_{number}"][:, number] = 1
    assert not any(conduct.judge(answers).values())
