"""A Dask cluster for `sdr reproduce --scheduler`: its workers are checked before any of them gets a run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib

from utils import InputError
from utils.evaluation.results import environment
from utils.experiments.fingerprints import code_digests, short_key
from utils.paths import PROJECT, speech_data

WAIT = 30  # seconds for the scheduler, and for its first worker
SAME = ("torch", "numpy", "librosa", "sklearn")  # versions that may change results


@contextmanager
def cluster(scheduler: str, store: Path) -> Iterator[int]:
    """Within this context, joblib's tasks go to the workers of a Dask scheduler. Yields the number of workers.

    A worker that dies loses at most the epoch it was at: Dask gives its run to another worker, which resumes from the
    state in `runs/`, as that folder is shared.

    Args:
        scheduler: its address, such as "tcp://10.0.0.1:8786".
        store: the folder of the results, which all workers have to see.

    Raises:
        InputError: Dask is not installed, the scheduler does not answer, or a worker has more than one thread, other
            code or libraries, no clips, or another disk.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--scheduler needs Dask: `pip install distributed`") from None
    try:
        client = Client(scheduler, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {scheduler} ({' '.join(str(error).split())})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError:
            raise InputError(f"{scheduler}: no worker has joined within {WAIT} seconds") from None
        threads = client.nthreads()
        for address, count in threads.items():
            if count != 1:
                raise InputError(f"{address} has {count} threads; start it with --nthreads 1: a run needs a process")
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=store, prefix=".shared-") as mark:
            here = surroundings(Path(mark.name))
            for address, there in client.run(surroundings, Path(mark.name), on_error="return").items():
                if isinstance(there, Exception):
                    raise InputError(f"{address} cannot import the project ({there}); see docs/cluster.md")
                for what, value in here.items():
                    if there[what] != value:
                        raise InputError(f"{address}: {what} is {there[what]} there, but {value} here")
        with joblib.parallel_config(backend="dask", wait_for_workers_timeout=WAIT):
            yield len(threads)


def surroundings(mark: Path) -> dict[str, object]:
    """What has to be the same on all machines, by what to call it in a message. `mark` is a file in the store."""
    versions = environment()
    return {
        **{f"the version of {name}": versions[name] for name in SAME},
        "the folder of the project": str(PROJECT),
        "the code": short_key(code_digests()),
        "the folder of the clips": str(speech_data()),
        "whether there are clips": speech_data().is_dir(),
        "whether it sees the results": mark.exists(),
    }
