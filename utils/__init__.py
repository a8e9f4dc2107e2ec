"""Shared utilities of the spoken-digits project, in the order in which data flows.

data          files                        -> clips with labels, split into training and test
features      waveforms                    -> (batch, frames, mels)
training      batches                      -> weights
evaluation    predictions                  -> numbers, tables and figures
inference     a waveform                   -> a prediction
experiments   a YAML file                  -> all of the above
commands      the command line             -> calls of the above

A package imports from those before it, never from those after it.
"""

import os

# On Linux, large tensors lie in pages of 2 MB instead of 4 KB, which saves a training of `strings` 14 % of its time. No
# number depends on it. PyTorch reads this when it makes its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

LONGEST_MESSAGE = 1000  # characters
# how PyTorch, the loader of libraries and the system say that memory is lacking
NO_MEMORY = ("allocate memory", "unable to mmap", "Cannot allocate", "failed to map segment")


class InputError(Exception):
    """Something that the user gave is wrong: the message says what, in which file and row, and what to do.

    Commands print it and exit with status 2. As text it is one line, in which the control characters of a name or a
    cell are escaped and whatever is endless is cut in the middle.
    """

    def __str__(self) -> str:
        text = plain(" ".join(super().__str__().splitlines()))
        half = LONGEST_MESSAGE // 2
        return text if len(text) <= LONGEST_MESSAGE else f"{text[:half]} ... {text[-half:]}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is lacking."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY)


def plain(text: str) -> str:
    """A text with all that cannot be printed, such as what controls a terminal, escaped as in Python."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def count(number: int, thing: str) -> str:
    """ "1 clip", "2 clips"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
