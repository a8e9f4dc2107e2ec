"""The nine kinds of input, each as a function that makes a bad one and says what to do with it.

`KINDS[kind](random, base, folder)` fills the folder of a trial and returns its action: what to run there. It may also
return a check of what came of it.
"""

import argparse
import gzip
import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from bases import Base, save_features, shorten, train_here, weights_of
from mutations import PLACES, TEXTS, Random, change_bytes, change_text, change_tree, pick, place

from utils import InputError
from utils.commands import main
from utils.data.synthesis import corpus
from utils.experiments import (
    benchmark,
    calibrating,
    mixtures,
    page,
    reproducing,
    synthesis_check,
)
from utils.experiments.checkpoint_folder import CHECKSUMS, EXPORTED, SNAPSHOT, WEIGHTS, exported_sum
from utils.experiments.grading import grade as grading
from utils.experiments.grading.submission import Submission
from utils.experiments.grading.training import find_leakage
from utils.experiments.language import build
from utils.experiments.recording import server, terminal
from utils.files import sha256


@dataclass(frozen=True)
class Trial:
    """What to run in a folder, the exit statuses it may have, and a check of what it left if it ended well."""

    action: Callable[[], object]
    allowed: tuple[int, ...] = (0, 2)
    check: Callable[[], str | None] = lambda: None


def sdr(*arguments: object) -> Callable[[], object]:
    return partial(main.main, [str(argument) for argument in arguments])


def audio(random: Random, base: Base, folder: Path) -> Trial:
    source = pick(random, base.sounds)
    path = folder / pick(
        random, ("clip" + source.suffix, "clip.wav", "clip", "new\nline.wav", "\x1b[31m.wav", "clip.sd2")
    )
    if random.integers(8) == 0:
        place(random, path)
    elif random.integers(8) == 0:
        soundfile.write(path, *_samples(random), format="WAV", subtype=pick(random, ("FLOAT", "DOUBLE")))
    else:
        path.write_bytes(change_bytes(random, source.read_bytes()))
    listed = folder / "clips.tsv"
    if "\n" not in path.name:
        row = "\t".join(("x", "eve", "TEST", "1", path.name))
        listed.write_text(f"{base.table.splitlines()[0]}\n{row}\n", encoding="utf-8")
    match int(random.integers(8)):
        case 7 if path.is_file():
            rate = pick(random, (1, 99, 7919, 8000, 44_100, 768_001, 10**12, 10**30))
            return Trial(partial(_from_standard_input, path, ["listen", str(base.checkpoint), "--rate", str(rate)]))
        case 0:
            return Trial(sdr("predict", "--several", base.checkpoint, path))
        case 1:
            return Trial(sdr("listen", base.checkpoint, "--file", path))
        case 2:
            return Trial(sdr("evaluate", base.checkpoint, "--metadata", listed))
        case 3:
            return Trial(sdr("data", "check", listed, "--html", folder / "page.html"), (0, 1, 2))
        case 4 if path.is_file():
            return Trial(partial(_as_recorded, path), (0, 1))
    return Trial(sdr("predict", base.checkpoint, path, "--json"))


def _samples(random: Random) -> tuple[np.ndarray, int]:
    """Samples that no microphone gives."""
    shape = (int(pick(random, (0, 1, 2, 99, 4000))), int(pick(random, (1, 2, 8))))
    samples = random.normal(0, pick(random, (0, 1e-30, 0.1, 1e8, 1e30)), shape)
    if samples.size:
        samples.flat[int(random.integers(samples.size))] = pick(random, (np.nan, np.inf, -np.inf, 1e38, 0.0))
    return samples, int(pick(random, (1, 100, 999, 1000, 8000, 44_101, 192_000, 768_000, 2**31 - 1)))


def _as_recorded(path: Path) -> None:
    """What `sdr record` makes of a recording that a browser sends."""
    try:
        print(server.read_utterance(path.read_bytes()).problem)
    except InputError as error:
        sys.exit(f"sdr: {error}")


def _from_standard_input(path: Path, command: list[str]) -> None:
    os.dup2(os.open(path, os.O_RDONLY), 0)
    main.main(command)


def tables(random: Random, base: Base, folder: Path) -> Trial:
    path, choice = (
        folder / pick(random, ("clips.tsv", "clips.tsv.gz", "clips.zip", "clips.xz", "clips")),
        random.integers(10),
    )
    if choice == 0:
        place(random, path)
    elif choice < 3:
        path.write_bytes(change_bytes(random, base.table.encode()))
    elif choice < 5:
        path.write_bytes(pick(random, (gzip.compress, _zipped))(base.table.encode()))
    elif choice < 8:
        path.write_text(change_text(random, base.table), encoding="utf-8", errors="surrogatepass", newline="")
    else:
        rows = [line.split("\t") for line in base.table.splitlines()]
        for _ in range(pick(random, (1, 3))):
            row = pick(random, rows)
            row[int(random.integers(len(row)))] = str(pick(random, (*TEXTS, str(base.folder), *pick(random, rows))))
        text = "\n".join("\t".join(row) for row in rows)
        path.write_text(text, encoding=pick(random, ("utf-8", "utf-8", "utf-16", "utf-8-sig")), errors="surrogatepass")
    match int(random.integers(7)):
        case 0:
            return Trial(sdr("data", "check", path, "--html", folder / "page.html", "--json"), (0, 1, 2))
        case 1:
            config = folder / "config.yaml"
            config.write_text(yaml.safe_dump(base.settings | {"data": {"metadata": str(path)}}))
            return Trial(partial(train_here, config, most_epochs=1))
        case 2:
            words = folder / "words.txt"
            if random.integers(6) == 0:
                place(random, words)
            else:
                text = "zero oh one two three four five six seven eight".replace(" ", "\n")
                words.write_text(change_text(random, text), encoding="utf-8", errors="surrogatepass", newline="")
            return Trial(partial(_without_serving, ["record", folder / "corpus", "--words", words, "--terminal"]))
        case 3:
            corpus = folder / "corpus"
            corpus.mkdir()
            if path.name == "clips.tsv":
                path.rename(corpus / "metadata.tsv")
            return Trial(partial(_without_serving, ["record", corpus, "--speaker", "eve", "--terminal"]))
    return Trial(sdr("evaluate", base.checkpoint, "--metadata", path, "--root", base.folder))


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clips.tsv", content)
    return file.getvalue()


def configs(random: Random, base: Base, folder: Path) -> Trial:
    path, choice = folder / pick(random, ("tiny.yaml", "tiny", "ti ny.yaml", "\x1b.yaml", ".yaml")), random.integers(12)
    settings: Any = pick(random, base.configs)
    if choice == 0:
        place(random, path)
    elif choice < 3:
        path.write_bytes(change_bytes(random, yaml.safe_dump(settings).encode()))
    elif choice < 7:
        text = change_text(random, yaml.safe_dump(settings, default_flow_style=bool(random.integers(2))))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    else:
        changed = change_tree(random, settings)
        if random.integers(3) == 0 and isinstance(changed, dict):
            changed = {"base": "base.yaml", "variants": change_tree(random, {"tiny": changed})}
            (folder / "base.yaml").write_text(yaml.safe_dump(base.settings))
        text = pick(random, (_yaml, json.dumps))(changed)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return Trial(partial(train_here, path, most_epochs=1))


def _yaml(tree: Any) -> str:
    try:
        return yaml.dump(tree, allow_unicode=bool(len(str(tree)) % 2))
    except (RecursionError, ValueError):  # PyYAML cannot write what it can read
        return json.dumps(tree)


def checkpoints(random: Random, base: Base, folder: Path) -> Trial:
    checkpoint = folder / "model"
    shutil.copytree(base.checkpoint, checkpoint)
    if random.integers(3):
        (checkpoint / "checksums.json").unlink()  # as of older ones; or of a stranger, who would have made his own
    names = sorted(path.name for path in checkpoint.iterdir() if path.is_file())
    name = pick(random, ["best_model.pt"] * 4 + names)
    path, choice = checkpoint / name, random.integers(10)
    if choice == 0:
        place(random, path)
    elif choice < 3:
        path.write_bytes(change_bytes(random, path.read_bytes()))
    elif name == "best_model.pt":
        torch.save(_odd_weights(random, base), path, _use_new_zipfile_serialization=bool(random.integers(8)))
        if random.integers(3) == 0:
            path.write_bytes(change_bytes(random, path.read_bytes()))
    elif name.endswith((".json", ".yaml")):
        values = (json.loads if name.endswith("json") else yaml.safe_load)(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(change_tree(random, values)), encoding="utf-8", errors="surrogatepass")
    else:
        path.write_bytes(change_bytes(random, path.read_bytes()))
    if (checkpoint / CHECKSUMS).is_file() and random.integers(2):  # a stranger has made his own
        sums = {name: sha256(checkpoint / name) for name in (WEIGHTS, SNAPSHOT) if (checkpoint / name).is_file()}
        (checkpoint / CHECKSUMS).write_text(json.dumps(sums | {EXPORTED: exported_sum(checkpoint)}))
    match int(random.integers(6)):
        case 0:
            return Trial(sdr("evaluate", checkpoint, "--metadata", base.metadata))
        case 1:
            return Trial(sdr("predict", "--several", checkpoint, base.sounds[0], "--json"))
        case 2:
            return Trial(sdr("listen", checkpoint, "--file", base.sounds[0]))
        case 3 if random.integers(4) == 0:
            return Trial(sdr("export", checkpoint, "--output", folder / "model.onnx"))
    return Trial(sdr("predict", checkpoint, base.sounds[0], "--json"))


class Executed:
    """A pickle that would run code: its trace is the file `executed`."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


def _odd_weights(random: Random, base: Base) -> Any:
    """Weights as no training leaves them."""
    stored = torch.load(base.checkpoint / "best_model.pt", weights_only=True)
    state = stored["model_state"]
    name = pick(random, list(state))
    weight = state[name]
    odd = {
        "meta": lambda: weight.to("meta"),
        "sparse": lambda: weight.float().to_sparse(),
        "csr": lambda: weight.float().reshape(-1, 1).to_sparse_csr(),
        "complex": lambda: weight.to(torch.complex64),
        "nan": lambda: weight.float() * float("nan"),
        "inf": lambda: weight.float() + float("inf"),
        "huge": lambda: weight.float() + 1e38,
        "zero": lambda: weight * 0,
        "empty": lambda: weight[:0],
        "half": lambda: weight.half(),
        "double": lambda: weight.double(),
        "bytes": lambda: weight.to(torch.uint8),
        "bool": lambda: weight.bool(),
        "float8": lambda: weight.float().to(torch.float8_e4m3fn),
        "transposed": lambda: weight.transpose(0, -1) if weight.dim() else weight,
        "expanded": lambda: torch.zeros(1).expand(2**20, 2**20),
        "quantised": lambda: torch.quantize_per_tensor(weight.float(), 0.1, 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "parameter": lambda: torch.nn.Parameter(weight.float()),
        "negated": lambda: torch._neg_view(weight.float()),
        "number": lambda: 1.5,
        "text": lambda: pick(random, TEXTS)[:999],
        "list": lambda: [weight],
        "dict": lambda: {"a": weight},
        "None": lambda: None,
        "code": Executed,
        "array": lambda: weight.numpy(),
    }
    state[name] = odd[pick(random, list(odd))]()
    match int(random.integers(9)):
        case 0:
            state[pick(random, (*TEXTS[:40], 1, None, b"x", ("a",)))] = weight
        case 1:
            return pick(random, (state, [state], weight, None, 1, Executed(), {"model_state": None}, {1: state}, {}))
        case 2:
            return {"model_state": list(state.items())}
        case 3:
            return {"model_state": {f"module.{key}": part for key, part in state.items()}}
        case 4:
            return stored | {"model_state": dict(state), "more": Executed()}
    return stored


def submissions(random: Random, base: Base, folder: Path) -> Trial:
    """ZIPs and folders to grade. One that is right is told to be so; grading it would take a quarter of a minute."""
    checkpoint, path = folder / "handed" / "in", folder / pick(random, ("in.zip", "in", "\x1b.zip"))
    shutil.copytree(base.checkpoint, checkpoint)
    for name in ("config_snapshot.yaml", "metrics.json"):
        if random.integers(2):
            values = yaml.safe_load((checkpoint / name).read_text(encoding="utf-8"))
            changed = json.dumps(change_tree(random, values))
            (checkpoint / name).write_text(changed, encoding="utf-8", errors="surrogatepass")
    if random.integers(6) == 0:
        place(random, checkpoint / pick(random, ("metrics.json", "best_model.pt", "config_snapshot.yaml")))
        path = checkpoint
    elif random.integers(12) == 0:
        place(random, path)
    else:
        packed = io.BytesIO()
        with zipfile.ZipFile(
            packed, "w", pick(random, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        ) as z:
            for file in sorted(checkpoint.rglob("*")):
                z.write(file, f"{pick(random, ('', 'fork/', 'a/../', '../', '/'))}{file.name}")
            for _ in range(random.integers(3)):
                name = str(pick(random, TEXTS))[:60_000].encode("utf-8", "replace").decode()
                z.writestr(name.strip("/") or "x", b"x")
        content = packed.getvalue()
        path.write_bytes(change_bytes(random, content) if random.integers(3) else content)
    return Trial(partial(_grade, path, base.metadata))


def _grade(path: Path, metadata: Path) -> None:
    def answer(submission: Submission, clips: Any, changed: Any, limits: Any) -> Any:
        find_leakage(submission, grading.graded_clips(metadata))
        raise InputError(f"right, and claims {grading.stated_accuracy(submission)}; it is not graded in this test")

    grading.ask = answer  # type: ignore[assignment]
    main.main(["grade", str(path), "--metadata", str(metadata)])


def states(random: Random, base: Base, folder: Path) -> Trial:
    """A training that was killed, whose saved state is then damaged, must end as the undisturbed one."""
    shutil.copytree(base.interrupted, folder / "runs")
    (state,) = (folder / "runs").rglob("*.state")
    _damage(random, state, PLACES)
    return Trial(
        partial(train_here, base.config, runs=folder / "runs", cache=base.cache),
        check=lambda: None if weights_of(folder / "runs") == base.weights else "other weights",
    )


def caches(random: Random, base: Base, folder: Path) -> Trial:
    """Damaged features in the cache must not reach anybody."""
    shutil.copytree(base.cache, folder / "cache")
    files = sorted(path for path in (folder / "cache").rglob("*") if path.is_file())
    features = [path for path in files if path.suffix == ".pkl"]
    # code in a pickle is no damage: the cache is our own
    _damage(random, pick(random, features if random.integers(4) else files), PLACES[:1])
    return Trial(
        partial(save_features, base.metadata, folder / "cache"),
        check=lambda: None if (folder / "features").read_text() == base.features else "other features",
    )


def _damage(random: Random, path: Path, places: Sequence[str]) -> None:
    """Mostly one flipped bit, as of a failing disk."""
    choice = random.integers(10)
    if choice == 0:
        place(random, path, pick(random, places))
    elif choice == 1:
        path.write_bytes(change_bytes(random, path.read_bytes()))
    elif choice == 2 and path.suffix == ".state":
        path.write_bytes(pickle.dumps(Executed()))
    else:
        data = bytearray(path.read_bytes())
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(data)


def results(random: Random, base: Base, folder: Path) -> Trial:
    shutil.copytree(base.project, folder / "project")
    files = [path for path in sorted((folder / "project" / "results").rglob("*")) if path.is_file()]
    path, choice = pick(random, files), random.integers(10)
    if choice == 0:
        place(random, path)
    elif choice < 3:
        path.write_bytes(change_bytes(random, path.read_bytes()))
    elif path.suffix == ".json":
        values = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(change_tree(random, values)), encoding="utf-8", errors="surrogatepass")
    else:
        table = gzip.decompress(path.read_bytes())
        changed = change_text(random, table.decode()).encode("utf-8", "surrogatepass")
        path.write_bytes(gzip.compress(pick(random, (changed, change_bytes(random, table)))))
    command = pick(random, ("report", "report --check", "report --json", "reproduce made --jobs 1"))
    return Trial(partial(_in_project, base, folder / "project", command.split()))


def _in_project(base: Base, project: Path, command: list[str], run: Callable[[list[str]], object] = main.main) -> None:
    base.use(project)
    run(command)


WORDS = ("predict", "evaluate", "train", "export", "report", "data", "check", "voices", "listen", "record", "language")


def command_lines(random: Random, base: Base, folder: Path) -> Trial:
    """A command with options of all sorts of values, some of them right."""
    parser: argparse.ArgumentParser = main.make_parser()
    words: list[str] = []
    values = [
        str(base.checkpoint),
        str(base.metadata),
        str(base.config),
        str(base.sounds[0]),
        "0",
        "1",
        "2",
        "pl",
        "en",
    ]
    while chosen := next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None):
        words.append(pick(random, [name for name in chosen.choices if name != "quickstart"]))
        parser = chosen.choices[words[-1]]

    def any_value() -> str:
        text = str(pick(random, TEXTS if random.integers(2) else values))
        return text.replace("\x00", "0")  # no argument of a process can hold it

    for action in parser._actions:
        if random.integers(2 if not action.option_strings else 5):
            continue
        if action.option_strings:
            words.append(pick(random, action.option_strings)[: None if random.integers(6) else -1])
        if action.choices and random.integers(2):
            words.append(str(pick(random, list(action.choices))))
        elif action.nargs != 0 and random.integers(8):
            words.append(any_value())
    for _ in range(int(pick(random, (0, 0, 0, 1, 2)))):
        words.insert(
            int(random.integers(len(words) + 1)), pick(random, (any_value(), "--", "-h", "--json", "@x", *WORDS))
        )
    shutil.copytree(base.project, folder / "project")
    action = partial(_in_project, base, folder / "project", words, _without_serving)
    return Trial(action, (0, 1, 2) if {"check", "verify"} & set(words) else (0, 2))


def _without_serving(words: Sequence[object]) -> None:
    """Run a command, except what would go on until somebody ends it, use the network or take minutes."""

    def refuse(*given: object, **named: object) -> Any:
        raise InputError("the command line is right; it is not run in this test")

    for module, name in (
        (benchmark, "measure"), (calibrating, "calibrate"), (calibrating, "calibrate_on_held_out"), (corpus, "speak"),
        (build, "build"), (mixtures, "make_mixtures"), (page, "serve"), (server, "serve"),
        (terminal, "record"), (reproducing, "reproduce"), (synthesis_check, "check_synthesis"),
    ):  # fmt: skip
        assert hasattr(module, name)
        setattr(module, name, refuse)
    shorten(1)
    os.environ["SDR_SPEECH_DATA"] = str(Path("recordings").absolute())
    main.main([str(word) for word in words])


KINDS: dict[str, Callable[[Random, Base, Path], Trial]] = {
    "audio": audio,
    "tables": tables,
    "configs": configs,
    "checkpoints": checkpoints,
    "submissions": submissions,
    "states": states,
    "caches": caches,
    "results": results,
    "command lines": command_lines,
}
