"""Files and folders are written atomically; anything that prevents it is reported in one line."""

import os
import re
import subprocess
import sys

import pytest
import soundfile
import torch

from utils import InputError
from utils.files import (
    atomic_folder,
    check_name,
    check_target,
    check_writable,
    fill_once,
    one_process,
    read_json,
    read_text,
    run_folder,
    sha256,
    write_atomically,
    write_json,
    write_text,
)
from utils.paths import PROJECT, speech_data


class Killed(BaseException):
    pass


def test_the_old_folder_is_restored_if_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    target = tmp_path / "made"
    target.mkdir()
    (target / "old").touch()
    replace = type(target).replace

    def fail(self, other):
        if self.name == "new":
            raise OSError("no")
        return replace(self, other)

    with monkeypatch.context() as patch:
        patch.setattr(type(target), "replace", fail)
        with pytest.raises(InputError, match="could not be written"), atomic_folder(target, patterns=("old",)) as new:
            (new / "new").touch()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_written_atomically(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, lambda new: new.write_text("first"))

    def write_half(new):
        new.write_text("sec")
        raise Killed

    with pytest.raises(Killed):
        write_atomically(path, write_half)
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]


def test_text_and_json_read_back_as_they_were_written(tmp_path):
    write_text(tmp_path / "words.tsv", "0\tnul\n7\tsjö\n")
    assert (tmp_path / "words.tsv").read_bytes() == "0\tnul\n7\tsjö\n".encode()
    write_json(tmp_path / "result.json", {"accuracy": 0.1 + 0.2})
    assert read_json(tmp_path / "result.json") == {"accuracy": 0.1 + 0.2}


def test_a_link_that_leads_to_itself_is_an_input_error(tmp_path, monkeypatch):
    (tmp_path / "runs").symlink_to("runs")
    with pytest.raises(InputError, match="could not be written"), one_process(tmp_path / "runs" / "x"):
        write_text(tmp_path / "runs" / "x", "")
    with pytest.raises(InputError, match="could not be written"):
        check_target(tmp_path / "runs" / "x")  # as early as that
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path / "runs"))
    assert speech_data() == tmp_path / "runs"


def test_half_a_surrogate_pair_is_not_written(tmp_path):
    with pytest.raises(InputError, match="x: could not be written, as its text"):
        write_text(tmp_path / "x", "a\ud800b")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # like /dev/null, which root could otherwise destroy
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="not a regular file"):
            write_atomically(place, lambda new: new.write_text("text"))
    assert (tmp_path / "pipe").is_fifo() and list(tmp_path.iterdir()) == [tmp_path / "pipe"]


@pytest.mark.parametrize("check", [check_target, check_writable, lambda path: write_text(path, "")])
def test_a_name_that_is_too_long_is_an_input_error(tmp_path, check):
    with pytest.raises(InputError, match="could not be written"):
        check(tmp_path / ("x" * 300))


def test_a_full_disk_met_by_soundfile_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="is the disk full"), atomic_folder(tmp_path / "clips"):
        raise soundfile.LibsndfileError(2)  # what it raises then


def test_a_full_disk_is_an_input_error(tmp_path):
    """Simulated by a limit on the size of files."""
    resource = pytest.importorskip("resource", reason="a module for Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match=r"weights\.pt: could not be written"):
            write_atomically(tmp_path / "weights.pt", lambda new: torch.save(torch.zeros(100_000), new))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_the_checksum_of_an_unreadable_file_is_an_input_error(tmp_path):
    for path in (tmp_path / "missing.wav", tmp_path):
        with pytest.raises(InputError, match=re.escape(str(path))):
            sha256(path)


OWN = ("table.tsv", "clips/*.wav")


@pytest.mark.parametrize(
    "names", [["table.tsv", "note.txt"], ["clips/a.wav"], ["clips/a.txt", "table.tsv"], [".git/x"]]
)
def test_a_folder_that_was_not_made_here_is_never_replaced(tmp_path, names):
    target = tmp_path / "made"
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("theirs")
    with pytest.raises(InputError, match="not written by this program"), atomic_folder(target, OWN):
        raise AssertionError("the work must not begin")
    with pytest.raises(InputError, match="not written by this program"), atomic_folder(target):
        raise AssertionError("the work must not begin")
    assert all((target / name).read_text() == "theirs" for name in names) and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_becomes_foreign_during_the_work_is_kept(tmp_path):
    target = tmp_path / "made"
    with pytest.raises(InputError, match="holds 'note.txt'"), atomic_folder(target, OWN) as new:
        (new / "table.tsv").touch()
        target.mkdir()
        (target / "note.txt").touch()
    assert [path.name for path in target.iterdir()] == ["note.txt"]


def test_folders_that_are_nested_too_deeply_are_never_replaced(deep):
    (deep / "note.txt").touch()
    with pytest.raises(InputError, match="deep: "), atomic_folder(deep, OWN):
        raise AssertionError("the work must not begin")
    (deep / "note.txt").unlink()


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "made").write_text("theirs")
    with pytest.raises(InputError, match="not a folder"), atomic_folder(tmp_path / "made", OWN):
        pass
    assert (tmp_path / "made").read_text() == "theirs"


def test_own_and_empty_folders_are_replaced(tmp_path):
    target = tmp_path / "made"
    target.mkdir()
    for text in ("first", "second"):
        with atomic_folder(target, OWN) as new:
            (new / "table.tsv").write_text(text)
            (new / "clips").mkdir()
            (new / "clips" / "a.wav").touch()
            (new / ".DS_Store").touch()  # macOS leaves such files anywhere
    assert (target / "table.tsv").read_text() == "second" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["../x", "/x", ".", "..", ".x", "", "a/b", "a\\b", "a\0b", "a\n"])
def test_the_folder_of_a_run_is_inside_its_root(tmp_path, name):
    with pytest.raises(InputError, match="cannot be"):
        run_folder(tmp_path, name, "course")
    with pytest.raises(InputError, match="cannot be"):
        run_folder(tmp_path, "x", name)
    with pytest.raises(InputError, match="here: .* cannot be a name"):
        check_name(name, "here")
    assert run_folder(tmp_path, "x-1.b", "loso-Anna Maria") == tmp_path / "x-1.b" / "loso-Anna Maria"


def test_a_folder_is_filled_once_and_not_at_all_after_an_error(tmp_path):
    folder, filled = tmp_path / "clips", []

    def fill(new):
        filled.append(new)
        (new / "clip.wav").write_bytes(b"RIFF")
        if len(filled) == 1:
            raise InputError("no such voice")

    with pytest.raises(InputError, match="no such voice"):
        fill_once(folder, fill)
    assert not folder.exists()
    assert fill_once(folder, fill) == fill_once(folder, fill) == folder
    assert len(filled) == 2 and (folder / "clip.wav").read_bytes() == b"RIFF"


@pytest.mark.parametrize("damaged", ["clip.wav", "part/metadata.tsv", "checksums.json"])
def test_a_filled_folder_that_is_damaged_is_filled_anew(tmp_path, capsys, damaged):
    folder = tmp_path / "clips"

    def fill(new):
        (new / "part").mkdir()
        (new / "clip.wav").write_bytes(b"RIFF")
        (new / "other.wav").write_bytes(b"RIFF")
        (new / "part" / "metadata.tsv").write_bytes(b"identifier")

    def content():
        return {path.name: path.read_bytes() for path in fill_once(folder, fill).rglob("*") if path.is_file()}

    whole = content()
    file = folder / damaged
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    assert content() == whole
    assert f"{folder}: damaged" in capsys.readouterr().err
    assert content() == whole and capsys.readouterr().err == ""
    file.unlink()
    assert content() == whole
    (folder / "mine.txt").write_text("mine")
    file.unlink()
    with pytest.raises(InputError, match="'mine.txt', which was not written by this program"):
        content()


def test_a_second_process_waits_until_the_first_has_written_the_file(tmp_path):
    target = tmp_path / "folder" / "made.txt"
    code = f"""
from pathlib import Path
from utils.files import one_process
with one_process({str(target)!r}):
    print(Path({str(target)!r}).read_text())
"""
    with one_process(target):
        second = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True, cwd=PROJECT)
        assert "waiting for another process" in second.stderr.readline()
        target.parent.mkdir()
        target.write_text("whole")
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0 and output == "whole\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize("read", [read_text, read_json, sha256])
def test_what_is_no_file_is_not_opened(tmp_path, read):
    """A pipe would wait for ever, and /dev/zero never ends."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name, why in (
        ("pipe", "not a regular file"),
        ("zero", "not a regular file"),
        ("loop", "symbolic link"),
        ("nowhere", "there is no such file"),
        ("a\0b", "cannot be the name of a file"),
        (".", "this is a folder"),
    ):
        with pytest.raises(InputError, match=why):
            read(tmp_path / name)


def test_text_is_read_up_to_a_limit_and_in_one_encoding(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(path) == "a\nb"
    with pytest.raises(InputError, match="7 bytes; at most 6 are read"):
        read_text(path, most=6)
    path.write_bytes("a".encode("utf-16"))
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read_text(path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, '{"a": [{"b": 1, "b": 2}]}'])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "x").write_text(text)
    with pytest.raises(InputError, match="not JSON"):
        read_json(tmp_path / "x")


def test_a_message_is_one_plain_line():
    """File names and cells hold anything; a terminal obeys what it cannot show."""
    shown = str(InputError("a\nb \x1b[31m\x07\ud800: " + 100_000 * "é"))
    assert shown.isprintable() and shown.startswith(r"a b \x1b[31m\x07\ud800: éé") and len(shown) < 1100
