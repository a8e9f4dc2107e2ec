"""Shared by the tests: a small generated corpus that a model learns in a second, the command `sdr`, a web server."""

import inspect
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml

from utils.commands import main
from utils.data.metadata import read_metadata
from utils.evaluation import figures, significance
from utils.evaluation import tables as tables_module
from utils.evaluation.figures import save_run
from utils.evaluation.tables import Column, Table
from utils.experiments import calibrating, peer_results, reporting, reproducing, runs
from utils.experiments.config import Experiment, parse_experiment
from utils.features.cache import MEMORY

torch.set_num_threads(1)
hypothesis.settings.register_profile("tests", derandomize=True, deadline=None)  # the same examples every time
hypothesis.settings.load_profile("tests")

RATE = 8000
SEEN, UNSEEN = ("ada", "bob", "cleo", "dan"), ("eve", "finn")


def tone(hertz: float, seconds: float, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """A sine of the amplitude `level`, as float32."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch_of(waveform: np.ndarray, rate: int = RATE) -> float:
    """The frequency of the strongest partial of a waveform in Hz, accurate to 0.1 Hz."""
    bins = 10 * rate
    return float(np.abs(np.fft.rfft(np.asarray(waveform) * np.hanning(len(waveform)), bins)).argmax()) * rate / bins


def level_of(waveform: np.ndarray) -> float:
    """The RMS level of the middle half of a waveform, in dB."""
    quarter = len(waveform) // 4
    middle = np.asarray(waveform, dtype=np.float64)[quarter : len(waveform) - quarter]
    return float(10 * np.log10(np.mean(middle**2) + 1e-20))


def speak(digit: int, speaker: str, repetition: int) -> np.ndarray:
    """A generated "digit": two tones as formants, shifted slightly by the speaker's voice, plus some noise."""
    random = np.random.default_rng([digit, repetition, *speaker.encode()])
    voice = np.random.default_rng(list(speaker.encode())).uniform(0.96, 1.04)
    seconds = random.uniform(0.2, 0.3)
    low, high = (300, 450, 650, 900, 1250)[digit % 5], (1900, 2900)[digit // 5]
    clip = tone(low * voice, seconds) + tone(high * voice, seconds)
    clip = clip * np.hanning(len(clip)) + random.normal(0, 0.01, len(clip))
    return np.float32(random.uniform(0.3, 0.9) * clip)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, **format: str) -> Path:
    soundfile.write(path, samples, rate, **format)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def write_metadata(path: Path, table: pd.DataFrame) -> Path:
    """Write `table` as the metadata file `path`."""
    table.drop(columns="path", errors="ignore").to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def deep(tmp_path) -> Iterator[Path]:
    """A folder with 1,200 nested folders in it: more than Python goes through by recursion."""
    if sys.platform != "linux":
        pytest.skip("paths cannot be so long")
    levels = [tmp_path / "deep"]
    levels += [levels[0].joinpath(*["d"] * level) for level in range(1, 1201)]
    for level in levels:
        level.mkdir()
    yield levels[0]
    for level in reversed(levels):  # pytest could not remove them
        if level.exists():
            level.rmdir()


@dataclass(frozen=True)
class Corpus:
    folder: Path
    metadata: Path

    @property
    def clips(self) -> pd.DataFrame:
        return read_metadata(self.metadata)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    """Two repetitions of each digit by six speakers: four in TRAIN, two in both DEV and TEST, as in the course."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for speaker in SEEN + UNSEEN:
        for digit in range(10):
            for repetition in range(2):
                name = f"{digit}_{speaker}_{repetition}"
                soundfile.write(folder / f"{name}.wav", speak(digit, speaker, repetition), RATE)
                split = "TRAIN" if speaker in SEEN else ("DEV", "TEST")[repetition]
                rows.append((name, speaker, split, digit, f"{name}.wav"))
    table = pd.DataFrame(rows, columns=["identifier", "speaker", "split", "label", "file"])
    return Corpus(folder, write_metadata(folder / "clips.tsv", table))


def settings(corpus: Corpus, kind: str = "linear", /, **sections: dict) -> dict:
    """The YAML of an experiment on the corpus, with few mels and, for a network, few epochs."""
    values = {
        "data": {"metadata": str(corpus.metadata)},
        "features": {"n_mels": 20},
        "model": {"name": kind} | ({"size": 5} if kind == "linear" else {}),
    }
    if kind != "linear":
        values["training"] = {"epochs": 2, "batch_size": 16}
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return values


def experiment_of(corpus: Corpus, kind: str = "linear", /, **sections: dict) -> Experiment:
    return parse_experiment(settings(corpus, kind, **sections), "the test", "tiny")


@pytest.fixture
def write_config(corpus, tmp_path):
    """`write_config(kind, name, **sections)` writes a YAML file with these settings and returns its path."""

    def write(kind: str = "linear", name: str = "tiny", /, **sections: dict) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings(corpus, kind, **sections)))
        return path

    return write


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory) -> SimpleNamespace:
    """A linear model trained on the corpus: its `checkpoint` folder, its `result` and the `path` of that result."""
    folder = tmp_path_factory.mktemp("trained")
    experiment = experiment_of(corpus)
    result = runs.run(experiment, 0, store=folder / "results", runs=folder / "runs")
    return SimpleNamespace(
        checkpoint=runs.checkpoint_folder(experiment, "course", 0, folder / "runs"),
        experiment=experiment,
        result=result,
        path=folder / "results" / "tiny" / "course" / "seed-0.json",
    )


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Cache features in a temporary folder, not in the project's own cache."""
    MEMORY.store_backend.location = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test draws the same random numbers whichever tests ran before it in its process."""
    torch.manual_seed(0)


def give_defaults(monkeypatch, function, **new) -> None:
    """Change the default values of a function's parameters for one test."""
    parameters = inspect.signature(function).parameters
    assert new.keys() <= parameters.keys()
    with_default = [p for p in parameters.values() if p.default is not p.empty]
    by_position = tuple(new.get(p.name, p.default) for p in with_default if p.kind is not p.KEYWORD_ONLY)
    by_name = {p.name: new.get(p.name, p.default) for p in with_default if p.kind is p.KEYWORD_ONLY}
    monkeypatch.setattr(function, "__defaults__", by_position)
    monkeypatch.setattr(function, "__kwdefaults__", by_name)


@pytest.fixture
def project(tmp_path, monkeypatch) -> SimpleNamespace:
    """A temporary project `folder` with its own `store` of results and its own `runs`; commands write there.

    `sdr train` draws no figures, which take nine tenths of the time of a small run, unless a test uses `drawing`.
    """
    folder = tmp_path / "project"
    store, place = folder / "results" / "runs", folder / "runs"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "README.md").write_text("# A project\n")
    give_defaults(monkeypatch, runs.run, store=store, runs=place)
    give_defaults(monkeypatch, runs.checkpoint_folder, runs=place)
    give_defaults(monkeypatch, calibrating.calibrate, store=store)
    give_defaults(monkeypatch, reproducing.reproduce, store=store)
    give_defaults(monkeypatch, peer_results.reproduce_peers, store=store)
    monkeypatch.setattr("utils.paths.RUNS", place)  # commands import it when they run
    monkeypatch.setattr(reproducing, "RUNS", place)
    for function in (
        reporting.rows,
        reporting.markdown,
        reporting.tables_with,
        significance.correct,
        significance.compare,
    ):
        give_defaults(monkeypatch, function, store=store)
    for function in (reporting.update, reporting.draw_costs):
        give_defaults(monkeypatch, function, store=store, project=folder)
    monkeypatch.setattr("utils.evaluation.results.STORE", store)
    monkeypatch.setattr(figures, "save_run", lambda result, folder: None)
    return SimpleNamespace(folder=folder, store=store, runs=place)


@pytest.fixture
def drawing(project, monkeypatch) -> None:
    """`sdr train` draws its figures."""
    monkeypatch.setattr(figures, "save_run", save_run)


@pytest.fixture
def tables(project, corpus, write_config, monkeypatch, tmp_path):
    """A single table of two folds and two seeds of a linear model; collects the fold and seed of each run made."""
    write_config("linear", "little")
    use_table(monkeypatch, Table("made", "loso", (Column("accuracy, %", "accuracy"),), {"little": 2}, ("eve", "finn")))
    for module in (reporting, reproducing):
        monkeypatch.setattr(module, "CONFIGS", tmp_path)
    (project.folder / "README.md").write_text("# Made\n<!-- table made -->\n<!-- end of table -->\n")
    made, run = [], runs.run

    def spy(experiment, seed, **given):
        made.append((experiment.data.fold, seed))
        return run(experiment, seed, **given)

    monkeypatch.setattr(reproducing, "run", spy)
    return made


def use_table(monkeypatch, table: Table) -> None:
    """Replace the project's tables with this one."""
    for module in (tables_module, reporting, reproducing):
        monkeypatch.setattr(module, "load_tables", lambda: {table.name: table})


@dataclass(frozen=True)
class Finished:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    def refused(self, *parts: str) -> str:
        """Check that the command failed as `sdr` does on bad input; return its message, which holds all `parts`."""
        assert self.status == 2, self
        assert not self.out
        assert self.err.startswith("sdr: ") and self.err.endswith("\n")
        assert len(self.err.splitlines()) == 1, self.err
        for part in parts:
            assert part in self.err
        return self.err


@pytest.fixture
def sdr(capfd):
    """`sdr(*arguments)` runs the command in this process; returns what it printed and its exit status."""

    def run(*arguments: object) -> Finished:
        capfd.readouterr()
        status = 0
        try:
            main.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code or 0
        return Finished(status, *capfd.readouterr())

    return run


class Server(ThreadingHTTPServer):
    """Serves `content` at any address, with faults on demand, and records each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = b""
        self.status = 200
        self.ranges = True
        self.breaks_after = None  # bytes, after which the connection closes early
        self.served = []  # for each request: its Range header and the number of bytes sent
        self.url = f"http://127.0.0.1:{self.server_port}/digits.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        if server.status != 200:
            server.served.append((asked, 0))
            return self.send_error(server.status)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start and start >= len(server.content):
            server.served.append((asked, 0))
            return self.send_error(416)
        content = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        content = content[: server.breaks_after]
        server.served.append((asked, len(content)))
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()
