"""Kinds of input: what the project itself has stored, damaged: states, caches and results."""

import gzip
import json
import pickle
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bases import Base, save_features, train_here, weights_of
from fuzzed_commands import in_project
from fuzzed_models import Executed
from mutations import PLACES, Random, change_bytes, change_text, change_tree, pick, place
from trials import Trial


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
    return Trial(partial(in_project, base, folder / "project", command.split()))
