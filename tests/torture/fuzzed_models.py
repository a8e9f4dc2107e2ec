"""Kinds of input: checkpoints, and submissions to grade."""

import io
import json
import os
import shutil
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from bases import Base
from mutations import TEXTS, Random, change_bytes, change_tree, pick, place
from trials import Trial, sdr

from utils import InputError
from utils.applications.grading import grade as grading
from utils.applications.grading.submission import Submission
from utils.applications.grading.training import find_leakage
from utils.commands import main
from utils.data.metadata import read_split
from utils.experiments.checkpoint_folder import CHECKSUMS, EXPORTED, SNAPSHOT, WEIGHTS, exported_sum
from utils.files import sha256


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
        "empty": lambda: weight.flatten()[:0],
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
                z.writestr(name.strip("/\0") or "x", b"x")  # a name ends at its first NUL
        content = packed.getvalue()
        path.write_bytes(change_bytes(random, content) if random.integers(3) else content)
    return Trial(partial(_grade, path, base.metadata))


def _grade(path: Path, metadata: Path) -> None:
    def answer(submission: Submission, clips: Any, changed: Any, limits: Any) -> Any:
        find_leakage(submission, read_split(metadata, "TEST"))
        raise InputError(f"right, and claims {grading.stated_accuracy(submission)}; it is not graded in this test")

    grading.ask = answer  # type: ignore[assignment]
    main.main(["grade", str(path), "--metadata", str(metadata)])
