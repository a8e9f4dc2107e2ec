"""Files and folders are written atomically; anything that prevents it is reported in one line."""

import os
import re

import pytest
import torch

from utils import InputError
from utils.files import atomic_folder, sha256, write_atomically


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
        with pytest.raises(InputError, match="could not be written"), atomic_folder(target) as new:
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # like /dev/null, which root could otherwise destroy
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="not a regular file"):
            write_atomically(place, lambda new: new.write_text("text"))
    assert (tmp_path / "pipe").is_fifo() and list(tmp_path.iterdir()) == [tmp_path / "pipe"]


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
