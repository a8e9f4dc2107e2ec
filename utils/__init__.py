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


class InputError(Exception):
    """Something that the user gave is wrong: the message says what, in which file and row, and what to do.

    Commands print it as one plain line and exit with status 2.
    """
