"""The ten kinds of input, each as a function that makes a bad one and says what to do with it.

`KINDS[kind](random, base, folder)` fills the folder of a trial and returns its action: what to run there. It may also
return a check of what came of it.
"""

from collections.abc import Callable
from pathlib import Path

from bases import Base
from fuzzed_commands import command_lines
from fuzzed_models import checkpoints, submissions
from fuzzed_sounds import audio, phone_recordings
from fuzzed_storage import caches, results, states
from fuzzed_texts import configs, tables
from mutations import Random
from trials import Trial

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
    "phone recordings": phone_recordings,  # the last, since the number of a kind is part of the seed
}
