"""The eSpeak NG synthesiser: a word becomes samples.

eSpeak NG is under the GPLv3. It is used as a separate shared library, which comes with its data in the wheel
`espeakng-loader`; nothing of it is part of this project.
"""

import _ctypes
import contextlib
import ctypes
import locale
import os

import espeakng_loader
import numpy as np

from utils import InputError

NATIVE_RATE = 22050  # Hz, of eSpeak's own samples


def speak_word(word: str, voice: str, rate: float, pitch: float, inflection: float) -> np.ndarray:
    """A word as eSpeak's samples at `NATIVE_RATE`, without the silence around it.

    The library carries the phases of its waves and of its flutter from one word to the next, across its own
    initialisation too. So it is loaded anew for each word, which costs 2 ms: no clip depends on earlier ones.
    """
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    with _contained():
        try:
            synchronous, milliseconds, return_on_failure = 2, 1000, 1 << 15
            data = espeakng_loader.get_data_path()
            if library.espeak_Initialize(synchronous, milliseconds, data.encode(), return_on_failure) <= 0:
                raise InputError(f"{data}: eSpeak NG cannot read its data (a path over 160 characters?)")
            library.espeak_SetSynthCallback(collect)
            if library.espeak_SetVoiceByName(voice.encode()):
                raise InputError(f"{data}: eSpeak NG has no voice {voice}")
            for parameter, value in ((1, rate), (3, pitch), (4, inflection)):  # as speak_lib.h counts them
                library.espeak_SetParameter(parameter, round(value), 0)
            text, utf8 = word.encode() + b"\0", 1
            library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 1, 0, utf8, None, None)
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
    samples = np.frombuffer(b"".join(pieces), dtype="<i2").astype(float)
    heard = np.flatnonzero(samples)
    if len(heard) == 0:
        raise InputError(f"eSpeak NG says nothing as {voice}")
    return samples[heard[0] : heard[-1] + 1]


@contextlib.contextmanager
def _contained():
    """eSpeak prints its complaints to the process's stderr and sets its locale: keep both from happening."""
    stderr, character_type = os.dup(2), locale.setlocale(locale.LC_CTYPE)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        locale.setlocale(locale.LC_CTYPE, character_type)
