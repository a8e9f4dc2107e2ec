"""Corpora: a download that survives each way of failing, and a synthetic corpus that is always the same."""

import errno
import hashlib
import io
import itertools
import os
import random
import subprocess
import sys
import time
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from utils import InputError
from utils.data.audio import read_audio
from utils.data.corpora import fsdd, synthetic
from utils.data.metadata import read_metadata
from utils.files import sha256
from utils.paths import COURSE_METADATA, PROJECT, speech_data

CLIPS = {f"{digit}_ada_0.wav": random.Random(digit).randbytes(20_000) for digit in range(10)}


def archive_of(clips: dict[str, bytes]) -> bytes:
    """A zip as GitHub packs it: everything under one folder, and other files beside the clips."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("digits-26eb9aa/README.md", "about them")
        for name, content in clips.items():
            zipped.writestr(f"digits-26eb9aa/recordings/{name}", content)
    return buffer.getvalue()


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch()` of the ten made clips into `fetch.folder` from the test's own server."""
    metadata = tmp_path / "metadata.tsv"
    rows = [
        f"{name[:-4]}\tada\tTRAIN\t{name[0]}\tspeech_data/{name}\t{hashlib.sha256(clip).hexdigest()}\n"
        for name, clip in CLIPS.items()
    ]
    metadata.write_text("identifier\tspeaker\tsplit\tlabel\tfile\tsha256\n" + "".join(rows))

    server.content = archive_of(CLIPS)

    def run(**changes):
        arguments = {"url": server.url, "metadata": metadata, "progress": False} | changes
        return fsdd.fetch(run.folder, **arguments)

    run.folder = tmp_path / "speech_data"
    return run


def lies_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(fetch, *parts: str, **changes) -> str:
    """The message of the one plain line with which `fetch` fails; it holds all the parts."""
    with pytest.raises(InputError) as caught:
        fetch(**changes)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


# The download


def test_fresh_download_puts_exactly_the_clips_there(fetch, server):
    report = fetch()
    assert (report.folder, report.clips, report.fetched) == (fetch.folder, 10, 10)
    assert lies_in(fetch.folder) == CLIPS
    assert len(server.served) == 1


def test_clips_that_are_there_are_verified_without_the_network(fetch, server):
    fetch.folder.mkdir()
    for name, clip in CLIPS.items():
        (fetch.folder / name).write_bytes(clip)
    report = fetch()
    assert (report.clips, report.fetched) == (10, 0)
    assert server.served == []


def test_only_missing_and_wrong_clips_are_written(fetch):
    fetch()
    kept, wrong, missing = (fetch.folder / name for name in list(CLIPS)[:3])
    wrong.write_bytes(b"RIFF")
    missing.unlink()
    os.utime(kept, (1, 1))
    assert fetch().fetched == 2
    assert lies_in(fetch.folder) == CLIPS
    assert kept.stat().st_mtime == 1


def test_a_broken_download_is_resumed(fetch, server):
    server.breaks_after = 100_000
    refused(fetch, server.url, "the connection broke after 0.1 MB", "run the same again", "by hand")
    (part,) = fetch.folder.iterdir()
    have = part.stat().st_size
    assert part.suffix == ".part"
    assert 50_000 < have <= 100_000
    server.breaks_after = None
    assert fetch().fetched == 10
    assert server.served[1] == (f"bytes={have}-", len(server.content) - have)
    assert lies_in(fetch.folder) == CLIPS


def test_a_download_that_breaks_again_and_again_gets_there(fetch, server):
    server.breaks_after = 60_000
    for _ in range(3):
        refused(fetch, "the connection broke")
    assert fetch().fetched == 10
    assert len(server.served) == 4
    assert lies_in(fetch.folder) == CLIPS


def test_a_server_without_ranges_sends_it_all_again(fetch, server):
    server.breaks_after, server.ranges = 100_000, False
    refused(fetch, "the connection broke")
    server.breaks_after = 60_000
    refused(fetch, "the connection broke")
    (part,) = fetch.folder.iterdir()
    assert part.read_bytes() == server.content[: part.stat().st_size]
    server.breaks_after = None
    assert fetch().fetched == 10
    assert server.served[2][1] == len(server.content)
    assert lies_in(fetch.folder) == CLIPS


def test_a_part_longer_than_the_archive_is_dropped(fetch, server):
    whole, server.content = server.content, bytes(300_000)
    server.breaks_after = 280_000
    refused(fetch, "the connection broke")
    server.content, server.breaks_after = whole, None
    assert fetch().fetched == 10
    assert server.served[2] == (None, len(whole))


def test_a_part_of_another_archive_is_found_out_and_dropped(fetch, server):
    whole, server.content = server.content, bytes(150_000)
    server.breaks_after = 100_000
    refused(fetch, "the connection broke")
    server.content, server.breaks_after = whole, None
    refused(fetch, "damaged")
    assert lies_in(fetch.folder) == {}
    assert fetch().fetched == 10


def test_an_archive_that_a_killed_run_left_is_not_downloaded_again(fetch, server, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fsdd, "_read_clips", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert fetch().fetched == 10
    assert len(server.served) == 1
    assert lies_in(fetch.folder) == CLIPS


@pytest.mark.parametrize("status", [404, 500])
def test_the_servers_refusal_is_told(fetch, server, status):
    server.status = status
    refused(fetch, server.url, f"answered {status}", str(fetch.folder), "by hand")
    assert lies_in(fetch.folder) == {}
    server.status = 200
    assert fetch().fetched == 10


def test_no_network(fetch, server):
    server.server_close()  # nobody listens at the address any more
    refused(fetch, server.url, "cannot be reached", str(fetch.folder), "by hand")
    assert lies_in(fetch.folder) == {}


WHOLE = archive_of(CLIPS)
DAMAGED = {
    "truncated": WHOLE[:-500],
    "cut in the middle": WHOLE[: len(WHOLE) // 2],
    "corrupted": WHOLE[:50_000] + bytes(100) + WHOLE[50_100:],
    "no archive": b"<html>Please log in to this network</html>",
    "empty": b"",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_deleted(fetch, server, content):
    whole, server.content = server.content, content
    refused(fetch, server.url, "damaged or no zip archive")
    assert lies_in(fetch.folder) == {}
    server.content = whole
    assert fetch().fetched == 10
    assert lies_in(fetch.folder) == CLIPS


def test_whatever_bytes_are_damaged_it_is_told_plainly(fetch, server):
    chance = random.Random(0)
    directory = server.content.rindex(b"PK\x01\x02", 0, server.content.index(b"PK\x01\x02") + 4)
    for _ in range(60):
        content = bytearray(server.content)
        for _ in range(4):
            content[chance.randrange(directory, len(content))] = chance.randrange(256)
        server.content, whole = bytes(content), server.content
        try:
            fetch()
        except InputError as error:
            assert "\n" not in str(error)
            assert set(lies_in(fetch.folder)) <= set(CLIPS)
        server.content = whole
    fetch()
    assert lies_in(fetch.folder) == CLIPS


def test_a_clip_that_the_archive_lacks_is_named(fetch, server):
    server.content = archive_of({name: clip for name, clip in CLIPS.items() if name != "4_ada_0.wav"})
    refused(fetch, server.url, "no clip 4_ada_0.wav")
    assert lies_in(fetch.folder) == {}
    server.content = archive_of(CLIPS)
    assert fetch().fetched == 10


def test_a_clip_with_other_bytes_is_named(fetch, server):
    server.content = archive_of(CLIPS | {"7_ada_0.wav": b"RIFF, but not the right one"})
    refused(fetch, server.url, "7_ada_0.wav has a wrong sum")
    assert lies_in(fetch.folder) == {}
    server.content = archive_of(CLIPS)
    assert fetch().fetched == 10


def test_the_archives_own_paths_do_not_count(fetch, server, tmp_path):
    server.content = archive_of(CLIPS | {"../../../escaped.wav": b"!", "../" * 9 + "3_ada_0.wav": b"!"})
    refused(fetch, "3_ada_0.wav has a wrong sum")  # the last of that name counts, wherever it says it lies
    assert list(tmp_path.rglob("escaped.wav")) == []


def test_a_full_disk_is_told_and_leaves_nothing_half_written(fetch, server, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if "5_ada" not in path.name:
            return write(path, content)
        write(path, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        refused(fetch, "No space left on device")
    clips = lies_in(fetch.folder)
    (archive,) = clips.keys() - CLIPS.keys()  # it is whole, and kept: the next run needs no network
    assert clips.pop(archive) == server.content
    assert clips.items() <= CLIPS.items()
    assert "5_ada_0.wav" not in clips
    assert fetch().fetched == 10 - len(clips)
    assert len(server.served) == 1
    assert lies_in(fetch.folder) == CLIPS


def test_a_folder_that_cannot_be_made_is_told(fetch):
    fetch.folder.write_text("a file")
    refused(fetch, str(fetch.folder))


def test_a_table_without_sums_is_told(fetch, tmp_path):
    table = tmp_path / "other.tsv"
    table.write_text("identifier\tspeaker\tsplit\tlabel\tfile\n0_ada_0\tada\tTRAIN\t0\t0_ada_0.wav\n")
    refused(fetch, str(table), "'sha256'", metadata=table)
    refused(fetch, "none.tsv", metadata=tmp_path / "none.tsv")


# The course's clips


def test_the_course_table(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    for line in COURSE_METADATA.read_text().splitlines()[1:]:
        (tmp_path / Path(line.split("\t")[4]).name).touch()
    table = read_metadata(COURSE_METADATA)
    assert table["split"].value_counts().to_dict() == {"TRAIN": 2000, "DEV": 497, "TEST": 503}
    speakers = table.groupby("split")["speaker"].unique().map(sorted).to_dict()
    assert speakers["TRAIN"] == ["george", "jackson", "nicolas", "theo"]
    assert speakers["DEV"] == speakers["TEST"] == ["lucas", "yweweler"]
    assert (table.groupby(["speaker", "label"]).size() == 50).all()
    assert table["sha256"].nunique() == 3000
    take = table["identifier"].str.rsplit("_", n=1).str[1]
    name = table["label"].astype(str) + "_" + table["speaker"] + "_" + take
    assert (table["identifier"] == name).all()
    assert (table["file"] == "speech_data/" + name + ".wav").all()
    order = list(zip(table["speaker"], table["label"], take.astype(int), strict=True))
    assert order == sorted(order)


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
def test_the_course_clips_are_verified_in_two_seconds():
    started = time.perf_counter()
    report = fsdd.fetch(speech_data(), url="http://127.0.0.1:9/unreachable", progress=False)
    assert (report.clips, report.fetched) == (3000, 0)
    assert time.perf_counter() - started < 2


# The synthetic corpus


def spoken(folder: Path, **arguments) -> dict[str, bytes]:
    table = synthetic.speak(folder, **({"speakers": 3, "takes": 1, "progress": False} | arguments))
    assert table == folder / "metadata.tsv"
    return lies_in(folder)


def waveform(clip: bytes) -> tuple[int, np.ndarray]:
    with wave.open(io.BytesIO(clip)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def test_the_same_seed_speaks_the_same_bytes_in_another_process(tmp_path):
    spoken(tmp_path / "before", seed=7)  # so that the library is not in its first state here
    here = spoken(tmp_path / "here", speakers=4, takes=2, seed=3)
    code = (
        "from pathlib import Path; from utils.data.corpora import synthetic; "
        f"synthetic.speak(Path({str(tmp_path / 'there')!r}), speakers=4, takes=2, seed=3, progress=False)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
    assert lies_in(tmp_path / "there") == here
    assert len(here) == 4 * 10 * 2 + 1


def test_a_small_corpus_is_part_of_a_large_one(tmp_path):
    small, large = spoken(tmp_path / "small"), spoken(tmp_path / "large", speakers=5, takes=2)
    small.pop("metadata.tsv")
    assert small.items() <= large.items()


def test_other_seeds_speakers_and_takes_differ(tmp_path):
    one, other = spoken(tmp_path / "one", takes=2), spoken(tmp_path / "other", takes=2, seed=1)
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)
    one.pop("metadata.tsv")
    assert len(set(one.values())) == 3 * 10 * 2
    combinations = len(synthetic.VARIANTS) * len(synthetic.ACCENTS)
    speakers = [synthetic._speaker(seed, index) for seed in (0, 1) for index in range(combinations + 50)]
    assert len(set(speakers)) == len(speakers)
    assert len({speaker.voice for speaker in speakers[:combinations]}) == combinations


def test_each_seed_has_its_own_voices(monkeypatch):
    heard = []
    monkeypatch.setattr(synthetic, "_espeak", lambda word, voice, *_: heard.append(voice) or np.ones(4000))
    for seed in (0, 1):
        synthetic._wav({"speaker_index": 0, "word": "nine", "take": 0}, seed, 8000)
    assert heard == [synthetic._speaker(seed, 0).voice for seed in (0, 1)]
    assert heard[0] != heard[1]


@pytest.mark.parametrize("speakers, some", [(3, 1), (12, 1), (20, 2)])
def test_the_table_is_read_and_its_splits_share_no_speaker(tmp_path, speakers, some):
    spoken(tmp_path, speakers=speakers)
    table = read_metadata(tmp_path / "metadata.tsv")
    assert len(table) == speakers * 10
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    counts = table.groupby("split")["speaker"].nunique().to_dict()
    assert counts == {"TRAIN": speakers - 2 * some, "DEV": some, "TEST": some}
    assert (table["sha256"] == table["path"].map(sha256)).all()
    assert not table["speaker"].str.contains("_").any()


@pytest.mark.parametrize("sample_rate", [8000, 16000])
def test_clips_sound(tmp_path, sample_rate):
    clips = spoken(tmp_path, speakers=12, sample_rate=sample_rate)
    clips.pop("metadata.tsv")
    for name, clip in clips.items():
        rate, samples = waveform(clip)
        assert rate == sample_rate
        assert 0.15 < len(samples) / rate < 1.5, name
        assert 0.05 < np.abs(samples).max() <= 1, name
        assert np.sqrt(np.mean(samples**2)) > 0.005, name


def test_pitch_is_that_of_the_voice_at_any_sample_rate(tmp_path):
    """Were the rate converted wrongly, the speech would be higher or lower than eSpeak's own samples."""
    row = {"speaker_index": 0, "word": "nine", "take": 0}
    spectra = []
    for sample_rate in (8000, 16000, 44100):
        rate, samples = waveform(synthetic._wav(row, 0, sample_rate))
        power = np.abs(np.fft.rfft(samples, 4 * rate)) ** 2  # a bin is a quarter of a hertz
        spectra.append(power[: 4 * 3500] / power[: 4 * 3500].sum())
    for spectrum in spectra[1:]:
        assert np.minimum(spectrum, spectra[0]).sum() > 0.9


def test_every_voice_speaks_and_always_the_same():
    """Twice, in two orders, so that each word finds another state of the library, of memory and of rand()."""
    data = Path(synthetic.espeakng_loader.get_data_path())
    assert all((data / "voices" / "!v" / variant).is_file() for variant in synthetic.VARIANTS)
    assert all((data / "lang" / "gmw" / accent).is_file() for accent in synthetic.ACCENTS)
    said = {}
    every = [*enumerate(zip(synthetic.VARIANTS, itertools.cycle(synthetic.ACCENTS), strict=False))]
    for index, (variant, accent) in every + every[::-1]:
        voice = f"gmw/{accent}+{variant}"
        samples = synthetic._espeak(synthetic.WORDS[index % 10], voice, 160, 50, 50)
        assert 0.15 < len(samples) / synthetic.NATIVE_RATE < 1.2, voice
        assert np.sqrt(np.mean(samples**2)) > 300, voice
        assert np.array_equal(said.setdefault(voice, samples), samples), voice


def test_a_whole_corpus_is_kept_and_a_damaged_one_is_spoken_again(tmp_path):
    first = spoken(tmp_path)
    clip = tmp_path / "6_espeak001_0.wav"
    os.utime(clip, (1, 1))
    assert spoken(tmp_path) == first
    assert clip.stat().st_mtime == 1
    clip.write_bytes(b"RIFF")
    assert spoken(tmp_path) == first
    clip.unlink()
    assert spoken(tmp_path) == first
    (tmp_path / "metadata.tsv").write_text("identifier\tspeaker\n")
    assert spoken(tmp_path) == first


@pytest.mark.parametrize(
    "before, after",
    [({}, {"seed": 7}), ({}, {"sample_rate": 16000}), ({}, {"takes": 2}), ({"speakers": 4, "takes": 2}, {})],
)
def test_another_corpus_replaces_the_one_that_is_there(tmp_path, before, after):
    there, fresh = tmp_path / "there", tmp_path / "fresh"
    spoken(there, **before)
    (there / "notes.txt").write_text("mine")
    assert spoken(there, **after) == spoken(fresh, **after) | {"notes.txt": b"mine"}


def test_a_run_that_fails_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    before = spoken(tmp_path)
    speak_one = synthetic._wav

    def full(row, seed, sample_rate):
        if row["identifier"] == "3_espeak002_0":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return speak_one(row, seed, sample_rate)

    monkeypatch.setattr(synthetic, "_wav", full)
    with pytest.raises(InputError, match="No space left on device"):
        spoken(tmp_path, seed=1)
    assert lies_in(tmp_path) == before


@pytest.mark.parametrize("name, value", [("speakers", 2), ("takes", 0), ("seed", -1), ("sample_rate", 0)])
def test_bad_arguments_are_told(tmp_path, name, value):
    with pytest.raises(InputError, match=f"^{name} is {value}; "):
        spoken(tmp_path / "corpus", **{name: value})
    assert not (tmp_path / "corpus").exists()


def test_the_library_keeps_quiet(tmp_path, monkeypatch, capfd):
    spoken(tmp_path / "corpus")
    monkeypatch.setattr(synthetic.espeakng_loader, "get_data_path", lambda: str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="cannot read its data"):
        spoken(tmp_path / "other")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


@pytest.mark.slow
def test_1200_clips_are_spoken_in_15_seconds(tmp_path):
    started = time.perf_counter()
    assert len(spoken(tmp_path, speakers=12, takes=10)) == 1201
    assert time.perf_counter() - started < 15


def test_what_is_no_digit_shares_neither_words_nor_voices_between_train_and_test(tmp_path):
    clips = read_metadata(synthetic.speak_non_digits(tmp_path, clips=20, progress=False), digits=False)
    train, test = (clips[clips["split"] == split] for split in ("TRAIN", "TEST"))
    assert (len(train), len(test)) == (25, 5)
    assert (clips["label"] == "noise").sum() == 6
    assert not set(train["speaker"]) & set(test["speaker"])
    assert set(train["label"]) & set(test["label"]) == {"noise"}
    assert all(len(read_audio(path, 8000)) > 1000 for path in clips["path"])
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.wav")}
    synthetic.speak_non_digits(tmp_path, clips=20, progress=False)
    assert files == {path.name: path.read_bytes() for path in tmp_path.glob("*.wav")}


def test_other_words_and_digits_are_told_apart_by_their_reader(tmp_path):
    table = synthetic.speak_non_digits(tmp_path, clips=5, progress=False)
    with pytest.raises(InputError, match="row 2, column 'label': 'yes' is not a digit"):
        read_metadata(table)
    table.write_text(table.read_text().replace("\tyes\t", "\t7\t"))
    with pytest.raises(InputError, match="row 2, column 'label': '7' is a digit"):
        read_metadata(table, digits=False)
