"""Commands that are killed at random moments and called again end as if nothing had happened, bit for bit.

TORTURE_KILLS is the number of kills for each command.
"""

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trials
from bases import Base, make_base, train_here, weights_of
from conftest import speak

from utils import InputError
from utils.applications.language import training
from utils.applications.recording.session import Session
from utils.commands import main
from utils.data.corpora import noises
from utils.data.metadata import read_metadata
from utils.data.synthesis.corpus import speak as synthesise
from utils.experiments.mixtures import make_mixtures
from utils.features.cache import MEMORY

KILLS, SEED = int(os.environ.get("TORTURE_KILLS", 8)), int(os.environ.get("TORTURE_SEED", 0))

TRAINED = "runs/tiny/course-repetitions-1/seed-0"
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="trials are forked")]


@pytest.fixture(scope="module")
def base(corpus, tmp_path_factory) -> Base:
    return make_base(corpus, tmp_path_factory.mktemp("base"))


def train(base: Base) -> None:
    train_here(base.config, cache=base.cache)


def reproduce(base: Base) -> None:
    Path("project").mkdir(exist_ok=True)
    shutil.copyfile(base.project / "README.md", "project/README.md")
    base.use(Path("project").absolute())
    main.main(["reproduce", "made", "--jobs", "1"])


def export(base: Base) -> None:
    main.main(["export", str(base.checkpoint), "--output", "model.onnx"])


def keep(base: Base) -> None:
    copy_once(base.checkpoint, Path("model"))
    main.main(["export", "model", "--keep"])


def synthesised(base: Base) -> None:
    synthesise(Path("voices"), speakers=3, repetitions=1, progress=False)


def mixtures(base: Base) -> None:
    """The course's test sets, of few clips and one recording of noise."""
    clips = read_metadata(base.metadata)
    noises.read_noises = lambda sources: None
    noises.load_noises = lambda table, rate: [np.random.default_rng(0).normal(0, 0.1, 5 * rate).astype(np.float32)]
    make_mixtures(Path("mixtures"), clips[clips["split"] != "TRAIN"], ("esc10",), strings=10)


def calibrate(base: Base) -> None:
    base.use(Path("project").absolute())
    copy_once(base.checkpoint, Path("project") / TRAINED)
    main.main(["calibrate", str(base.config), "--jobs", "1"])


def language(base: Base) -> None:
    """Polish, by two speakers and with a short training."""
    MEMORY.store_backend.location = str(Path("cache").absolute())
    training.CLIPS_SEEN = training.FEWEST_STEPS = 64
    main.main(["language", "pl", "--output", "pl", "--speakers", "2"])


def copy_once(source: Path, target: Path) -> None:
    if not target.exists():
        shutil.rmtree(filling := target.with_name("filling"), ignore_errors=True)  # killed here
        filling.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, filling)
        filling.rename(target)


def record(base: Base) -> None:
    """A session in which a speaker reads ten digits, going on where an earlier one was killed."""
    session = Session("corpus", repetitions=1)
    while session.speaker("eve").done < 10:
        state = session.speaker("eve")
        prompt = session.prompts("eve")[0]
        session.keep("eve", "publish", prompt.digit, state.done, speak(prompt.digit, "eve", 0))


def trained_content(folder: Path) -> object:
    return weights_of(folder / "runs"), _stored(folder / "store")


def calibrated_content(folder: Path) -> object:
    return _stored(folder / "project" / "results"), _files(f"project/{TRAINED}", folder)


def spoken_content(folder: Path) -> object:
    """All but the state of the training, which has times, and the config, which has the folder's path."""
    files = _files("pl", folder)
    return {name: files[name] for name in files if not name.endswith((".state", "snapshot.yaml", "checksums.json"))}


def table_of(folder: Path) -> object:
    """What was read, in order; a clip of the moment before a kill may stay without a row, and its name be left out."""
    corpus = read_metadata(folder / "corpus" / "metadata.tsv")
    return [(row.label, hashlib.sha256(Path(row.path).read_bytes()).hexdigest()) for row in corpus.itertuples()]


def _stored(store: Path) -> dict[str, object]:
    """Results without what differs from run to run, and predictions; not what a kill left under a temporary name."""
    found: dict[str, object] = {}
    for path in sorted(store.rglob("[!.]*")):
        if path.suffix == ".json":
            result = json.loads(path.read_text())
            history = [{key: value for key, value in row.items() if key != "seconds"} for row in result["history"]]
            kept = {key: result[key] for key in result if key not in ("train_seconds", "environment", "history")}
            found[str(path.relative_to(store))] = kept, history
        elif path.is_file():
            found[str(path.relative_to(store))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _files(name: str, folder: Path) -> object:
    place = folder / name
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [place, *place.rglob("*")]
        if path.is_file()
    }


COMMANDS: dict[str, tuple[Callable[[Base], None], Callable[[Path], object]]] = {
    "train": (train, trained_content),
    "reproduce": (reproduce, lambda folder: _stored(folder / "project" / "results")),
    "export": (export, partial(_files, "model.onnx")),
    "export --keep": (keep, partial(_files, "model")),
    "mixtures": (mixtures, partial(_files, "mixtures")),
    "calibrate": (calibrate, calibrated_content),
    "language": (language, spoken_content),
    "synthesise": (synthesised, partial(_files, "voices")),
    "record": (record, table_of),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_ends_as_if_it_had_not_been(base, tmp_path, command, capsys):
    action, content = COMMANDS[command]
    whole = tmp_path / "whole"
    whole.mkdir()
    started = time.monotonic()
    assert (outcome := trials.run(lambda: action(base), whole, 300)).status == 0, outcome
    duration = time.monotonic() - started
    expected = content(whole)
    random = np.random.default_rng([SEED, list(COMMANDS).index(command)])
    kills, rounds = 0, 0
    while kills < KILLS and rounds < 20 * KILLS:
        (folder := tmp_path / f"{rounds}").mkdir()
        for _ in range(5):  # in a row, until the command ends before it is killed
            child = trials.fork(lambda: action(base), folder)
            time.sleep(random.uniform(0, duration))
            os.kill(child, kind := SIGNALS[random.integers(len(SIGNALS))])
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, 130 if kind == signal.SIGINT else -kind), (folder / "err").read_text()
            if status == 0:
                break
            kills += 1
        outcome = trials.run(lambda: action(base), folder, 300)
        assert outcome.status == 0, outcome
        assert content(folder) == expected, folder
        shutil.rmtree(folder)
        rounds += 1
    with capsys.disabled():
        print(f"\n{command:14} {kills:6,} kills: nothing lost", end="", flush=True)


FULL = {"train": train, "export": export, "synthesise": synthesised, "record": record}


@pytest.mark.parametrize("state", ["full", "read-only"])
@pytest.mark.parametrize("command", FULL)
def test_a_disk_that_takes_nothing_is_told(base, tmp_path, command, state):
    """And the same command succeeds once there is room."""
    (disk := tmp_path / "disk").mkdir()
    if os.system(f"mount -t tmpfs -o size=4m tmpfs '{disk}' 2>/dev/null"):
        pytest.skip("mounting is not allowed here")

    def refused() -> None:
        os.chdir(disk)
        try:
            FULL[command](base)
        except InputError as error:
            raise SystemExit(f"sdr: {error}") from None

    try:
        if state == "full":
            (disk / "ballast").write_bytes(bytes(2**22 - 2**13))
        else:
            os.system(f"mount -o remount,ro '{disk}'")
        outcome = trials.run(refused, tmp_path)
        assert trials.problem(outcome, (1, 2)) is None and "sdr: " in outcome.err, outcome
        if state == "full":
            (disk / "ballast").unlink()
        else:
            os.system(f"mount -o remount,rw '{disk}'")
        assert not [path for path in disk.rglob("*") if path.name.startswith(".") and path.is_file()], "remains"
        assert trials.run(refused, tmp_path).status == 0
    finally:
        os.system(f"umount '{disk}'")


def test_two_trainings_at_once_end_as_one(base, tmp_path):
    """The same one twice, with an empty cache."""
    children = []
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
        action = partial(train_here, base.config, tmp_path / "runs", tmp_path / "cache")
        children.append(trials.fork(action, tmp_path / f"{number}"))
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert statuses == [0, 0], [(tmp_path / f"{number}" / "err").read_text() for number in range(2)]
    assert weights_of(tmp_path / "runs") == base.weights
