"""Noises: fetched and verified by their table, read whole, and no kind of noise in two sources."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import tone, write_wav
from data_helpers import input_error

from utils.data.corpora import noises
from utils.paths import speech_data

RECORDINGS = {"dog-1-100-A": 300.0, "dog-1-100-B": 400.0, "rain-2-7-A": 500.0}  # ESC-10's, by pitch


def ogg_of(hertz: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(hertz, 0.5, rate=44_100), 44_100, format="OGG")
    return buffer.getvalue()


def archive_of(recordings: dict[str, bytes]) -> bytes:
    """An archive like GitHub's: a folder for each kind, and names without the kind."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("ESC-50/README.md", "about it")
        for name, content in recordings.items():
            kind, rest = name.split("-", 1)
            zipped.writestr(f"ESC-50/{kind}/{rest}", content)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of recordings: one background of Speech Commands, 12 s long, and three of ESC-10."""
    folder = tmp_path / "data"
    monkeypatch.setenv("SDR_SPEECH_DATA", str(folder))
    background = folder / "speech_commands" / "_background_noise_"
    background.mkdir(parents=True)
    write_wav(background / "running_tap.wav", tone(200, 12.0, rate=16_000), 16_000)
    (folder / "noises").mkdir()
    for name, hertz in RECORDINGS.items():
        (folder / "noises" / f"{name}.ogg").write_bytes(ogg_of(hertz))
    return folder


@pytest.fixture
def table(folder, tmp_path):
    path = tmp_path / "noises.tsv"
    noises.tabulate(folder, ("speech_commands", "esc10")).to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def fetch(folder, table, server):
    """`fetch()` fetches the recordings from the test's own server, which offers those of ESC-10."""
    server.content = archive_of({path.name: path.read_bytes() for path in (folder / "noises").iterdir()})
    return lambda: noises.fetch(folder, url=server.url, table=table)


def test_recordings_are_tabulated_with_source_kind_and_length(table):
    read = noises.read_noises(["esc10", "speech_commands"], table).set_index("identifier")
    assert read.loc["speech_commands_running_tap", ["kind", "seconds", "licence"]].tolist() == [
        "running_tap", 12.0, "CC BY 4.0"
    ]  # fmt: skip
    assert read.loc["esc10_rain-2-7-A", ["source", "kind"]].tolist() == ["esc10", "rain"]
    assert list(noises.read_noises(["speech_commands"], table)["kind"]) == ["running_tap"]


def test_recordings_are_loaded_whole_in_the_order_of_the_table(table):
    read = noises.read_noises(["speech_commands", "esc10"], table)
    waveforms = noises.load_noises(read, 8000)
    assert [waveform.dtype for waveform in waveforms] == [np.float32] * 4
    assert [len(waveform) / 8000 for waveform in waveforms] == pytest.approx(read["seconds"].tolist(), abs=0.01)


def test_nearly_silent_recordings_are_left_out(folder, table):
    path = folder / "noises" / "dog-1-100-A.ogg"
    soundfile.write(path, tone(300, 0.5, rate=44_100, level=0.0005), 44_100)
    noises.tabulate(folder, ("esc10",)).to_csv(table, sep="\t", index=False)
    assert len(noises.load_noises(noises.read_noises(["esc10"], table), 8000)) == 2
    alone = noises.read_noises(["esc10"], table).query("path == @path.as_posix()")
    assert "nearly silent" in input_error(noises.load_noises, alone, 8000)


def test_bad_input_is_reported(folder, table, tmp_path):
    assert "'radio' is not a source" in input_error(noises.read_noises, ["radio"], table)
    assert "use speech_commands, arabic, esc10" in input_error(noises.read_noises, [], table)
    (folder / "noises" / "rain-2-7-A.ogg").unlink()
    assert "rain-2-7-A.ogg: no such recording" in input_error(noises.read_noises, ["esc10"], table)
    (tmp_path / "other.tsv").write_text("identifier\tfile\na\tb\n")
    assert "no column 'source'" in input_error(noises.read_noises, ["esc10"], tmp_path / "other.tsv")
    assert "none.tsv" in input_error(noises.read_noises, ["esc10"], tmp_path / "none.tsv")
    table.write_text(table.read_text().replace("12.00", "twelve"))
    assert "'seconds'" in input_error(noises.read_noises, ["esc10"], table)
    assert "no recordings" in input_error(noises.tabulate, tmp_path)


def test_a_complete_copy_is_verified_without_the_network(fetch, server):
    report = fetch()
    assert (report.clips, report.fetched, server.served) == (3, 0, [])
    assert report.notes[0] == "speech_commands: 1 recordings of noise verified"
    assert "`sdr data arabic`" in report.notes[1]


def test_missing_and_wrong_recordings_are_fetched(fetch, folder, server):
    paths = sorted((folder / "noises").iterdir())
    wanted = {path.name: path.read_bytes() for path in paths}
    paths[0].write_bytes(b"OggS")
    paths[1].unlink()
    assert fetch().fetched == 2
    assert {path.name: path.read_bytes() for path in (folder / "noises").iterdir()} == wanted


def test_an_archive_with_other_recordings_is_refused(fetch, folder, server):
    (folder / "noises" / "rain-2-7-A.ogg").unlink()
    server.content = archive_of({"rain-2-7-A.ogg": ogg_of(900)})
    assert "rain-2-7-A.ogg has the wrong checksum" in input_error(fetch)
    server.content = archive_of({})
    assert "does not contain the clip rain-2-7-A.ogg" in input_error(fetch)
    assert not (folder / "noises" / "rain-2-7-A.ogg").exists()


def test_another_recording_of_another_source_is_named(fetch, folder, table):
    path = folder / "speech_commands" / "_background_noise_" / "running_tap.wav"
    write_wav(path, tone(201, 12.0, rate=16_000), 16_000)
    for use in (fetch, lambda: noises.read_noises(["speech_commands"], table)):
        assert "running_tap.wav" in input_error(use)


def test_no_recording_or_kind_of_noise_is_on_both_sides_of_a_fold():
    listed = pd.read_csv(noises.TABLE, sep="\t", dtype=str)
    assert tuple(listed.columns) == noises.COLUMNS
    assert listed["source"].value_counts().to_dict() == {"esc10": 200, "speech_commands": 6, "arabic": 2}
    assert listed["sha256"].is_unique and listed["file"].is_unique and listed["identifier"].is_unique
    assert listed.groupby("kind")["source"].nunique().eq(1).all()
    for train, test in noises.FOLDS.values():
        assert sorted(train + test) == sorted(noises.SOURCES)
        trained, tested = (set(listed.loc[listed["source"].isin(sources), "kind"]) for sources in (train, test))
        assert trained and tested and not trained & tested
    assert noises.FOLDS["a"] == noises.FOLDS["b"][::-1]


@pytest.mark.skipif(
    not all(any(speech_data().glob(pattern)) for pattern, _ in noises.SOURCES.values()),
    reason="needs the recordings of all sources",
)
def test_the_real_recordings_are_those_of_the_table():
    made = noises.tabulate(speech_data())
    pd.testing.assert_frame_equal(made, pd.read_csv(noises.TABLE, sep="\t", dtype=str))
    assert noises.load_noises(noises.read_noises(["speech_commands"]).head(1), 8000)[0].shape == (761_465,)
