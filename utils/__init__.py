"""Shared utilities of the spoken-digits project: from a metadata table and audio files to results."""


class InputError(Exception):
    """Something that the user gave is wrong: the message says what, in which file and row, and what to do.

    Commands print it as one plain line and exit with status 2.
    """
