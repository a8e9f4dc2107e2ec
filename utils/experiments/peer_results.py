"""Tests off-the-shelf peers on the clips that the tables test models on, and measures what each costs."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch

from utils import InputError
from utils.data.audio import read_audio
from utils.data.config import DataConfig
from utils.data.metadata import read_metadata, tables_sha256
from utils.evaluation import results
from utils.evaluation.metrics import metrics
from utils.evaluation.tables import load_tables
from utils.experiments.checkpoints import WEIGHTS, load_recogniser
from utils.experiments.mixtures import BABBLE, NOISE, STRINGS, cached_mixtures
from utils.files import check_writable, one_process, write_json
from utils.inference.peers import PEERS, RATE, Peer, load_settings
from utils.inference.recogniser import MAX_SECONDS, Recogniser
from utils.paths import CHECKPOINTS, find_metadata
from utils.progress import Progress
from utils.settings import nearest
from utils.training.objectives import NON_DIGIT

PROTOCOLS = {
    "course": ("SDR_metadata.tsv", "en"),
    "split": ("utils/data/corpora/arabic.tsv", "ar"),
}  # table and language
# of testing, the most telling parts first, since it takes hours
ORDER = tuple(dict.fromkeys(("TEST", "clean", "10", "0", BABBLE, *STRINGS, *NOISE, "DEV")))
TIMED = 50  # clips of TEST, for the costs


def reproduce_peers(
    peer: str | None = None, most: int | None = None, again: bool = False, store: Path = results.STORE
) -> None:
    """Make the missing tests of peers, part by part, and measure costs, with progress bars.

    A killed run resumes after its last complete part (TEST, one condition of noise or of strings).

    Args:
        peer: only this one.
        most: clips of each part, drawn by a seed; None: all. Parts tested on fewer clips are tested again.
        again: repeat the tests that are in the store.
        store: the folder of the results.

    Raises:
        InputError: there is no such peer, its packages are not installed, or clips are missing.
    """
    if peer is not None and peer not in PEERS:
        raise InputError(f"unknown peer '{peer}'; {nearest(peer, PEERS)}")
    check_writable(store)
    chosen = [PEERS[peer]] if peer else list(PEERS.values())
    tests = [
        (kind(language), protocol)
        for kind in chosen
        for protocol, (_, language) in PROTOCOLS.items()
        if language in load_settings()[kind.NAME]["words"]
    ]
    parts = {protocol: parts_of(protocol) for protocol in dict.fromkeys(protocol for _, protocol in tests)}
    measure_costs([each for each, protocol in tests if protocol == "course"], parts["course"]["TEST"], again, store)
    for each, protocol in tests:
        with one_process(results.result_path(store, each.NAME, protocol, 0)):
            _test(each, protocol, parts[protocol], most, again, store)


def parts_of(protocol: str) -> dict[str, pd.DataFrame]:
    """The clips that peers are tested on, by part: those that models are tested on with this protocol."""
    clips = read_metadata(find_metadata(PROTOCOLS[protocol][0]))
    parts = {split: clips[clips["split"] == split] for split in ("TEST", "DEV")}
    if protocol == "course":
        folder = cached_mixtures(parts["TEST"], DataConfig().test_noises)
        for name in (*NOISE, *STRINGS):
            parts[name] = read_metadata(folder / name / "metadata.tsv", digits=name in NOISE)
    return {name: parts[name] for name in ORDER if name in parts}


def settings_of(peer: str, protocol: str) -> dict:
    """The `config` of a peer's result."""
    return {"data": {"metadata": PROTOCOLS[protocol][0]}, "peer": load_settings()[peer]}


def _test(
    peer: Peer, protocol: str, parts: dict[str, pd.DataFrame], most: int | None, again: bool, store: Path
) -> None:
    """Test a peer on the parts that its result in the store lacks, and save the result after each of them."""
    path = results.result_path(store, peer.NAME, protocol, 0)
    result: dict = {
        "experiment": peer.NAME,
        "protocol": protocol,
        "seed": 0,
        "config": settings_of(peer.NAME, protocol),
        "metadata_sha256": tables_sha256([PROTOCOLS[protocol][0]]),
        "metrics": {},
        "field": {},  # shares of strings wholly right
        "strings": {},  # and the number of these
        "sampled": {},  # of the parts that were tested on fewer clips than there are, how many
    } | ({"parameters": peer.parameters} if peer.parameters else {})
    predictions = {}
    if path.exists() and not again:
        earlier, table = results.load(path), results.load_predictions(path)
        if all(earlier[key] == result[key] for key in ("config", "metadata_sha256")):
            result, predictions = result | earlier, dict(list(table.groupby("split")))
    for part, every in parts.items():
        clips = every.sample(min(most or len(every), len(every)), random_state=0).sort_index()
        tested = result["metrics"][part]["n"] if part in result["metrics"] else result["strings"].get(part, 0)
        if tested >= len(clips):
            continue
        files = Progress(clips["path"], f"{peer.NAME}, {protocol}, {part}")
        recognise = peer.recognise_string if part in STRINGS else peer.recognise
        answers = [recognise(read_audio(file, RATE, MAX_SECONDS)) for file in files]
        if part in STRINGS:
            result["field"][part] = float((clips["label"] == answers).mean())
            result["strings"][part] = len(clips)
        else:
            table = clips[["identifier", "speaker", "split", "label"]].assign(split=part)
            table["predicted"] = [NON_DIGIT if digit is None else digit for digit in answers]
            table["probability"] = np.nan  # peers report none
            measured = [table[column].to_numpy() for column in ("label", "predicted", "speaker")]
            result["metrics"][part], predictions[part] = metrics(*measured), table
        result["sampled"].pop(part, None)
        result["sampled"] |= {part: len(clips)} if len(clips) < len(every) else {}
        result["environment"] = results.environment() | {peer.PACKAGES[0]: peer.version}
        results.save(path, result, pd.concat([predictions[name] for name in result["metrics"]]))


def measure_costs(peers: list[Peer], clips: pd.DataFrame, again: bool = False, store: Path = results.STORE) -> None:
    """Measure the peers, and the models of the table `peers` whose checkpoints are here, unless the store has them.

    All recognise the same clips, one at a time and in turn. `milliseconds` is the median time of one core from waveform
    to answer (models: in PyTorch), `megabytes` the size of the model's files.
    """
    known = results.load_costs(store)
    answer: dict[str, tuple[int, Callable[[np.ndarray], object]]] = {}  # with the sample rate
    megabytes = {}
    for name in load_tables()["peers"].experiments:
        if (again or name not in known) and (CHECKPOINTS / name).is_dir():
            recogniser = load_recogniser(CHECKPOINTS / name)
            answer[name] = recogniser.sample_rate, partial(_recognise_one, recogniser)
            megabytes[name] = (CHECKPOINTS / name / WEIGHTS).stat().st_size / 1e6
    for peer in peers:
        if again or peer.NAME not in known:
            answer[peer.NAME], megabytes[peer.NAME] = (RATE, peer.recognise), peer.megabytes
    if not answer:
        return
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {name: [] for name in answer}
    for file in Progress(clips["path"].iloc[:: -(-len(clips) // TIMED)], "costs"):
        for name, (rate, recognise) in answer.items():
            waveform = read_audio(file, rate)
            started = time.process_time()
            recognise(waveform)
            seconds[name].append(time.process_time() - started)
    measured = {
        name: {"milliseconds": 1000 * median(times), "megabytes": megabytes[name]} for name, times in seconds.items()
    }
    write_json(results.costs_path(store), {"environment": results.environment(), "costs": known | measured})


def _recognise_one(recogniser: Recogniser, waveform: np.ndarray) -> object:
    return recogniser.recognise([waveform])
