"""What is wrong with single clips, from their measures and their checksums."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

from utils.applications.corpus_check.findings import Finding
from utils.applications.corpus_check.measures import Measures
from utils.files import sha256
from utils.inference.endpointing import MARGIN

# Thresholds; docs/checking_data.md reports how many of the course's clips exceed each
QUIETEST_DB = -55.0  # level of the speech, re full scale
CLIPPED = 0.001  # share of samples
DC = 0.01  # of full scale
SILENT = 0.8  # share of the clip without a word
STEADY_DB, STEADY_SECONDS = 3.0, 0.5  # a longer clip with less between its quiet and loud frames is noise or hum
PAUSE, SECOND_DB, SECOND_SECONDS = 0.25, -20.0, 0.2  # a second word: the pause before it, its level, its duration
DEVIATIONS, LEAST_DEVIATION = 5.0, 0.15  # of the logarithm of the duration
SHORTEST, LONGEST = 0.1, 3.0  # seconds


def check_clips(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Findings about single clips. `measured` maps positions in the table `clips` to measures."""
    for i, clip in measured.items():
        yield from check_clip(i, clip)
    yield from check_durations(clips["label"].to_numpy(), {i: clip.seconds for i, clip in measured.items()})


def check_clip(i: int, clip: Measures) -> Iterator[Finding]:
    """Findings about the clip at position `i` that need no other clip."""
    if not clip.words or (clip.range_db < STEADY_DB and clip.seconds > STEADY_SECONDS):
        why = "no word found" if not clip.words else f"a steady sound ({clip.range_db:.0f} dB between quiet and loud)"
        yield Finding("no word", "error", why, (i,), -clip.range_db)
    elif (silent := 1 - sum(end - start for start, end in clip.words) / clip.seconds) > SILENT:
        yield Finding("silence", "warning", f"{silent:.0%} of {clip.seconds:.1f} s is silent", (i,), silent)
    if (words := count_words(clip)) > 1:
        starts = " and ".join(f"{start:.1f}" for start, _ in clip.words)
        yield Finding("several words", "warning", f"{words} words, at {starts} s", (i,), words)
    if clip.clipped > CLIPPED:
        yield Finding("clipping", "warning", f"{clip.clipped:.1%} of the samples are clipped", (i,), clip.clipped)
    if clip.level_db < QUIETEST_DB:
        yield Finding("level", "warning", f"{clip.level_db:.0f} dB re full scale", (i,), -clip.level_db)
    if abs(clip.dc) > DC:
        yield Finding("dc offset", "warning", f"{clip.dc:+.1%} of full scale", (i,), abs(clip.dc))


def check_checksums(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Clips that can be read, but are not the files that the table's column `sha256` lists, if it has one."""
    for i, clip in enumerate(clips.itertuples() if "sha256" in clips else ()):
        if i in measured and (found := sha256(clip.path)) != clip.sha256:
            message = f"SHA-256 {found[:12]}..., but in the table {clip.sha256[:12]}..."
            yield Finding("checksum", "error", message, (i,))


def count_words(clip: Measures) -> int:
    """The number of words in a clip. A stop closure, as in the Arabic "sitta", is no pause, and a click is no word."""
    loudest = max(clip.word_levels_db, default=0.0)
    kept = [
        (start, end)
        for (start, end), level in zip(clip.words, clip.word_levels_db, strict=True)
        if level > loudest + SECOND_DB and end - start > SECOND_SECONDS
    ]
    pauses = [start - end + 2 * MARGIN for (_, end), (start, _) in pairwise(kept)]
    return len(clip.words) and 1 + sum(pause > PAUSE for pause in pauses)


def check_durations(labels: np.ndarray, seconds: Mapping[int, float]) -> Iterator[Finding]:
    """Clips that are much shorter or longer than others of their label: outliers of the logarithm, by the median."""
    place = np.array(list(seconds), dtype=int)
    logarithm = np.log(np.array(list(seconds.values())))
    for label in np.unique(labels[place]):
        mine = labels[place] == label
        middle = np.median(logarithm[mine])
        deviation = max(1.4826 * np.median(np.abs(logarithm[mine] - middle)), LEAST_DEVIATION)
        for i, value in zip(place[mine].tolist(), logarithm[mine].tolist(), strict=True):
            score, duration = abs(value - middle) / deviation, float(np.exp(value))
            if score > DEVIATIONS or not SHORTEST <= duration <= LONGEST:
                message = f"{duration:.2f} s; the median of the clips labelled {label} is {np.exp(middle):.2f} s"
                yield Finding("duration", "warning", message, (i,), float(score))
