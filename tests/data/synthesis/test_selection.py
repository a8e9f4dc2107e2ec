"""The part of the synthetic speech that an experiment trains on."""

import pandas as pd
import pytest

from utils import InputError
from utils.data.synthesis import selection
from utils.data.synthesis.archive import NOT_UNDERSTOOD

VOICES = {"flite": ["kal", "awb", "rms", "slt", "jmk"], "piper": ["joe"], "espeak": ["de+f1", "de+m2", "fr+f1"]}


@pytest.fixture
def clips() -> pd.DataFrame:
    """Two digits by two speakers of each voice. The table's index is not 0, 1, 2, as after a selection."""
    rows = [
        (engine, voice, f"{engine}-{voice.split('+')[0]}-{number:02d}", "us", digit, ("zero", "one?")[digit])
        for engine, voices in VOICES.items()
        for voice in voices
        for number in range(2)
        for digit in range(2)
    ]
    table = pd.DataFrame(rows, columns=["engine", "voice", "speaker", "accent", "label", "text"])
    return table.set_index(table.index * 3 + 7)


def test_only_the_clips_of_some_engines(clips):
    chosen = selection.of_engines(clips, ["piper", "flite"])
    assert set(chosen["engine"]) == {"flite", "piper"} and len(chosen) == 4 * 6
    assert selection.of_engines(clips, []).empty


@pytest.mark.parametrize(
    ("engine", "message"), [("flit", "did you mean 'flite'"), ("espeak", "set synthetic_accents and synthetic_voices")]
)
def test_an_engine_that_the_archive_lacks(clips, engine, message):
    with pytest.raises(InputError, match=message):
        selection.of_engines(clips[clips["engine"] != "espeak"], [engine])


def test_a_share_of_the_voices_of_each_engine(clips):
    def voices(share: float) -> set:
        return set(selection.share_of_voices(clips, share)["voice"])

    assert voices(1) == {name for names in VOICES.values() for name in names}
    assert voices(0.5) == {"kal", "rms", "jmk", "joe", "de+f1", "de+m2"}  # variants of one voice stay together
    assert voices(0.25) == {"kal", "jmk", "joe", "de+f1", "de+m2"} < voices(0.5)
    assert {engine for engine, names in VOICES.items() if voices(1e-9) & set(names)} == set(VOICES)
    assert selection.share_of_voices(clips.iloc[:0], 0.5).empty


def test_the_first_speakers_of_each_voice(clips):
    first = selection.first_speakers(clips, 1)
    assert len(first) == len(clips) / 2 and first["speaker"].str.endswith("-00").all()
    assert selection.first_speakers(clips, 2).equals(clips)


def test_words_and_voices_that_are_not_understood_are_left_out(clips, tmp_path):
    rows = ["engine\tvoice\taccent\tdigit\tword", "flite\t\tus\t1\tone", "espeak\tde\t\t\t", "piper\t\tgb\t1\tone"]
    (tmp_path / NOT_UNDERSTOOD).write_text("\n".join(rows) + "\n")
    kept = selection.understood(clips, tmp_path)
    assert set(kept.loc[kept["engine"] == "flite", "text"]) == {"zero"}
    assert set(kept.loc[kept["engine"] == "espeak", "voice"]) == {"fr+f1"}
    assert (kept["engine"] == "piper").sum() == 4  # the accent differs
    with pytest.raises(InputError, match="`sdr data voices en --write` makes it"):
        selection.understood(clips, tmp_path / "en")
