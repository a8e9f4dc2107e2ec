"""Test sets made of clips: the ratio of speech to noise, strings, the same files for the same seed."""

import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from conftest import RATE, tone, write_wav

from utils import InputError
from utils.data.corpora import noises
from utils.data.metadata import read_metadata
from utils.experiments import mixtures
from utils.features.room_augmentations import speech_power

RECORDING = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)


def make(folder, clips, seed=0):
    mixtures.make_mixtures(folder, clips, ("esc10",), seed, strings=4)
    return folder


def checksums(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*")
    }


@pytest.fixture(scope="module", autouse=True)
def noise():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noises, "read_noises", lambda sources: pd.DataFrame({"path": list(sources)}))
        patch.setattr(noises, "load_noises", lambda table, rate: [RECORDING])
        yield


@pytest.fixture(scope="module")
def clips(corpus):
    return corpus.clips[corpus.clips["split"] == "TEST"]


@pytest.fixture(scope="module")
def made(clips, noise, tmp_path_factory):
    return make(tmp_path_factory.mktemp("mixtures") / "made", clips)


def test_every_clip_is_in_each_condition_under_its_own_name(made, clips):
    for condition in mixtures.NOISE:
        table = read_metadata(made / condition / "metadata.tsv")
        columns = ["identifier", "speaker", "split", "label"]
        assert table[columns].to_numpy().tolist() == clips[columns].to_numpy().tolist()


def sounds(folder, condition: str) -> list[np.ndarray]:
    """The first three recordings of a condition."""
    paths = read_metadata(folder / condition / "metadata.tsv", digits=condition not in mixtures.STRINGS)
    return [soundfile.read(path, dtype="float32")[0] for path in paths["path"][:3]]


@pytest.mark.parametrize(
    ("quiet", "noisy", "ratio_db"),
    [("clean", "20", 20), ("clean", "10", 10), ("clean", "5", 5), ("clean", "0", 0), ("clean", "-5", -5)]
    + [("clean", "babble-10", 10), ("pauses", "pauses-10dB", 10)],
)
def test_the_noise_has_the_stated_ratio(made, quiet, noisy, ratio_db):
    for clean, mixed in zip(sounds(made, quiet), sounds(made, noisy), strict=True):
        assert len(clean) == len(mixed) and np.abs(mixed).max() == pytest.approx(mixtures.PEAK, abs=1e-3)
        scale = (mixed * clean).sum() / np.square(clean).sum()  # of the speech, to which the noise is not correlated
        power = speech_power(torch.from_numpy(scale * clean).unsqueeze(0), RATE).item()
        assert 10 * np.log10(power / np.square(mixed - scale * clean).mean()) == pytest.approx(ratio_db, abs=0.7)


def test_babble_is_four_equally_loud_talkers_at_once():
    hertz, levels = (3000, 500, 800, 1200, 2000), (0.5, 0.1, 0.2, 0.4, 0.8)
    waveforms = [torch.from_numpy(level * tone(pitch, 1.0)) for pitch, level in zip(hertz, levels, strict=True)]
    clips = pd.DataFrame({"identifier": list("abcde"), "speaker": ["eve"] + ["finn"] * 4, "split": "TEST", "label": 0})
    made = mixtures._in_noise(clips, waveforms, [torch.ones(1)], 0)
    babble = next(recording.samples for recording in made if recording.condition == mixtures.BABBLE)
    spectrum = np.abs(np.fft.rfft(babble[: RATE // 10])) / babble.std()  # before the word; a bin is 10 Hz
    assert spectrum[[50, 80, 120, 200]] == pytest.approx(spectrum[50], rel=0.01)
    assert np.sort(spectrum)[:-4].max() < 0.01 * spectrum[50]


@pytest.mark.parametrize("condition", ["pauses", "connected"])
def test_strings_without_noise_have_hiss_40_db_below_the_speech(made, condition):
    for string in sounds(made, condition):
        hiss = np.square(string[: RATE // 10]).mean()  # nothing is said in the first tenth of a second
        power = speech_power(torch.from_numpy(string).unsqueeze(0), RATE).item()
        assert 10 * np.log10(power / hiss) == pytest.approx(40, abs=1)


def test_strings_are_of_one_speaker_and_the_same_in_each_condition(made):
    tables = {name: read_metadata(made / name / "metadata.tsv", digits=False) for name in mixtures.STRINGS}
    for table in tables.values():
        assert table["label"].equals(tables["pauses"]["label"]) and table["label"].str.len().between(3, 7).all()
        assert set(table["speaker"]) == {"eve", "finn"}
    seconds = {name: sum(soundfile.info(path).duration for path in table["path"]) for name, table in tables.items()}
    gaps = tables["pauses"]["label"].str.len().sum() - len(tables["pauses"])
    assert seconds["pauses-10dB"] == seconds["pauses"]
    assert 0.2 * gaps < seconds["pauses"] - seconds["connected"] < 0.61 * gaps


def test_a_string_says_the_digits_of_its_label_by_its_speaker():
    hertz, speakers, labels = range(300, 3100, 200), "aaaaaaabbbbbbb", "31405926535897"  # each clip has its own tone
    waveforms = [torch.from_numpy(tone(each, 0.3)) for each in hertz]
    clips = pd.DataFrame({"speaker": list(speakers), "split": "TEST", "label": list(labels)})
    lengths = set()
    for made in mixtures._strings(clips, waveforms, [torch.from_numpy(RECORDING)], 0, 6):
        frames = made.samples[: len(made.samples) // 400 * 400].reshape(-1, 400) / made.samples.std()
        heard = [20 * np.abs(np.fft.rfft(frame)).argmax() for frame in frames if frame.std() > 0.8]
        said = [hertz.index(pitch) for pitch, _ in itertools.groupby(heard)]
        assert "".join(labels[clip] for clip in said) == made.label
        assert {speakers[clip] for clip in said} == {made.speaker}
        lengths.add(len(said))
    assert len(lengths) > 2


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, clips, tmp_path):
    assert checksums(make(tmp_path / "again", clips)) == checksums(made)
    assert checksums(make(tmp_path / "other", clips, seed=1)) != checksums(made)


def test_an_identifier_need_not_be_the_name_of_a_file(clips, tmp_path):
    odd = clips.assign(identifier='set "1"/' + clips["identifier"])
    table = read_metadata(make(tmp_path / "odd", odd) / "clean" / "metadata.tsv")
    assert table["identifier"].tolist() == odd["identifier"].tolist()


def test_a_clip_does_not_depend_on_the_clips_of_other_splits(made, corpus, tmp_path):
    reported = corpus.clips[corpus.clips["split"].isin(["DEV", "TEST"])]
    both = checksums(make(tmp_path / "both", reported))
    own = checksums(made)
    assert {name: both[name] for name in own if name.endswith(".wav")} == {
        name: digest for name, digest in own.items() if name.endswith(".wav")
    }


def test_babble_needs_other_speakers_and_strings_enough_clips(clips, tmp_path):
    with pytest.raises(InputError, match="other speakers than 'eve'"):
        make(tmp_path / "one", clips[clips["speaker"] == "eve"])
    few = pd.concat([clips[clips["speaker"] == name].head(6) for name in ("eve", "finn")])
    with pytest.raises(InputError, match="at least 7 clips of each speaker; 'eve' has 6"):
        make(tmp_path / "few", few)


def test_a_piece_of_noise_is_not_nearly_silent():
    recording = torch.cat([torch.zeros(10 * RATE), torch.ones(RATE)])
    draw = np.random.default_rng(0)
    for _ in range(20):
        assert mixtures._piece(recording, RATE // 2, draw).square().mean() >= 0.1 / 11


def test_the_cached_mixtures_follow_the_contents_of_the_clips(tmp_path, monkeypatch):
    monkeypatch.setattr(mixtures, "CACHE", tmp_path / "cache")
    made = []
    monkeypatch.setattr(mixtures, "make_mixtures", lambda folder, clips, sources: made.append(folder))
    clip = write_wav(tmp_path / "0.wav", RECORDING)
    clips = pd.DataFrame({"identifier": ["0"], "speaker": ["eve"], "split": ["TEST"], "label": [0], "path": [clip]})
    first = mixtures.cached_mixtures(clips, ("esc10",))
    assert mixtures.cached_mixtures(clips, ("esc10",)) == first
    second = mixtures.cached_mixtures(clips, ("arabic",))
    write_wav(clip, RECORDING[:RATE])
    assert len({first, second, mixtures.cached_mixtures(clips, ("esc10",))}) == len(made) == 3
