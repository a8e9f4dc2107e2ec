"""The checks of `sdr data check`, each on clips with that fault and on clips without."""

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from conftest import RATE, speak, tone, write_wav

from utils import InputError
from utils.applications.corpus_check import balance, clips, labels, voices
from utils.applications.corpus_check.check import check_corpus, row_numbers
from utils.applications.corpus_check.measures import clipped_share, measure
from utils.paths import COURSE_METADATA, speech_data


def found(path) -> dict[str, str]:
    """The checks that find something in a clip, and their messages."""
    return {finding.check: finding.message for finding in clips.check_clip(0, measure(str(path)))}


def word(seconds: float = 0.3) -> np.ndarray:
    clip = np.hanning(round(seconds * RATE)) * tone(700, seconds)
    return np.float32(np.pad(clip, 800))


FAULTS = {
    "none": (word(), set()),
    "clipped": (np.clip(4 * word(), -0.9, 0.9), {"clipping"}),
    "clipped, then quieter": (0.3 * np.clip(4 * word(), -1, 1), {"clipping"}),
    "DC offset": (word() + 0.02, {"dc offset"}),
    "very quiet": (0.003 * word(), {"level"}),
    "hum": (tone(50, 1.0), {"no word"}),
    "noise": (np.random.default_rng(0).normal(0, 0.05, RATE), {"no word"}),
    "two words": (np.concatenate([word(), np.zeros(2400), word()]), {"several words"}),
    "mostly silence": (np.pad(word(), 10000), {"silence"}),
    "a pause as in a stop closure": (np.concatenate([word()[800:-800], np.zeros(1200), word()[800:-800]]), set()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_a_clip(tmp_path, fault):
    waveform, expected = FAULTS[fault]
    assert set(found(write_wav(tmp_path / "clip.wav", waveform, subtype="FLOAT"))) == expected


def test_a_pure_tone_and_a_quiet_clip_are_not_clipped():
    assert clipped_share(tone(100, 1.0, 48000)) == 0
    assert clipped_share(np.round(tone(100, 1.0) * 40) / 32768) == 0
    assert clipped_share(np.float32([0, 0.5, 0.5, 0.5, 0, -0.5, -0.5, 0])) == 3 / 8


def test_a_silent_clip_cannot_be_measured(tmp_path):
    with pytest.raises(InputError, match="silence"):
        measure(str(write_wav(tmp_path / "clip.wav", np.zeros(4000))))


@pytest.mark.parametrize("samples", [1, 10])
def test_a_tiny_clip_has_no_word(tmp_path, samples):
    assert "no word" in found(write_wav(tmp_path / "clip.wav", tone(700, 1.0)[1 : 1 + samples]))


def test_a_clip_of_a_low_sample_rate_is_measured(tmp_path):
    soundfile.write(tmp_path / "low.wav", np.pad(word(), RATE // 2)[::2], RATE // 2)
    (found_word,) = (measured := measure(str(tmp_path / "low.wav"))).words
    assert measured.rate == RATE // 2 and found_word == pytest.approx((0.55, 0.96), abs=0.05)


def test_durations_are_compared_within_a_label():
    seconds = dict(enumerate([0.3, 0.31, 0.33, 0.35, 1.5, 0.9, 0.95, 1.0, 1.02, 4.0, 0.05]))
    label = np.array([1] * 5 + [7] * 4 + [7, 1])
    outliers = {finding.clips[0] for finding in clips.check_durations(label, seconds)}
    assert outliers == {4, 9, 10}


# The table


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["speaker", "split", "label"])


def whole(speaker: str, split: str, times: int = 1) -> list[tuple]:
    return [(speaker, split, digit) for digit in range(10)] * times


def messages(findings, severity: str) -> list[str]:
    return [finding.message for finding in findings if finding.severity == severity]


def test_a_balanced_table_has_no_findings():
    clips_ = table(*whole("a", "TRAIN"), *whole("b", "TRAIN"), *whole("c", "DEV"), *whole("c", "TEST"))
    assert list(balance.check_balance(clips_, {})) == []


@pytest.mark.parametrize("name", ["Jürgen", "JU\u0308RGEN"])
def test_a_speaker_of_train_in_another_split_is_an_error(name):
    clips_ = table(*whole("Jürgen", "TRAIN"), *whole(name, "TEST"))
    (error,) = messages(balance.check_speakers(clips_), "error")
    assert "Jürgen" in error and "TRAIN and TEST" in error and "10 clips" in error


def test_names_that_differ_in_case_are_reported():
    (warning,) = balance.check_speakers(table(*whole("Ada", "TRAIN"), *whole("ada", "TRAIN")))
    assert warning.severity == "warning" and "Ada = ada" in warning.message


def test_missing_and_rare_digits():
    rows = whole("a", "TRAIN", 3)
    assert messages(balance.check_labels(table(*[row for row in rows if row[2] != 4])), "error") == [
        "TRAIN has no clip of 4"
    ]
    (warning,) = messages(balance.check_labels(table(*rows[2:], *[("a", "TRAIN", 9)] * 5)), "warning")
    assert warning == "TRAIN has 8 clips of 9, 2 of 0"


def test_unequal_speakers_and_splits():
    clips_ = table(*whole("a", "TRAIN"), *whole("b", "DEV", 6))
    assert messages(balance.check_speakers(clips_), "warning") == ["speaker b has 60 clips, a 10"]
    empty, small = messages(balance.check_splits(clips_), "warning")
    assert "TEST is empty" in empty and "14%" in small


# Speakers and labels


def test_speakers_who_sound_alike():
    random = np.random.default_rng(0)
    speakers = np.repeat(np.array(["a", "b", "c", "few"], dtype=object), [40, 40, 40, 10])
    centres = random.normal(0, 3, (4, 12))[[0, 1, 2, 2]]
    vectors = np.repeat(centres, [40, 40, 40, 10], axis=0) + random.normal(0, 1, (130, 12))
    digits = np.arange(130) % 10
    assert voices.alike(vectors, digits, speakers) == []
    renamed = speakers.copy()
    renamed[20:40] = "d"
    ((one, other, distance),) = voices.alike(vectors, digits, renamed)
    assert (one, other) == ("a", "d") and distance < 1


@pytest.fixture(scope="module")
def views():
    """Pooled features of 480 made clips: eight of each digit by six speakers. The "3" of one is nearly a "2"."""
    random = np.random.default_rng(1)
    digits = random.normal(0, 1, (10, labels.SEGMENTS * labels.MODEL.n_mels))
    rows = [(speaker, digit) for speaker in "abcdef" for digit in range(10) for _ in range(8)]
    sound = [digits[2] + 0.3 * digits[3] if row == ("f", 3) else digits[row[1]] for row in rows]
    clips_ = np.stack(sound) + random.normal(0, 0.7, (len(rows), digits.shape[1]))
    columns = zip(*rows, strict=True)
    speakers, label = (np.array(column, dtype=kind) for column, kind in zip(columns, (object, int), strict=True))
    shaped = torch.tensor(clips_, dtype=torch.float32).view(len(rows), labels.SEGMENTS, -1)
    return list(shaped), label, speakers


def test_swapped_labels_are_doubted_and_a_pronunciation_is_not(views):
    clips_, label, speakers = views
    swapped = label.copy()
    swapped[[5, 130, 300]] = [7, 1, 4]
    judged = labels.judge(clips_, swapped, speakers)
    doubted = (judged.margin > labels.DISAGREE) & (judged.unusual > labels.UNUSUAL)
    assert np.flatnonzero(doubted).tolist() == [5, 130, 300]
    assert judged.digit[[5, 130, 300]].tolist() == label[[5, 130, 300]].tolist()
    assert (judged.digit[(speakers == "f") & (label == 3)] == 2).all()


def test_labels_are_not_judged_without_other_speakers_or_all_digits(views):
    clips_, label, speakers = views
    assert labels.judge(clips_[:80], label[:80], speakers[:80]) is None
    few = np.flatnonzero((label != 9) | (speakers == "a"))
    assert labels.judge([clips_[i] for i in few], label[few], speakers[few]) is None


# The whole


def test_the_generated_corpus_has_no_errors(corpus):
    report = check_corpus(corpus.metadata)
    assert report.count("error") == 0
    assert report.headline().startswith(f"{corpus.metadata}: 120 clips by 6 speakers, 0.5 min: 0 errors")


def test_a_copy_in_another_split_is_an_error(corpus, tmp_path):
    clips_ = corpus.clips.drop(columns="path")
    clips_["file"] = [str(corpus.folder / file) for file in clips_["file"]]
    write_wav(tmp_path / "copy.wav", np.pad(0.5 * speak(3, "ada", 0), 400))
    clips_.loc[len(clips_)] = ["copy", "eve", "TEST", 3, "copy.wav"]
    clips_.to_csv(tmp_path / "clips.tsv", sep="\t", index=False)
    copies = [finding for finding in check_corpus(tmp_path / "clips.tsv").findings if finding.check == "copies"]
    assert any(
        finding.severity == "error" and 120 in finding.clips and "speaker ada and eve" in finding.message
        for finding in copies
    )


def test_row_numbers_are_those_of_an_editor(tmp_path):
    path = tmp_path / "clips.tsv"
    path.write_bytes("identifier\tfile\n\na\tb\r\n\t\r\nc\td\u2028e\n\n".encode())
    assert row_numbers(path) == [3, 5]


@pytest.mark.slow
@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the clips of the course are not available")
def test_no_false_alarms_on_the_course():
    """As docs/checking_data.md reports: no errors, no copies, no speakers who sound alike, few doubtful labels."""
    report = check_corpus(COURSE_METADATA)
    assert report.count("error") == 0
    checks = [finding.check for finding in report.findings]
    assert not {"copies", "voices", "pronunciation", "several words", "no word"} & set(checks)
    assert checks.count("labels") <= 20
