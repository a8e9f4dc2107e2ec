"""The library of eSpeak NG: text in, a waveform or its pronunciation out.

eSpeak NG is licensed under the GPLv3. It is used as a separate shared library, which the wheel `espeakng-loader` ships
together with its data; nothing of it is part of this project.
"""

import _ctypes
import contextlib
import ctypes
import locale
import os
import signal
import sys
import threading
from collections.abc import Iterator

import espeakng_loader
import numpy as np

from utils import InputError
from utils.data.standard_error import standard_error_to

if sys.platform == "win32":
    _unload = _ctypes.FreeLibrary
else:
    _unload = _ctypes.dlclose

NATIVE_RATE = 22050  # sample rate of eSpeak's waveforms, in Hz

# constants of eSpeak's speak_lib.h
SYNCHRONOUS_OUTPUT = 2  # AUDIO_OUTPUT_SYNCHRONOUS: the callback has received all samples when espeak_Synth returns
RETURN_ON_FAILURE = 1 << 15  # espeakINITIALIZE_DONT_EXIT: do not end the process
RATE, PITCH, INFLECTION = 1, 3, 4  # espeakRATE, espeakPITCH, espeakRANGE
CHARACTER_POSITION = 1  # POS_CHARACTER
UTF8 = 1  # espeakCHARS_UTF8
IPA = 2  # espeakPHONEMES_IPA
BUFFER_MS = 1000  # length of eSpeak's buffer


def speak_word(word: str, voice: str, rate: float, pitch: float, inflection: float) -> np.ndarray:
    """Speak a word. The waveform does not depend on what was spoken before.

    Args:
        word: the text to speak.
        voice: eSpeak's name of the voice, for example "gmw/en-US+max".
        rate: in words per minute.
        pitch: 0-99, 50 being the voice's own.
        inflection: range of the pitch, 0-99, 50 being the voice's own.

    Returns:
        16-bit samples as floats, shape (samples,), at `NATIVE_RATE`, without the silence before and after the word.

    Raises:
        InputError: eSpeak NG cannot find its data or the voice, or produces no sound.
    """
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, events):
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # continue

    with _loaded(voice) as library:
        library.espeak_SetSynthCallback(collect)
        for parameter, value in ((RATE, rate), (PITCH, pitch), (INFLECTION, inflection)):
            library.espeak_SetParameter(parameter, round(value), 0)
        text = word.encode() + b"\0"
        with _uninterrupted():
            library.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, CHARACTER_POSITION, 0, UTF8, None, None)
    samples = np.frombuffer(b"".join(pieces), dtype="<i2").astype(float)
    audible = np.flatnonzero(samples)
    if len(audible) == 0:
        raise InputError(f"eSpeak NG produces no sound with the voice {voice}")
    return samples[audible[0] : audible[-1] + 1]


def pronounce(word: str, voice: str) -> str:
    """How eSpeak NG pronounces a word, in IPA.

    Args:
        word: the text.
        voice: the name of the language, for example "gmw/de".

    Raises:
        InputError: eSpeak NG cannot find its data, or does not know the language.
    """
    clauses = []
    with _loaded(voice) as library:
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        text = ctypes.c_char_p(word.encode())
        while text.value:  # one clause after another; the last sets the pointer to null
            clauses.append(library.espeak_TextToPhonemes(ctypes.byref(text), UTF8, IPA).decode())
    return " ".join(filter(None, clauses))


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back for milliseconds. In a callback, ctypes would lose it, and a part of the word with it."""
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread
        yield
        return
    held: list = []
    before = signal.signal(signal.SIGINT, lambda *got: held.append(got))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _loaded(voice: str) -> Iterator[ctypes.CDLL]:
    """The library with a voice, loaded anew.

    It keeps the phases of its oscillators between words, and even when it is initialised again. Loading it anew for
    each word takes 2 ms and makes every waveform independent of those before it.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    with _without_side_effects():
        try:
            data = espeakng_loader.get_data_path()
            if library.espeak_Initialize(SYNCHRONOUS_OUTPUT, BUFFER_MS, data.encode(), RETURN_ON_FAILURE) <= 0:
                raise InputError(f"{data}: eSpeak NG cannot read its data (is the path longer than 160 characters?)")
            if library.espeak_SetVoiceByName(voice.encode()):
                raise InputError(f"{data}: eSpeak NG has no voice {voice}")
            yield library
            library.espeak_Terminate()
        finally:
            _unload(library._handle)


@contextlib.contextmanager
def _without_side_effects() -> Iterator[None]:
    """Silence standard error, to which eSpeak NG writes warnings, and restore the locale, which it changes."""
    character_type = locale.setlocale(locale.LC_CTYPE)
    try:
        with open(os.devnull, "wb") as nothing, standard_error_to(nothing):
            yield
    finally:
        locale.setlocale(locale.LC_CTYPE, character_type)
