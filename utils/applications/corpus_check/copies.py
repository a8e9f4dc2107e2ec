"""Clips with the same recording, found by their audio fingerprints (see `utils.data.audio_fingerprints`)."""

from collections.abc import Iterator, Mapping

import pandas as pd

from utils.applications.corpus_check.findings import Finding
from utils.applications.corpus_check.measures import Measures
from utils.data.audio_fingerprints import near_duplicates


def check_copies(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Pairs of copies: an error if they differ in speaker or label, or if one of them is in TRAIN and the other not."""
    places = list(measured)
    for pair in near_duplicates([clip.fingerprint for clip in measured.values()]):
        first, second = places[pair.first], places[pair.second]
        one, other = clips.iloc[first], clips.iloc[second]
        differ = [name for name in ("speaker", "label", "split") if one[name] != other[name]]
        leak = (one["split"] == "TRAIN") != (other["split"] == "TRAIN")
        severity = "error" if leak or "speaker" in differ or "label" in differ else "warning"
        what = ", ".join(f"{name} {one[name]} and {other[name]}" for name in differ) or f"speaker {one['speaker']}"
        exact = "identical" if pair.bit_errors == 0 else f"{pair.bit_errors:.0%} of the fingerprint differs"
        shift = f", shifted by {1000 * abs(pair.shift):.0f} ms" if pair.shift else ""
        yield Finding("copies", severity, f"{what}: {exact}{shift}", (first, second), len(differ) + 1 - pair.bit_errors)
