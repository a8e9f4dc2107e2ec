"""One spoken word in a recording: where it is, how loud it is, and whether the recording is good enough to keep."""

from dataclasses import dataclass

import numpy as np

from utils.data.audio import convert_rate
from utils.inference.endpointing import find_words

LONGEST = 2.0  # seconds, with the margins that endpointing leaves; a digit lasts about half a second
SILENT = -45.0  # dB of full scale: a peak below this is no speech into a microphone
QUIET = -26.0  # dB of full scale: a peak below this should be louder
NOISY = 15.0  # dB, the least level of the word above that of the pauses around it
FULL_SCALE = 0.999  # samples from here on are clipped
CLIPPED = 3  # samples at full scale; a single one can be chance


@dataclass(frozen=True)
class Utterance:
    """The word that was found in a recording.

    Attributes:
        clip: the word with its margins, (samples,) at the wanted rate; empty where there is none.
        start: of the clip within the recording, in seconds.
        end: likewise.
        peak: the largest sample of the clip, or of the recording where there is no clip, in dB of full scale.
        noise: the RMS level around the word, in dB of full scale.
        clipped: the number of samples at full scale.
        problem: why the recording cannot be used, or "".
        advice: what would be better, where it can be used, or "".
    """

    clip: np.ndarray
    start: float
    end: float
    peak: float
    noise: float
    clipped: int
    problem: str
    advice: str


def find_utterance(recording: np.ndarray, rate: int, wanted: int) -> Utterance:
    """Cut the one word out of a recording.

    Args:
        recording: (samples,) as the microphone gave it, since converting the rate would hide clipping.
        rate: sample rate of the recording, in Hz.
        wanted: sample rate of the clip, in Hz.
    """
    waveform = convert_rate(recording.astype(np.float32), rate, wanted)
    centred = waveform - waveform.mean()  # a constant offset would look like noise
    words = find_words(centred, wanted)
    clipped = int((np.abs(recording) >= FULL_SCALE).sum())
    peak = _decibels(np.abs(recording).max())
    nothing = waveform[:0]
    if peak < SILENT:
        problem = "There is hardly any sound. Is the right microphone selected, and is it muted?"
        return Utterance(nothing, 0.0, 0.0, peak, peak, clipped, problem, "")
    if not words or words == [(0, len(waveform))]:
        problem = "No word was found. Speak a little louder, with a short pause before and after."
        return Utterance(nothing, 0.0, 0.0, peak, peak, clipped, problem, "")

    start, end = words[0][0], words[-1][1]
    around = np.concatenate([centred[:start], centred[end:]])
    noise = _decibels(np.sqrt(np.square(around).mean())) if len(around) else -100.0
    level = _decibels(np.sqrt(np.square(centred[start:end]).mean()))
    peak = _decibels(np.abs(recording[round(start * rate / wanted) : round(end * rate / wanted)]).max())
    problem = advice = ""
    if len(words) > 1:
        problem = f"{len(words)} words or noises were found. Say one digit, in one go."
    elif start == 0:
        problem = "The beginning is missing. Wait a moment before you speak."
    elif end == len(waveform):
        problem = "The end is missing. Stop a moment after you have spoken."
    elif (end - start) / wanted > LONGEST:
        problem = f"The word lasts {(end - start) / wanted:.1f} seconds. One digit is shorter than {LONGEST:.0f}."
    elif clipped >= CLIPPED:
        advice = "Too loud: the sound is distorted. Move away from the microphone or turn it down."
    elif peak < QUIET:
        advice = "Rather quiet. Move closer to the microphone or turn it up."
    elif level - noise < NOISY:
        advice = "There is a lot of noise. A quieter room would be better."
    return Utterance(waveform[start:end], start / wanted, end / wanted, peak, noise, clipped, problem, advice)


def _decibels(amplitude: float) -> float:
    """An amplitude in dB of full scale, at least -100."""
    return float(20 * np.log10(max(amplitude, 1e-5)))
