"""Audio files of every format become the same mono waveform, and unusable ones are reported."""

import os
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from conftest import RATE, level_of, pitch_of, tone

from utils import InputError
from utils.data.audio import convert_rate, read_audio

HERTZ, LEVEL = 440.0, 20 * np.log10(0.5 / np.sqrt(2))  # of the tone, a sine of amplitude 0.5
FORMATS = {
    "8-bit WAV": ("WAV", "PCM_U8"),
    "16-bit WAV": ("WAV", "PCM_16"),
    "24-bit WAV": ("WAV", "PCM_24"),
    "32-bit WAV": ("WAV", "PCM_32"),
    "float WAV": ("WAV", "FLOAT"),
    "extensible WAV": ("WAVEX", "PCM_16"),
    "FLAC": ("FLAC", "PCM_16"),
    "OGG": ("OGG", "VORBIS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
}


@pytest.fixture
def clip(tmp_path):
    """`clip(samples, rate, kind, name)` writes a file and returns its path."""

    def write(samples: np.ndarray, rate: int = RATE, kind: str = "16-bit WAV", name: str = "clip.wav"):
        format, subtype = FORMATS[kind]
        soundfile.write(tmp_path / name, samples, rate, format=format, subtype=subtype)
        return tmp_path / name

    return write


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (48000, 1), (16000, 2)])
@pytest.mark.parametrize("kind", FORMATS)  # always named clip.wav: the content decides
def test_every_format_rate_and_number_of_channels_yields_the_same_waveform(clip, kind, rate, channels):
    sound = tone(HERTZ, 0.5, rate)
    waveform = read_audio(clip(np.stack([sound] * channels, axis=1), rate, kind), RATE)
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert len(waveform) == pytest.approx(0.5 * RATE, abs=1)
    assert pitch_of(waveform) == pytest.approx(HERTZ, abs=1)
    assert level_of(waveform) == pytest.approx(LEVEL, abs=0.15)
    if kind not in ("OGG", "MP3"):
        expected = tone(HERTZ, 0.5)[200:-200]
        np.testing.assert_allclose(waveform[200:-200], expected, atol=0.008 if kind == "8-bit WAV" else 1e-3)


@pytest.mark.parametrize("name", ["clip.raw", "clip.mp3", "clip"])
def test_the_file_name_does_not_matter(clip, name):
    path = clip(tone(HERTZ, 0.5))
    expected = read_audio(path, RATE)
    np.testing.assert_array_equal(read_audio(path.rename(path.with_name(name)), RATE), expected)


def test_a_16_bit_clip_at_the_right_rate_is_read_exactly(clip):
    samples = np.random.default_rng(0).integers(-32768, 32768, 4000).astype(np.int16)
    np.testing.assert_array_equal(read_audio(clip(samples), RATE), samples / np.float32(32768))


def test_channels_are_averaged(clip):
    stereo = np.stack([tone(HERTZ, 0.5), tone(1000, 0.5)], axis=1)
    waveform = read_audio(clip(stereo), RATE)
    np.testing.assert_allclose(waveform, stereo.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize("right", [-1.0, -0.4])
def test_channels_in_antiphase_do_not_cancel_each_other(clip, right):
    left = tone(HERTZ, 0.5)
    waveform = read_audio(clip(np.stack([left, right * left], axis=1)), RATE)
    np.testing.assert_allclose(np.abs(waveform), np.abs(left) * (1 - right) / 2, atol=1e-4)


def test_resampling_does_not_alias(clip):
    both = tone(HERTZ, 0.5, 44100) + tone(6000, 0.5, 44100, 0.25)  # 6 kHz is above the new Nyquist frequency
    waveform = read_audio(clip(both, 44100), RATE)
    spectrum = np.abs(np.fft.rfft(waveform[1000:3000] * np.hanning(2000)))
    assert spectrum[round(2000 * 2000 / RATE)] < 0.003 * spectrum.max()  # 6 kHz would alias to 2 kHz


def test_a_wav_file_written_to_a_pipe_is_read(clip):
    """FFmpeg, SoX and other programs write one of these values if they do not know the size."""
    path = clip(tone(HERTZ, 0.5))
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF - 36):
        content[40:44] = struct.pack("<I", size)
        path.write_bytes(content)
        assert len(read_audio(path, RATE)) == 4000


@pytest.mark.parametrize(("kind", "size"), [("AU", slice(8, 12)), ("W64", slice(16, 24))])
def test_other_files_written_to_a_pipe_are_read(tmp_path, kind, size):
    path = tmp_path / "clip"
    soundfile.write(path, tone(HERTZ, 0.5), RATE, "PCM_16", format=kind)
    content = bytearray(path.read_bytes())
    content[size] = b"\xff" * len(content[size])
    path.write_bytes(content)
    assert len(read_audio(path, RATE)) == 4000


def test_a_clip_of_ten_seconds_is_read(clip):
    assert len(read_audio(clip(tone(HERTZ, 10)), RATE)) == 10 * RATE


BAD_SAMPLES = {
    "no samples": (np.zeros(0), "16-bit WAV", "no audio samples"),
    "NaN": (np.array([0.1, np.nan] * 1000), "float WAV", "NaN"),
    "infinite": (np.array([0.1, np.inf] * 1000), "float WAV", "infinity"),
    "silent": (np.zeros(4000), "16-bit WAV", "only silence"),
    "30 s": (tone(HERTZ, 30), "16-bit WAV", r"30\.0 s long; .*at most 10 s"),
    "30 s of FLAC": (tone(HERTZ, 30), "FLAC", r"30\.0 s long"),
}


@pytest.mark.parametrize(("samples", "kind", "why"), BAD_SAMPLES.values(), ids=BAD_SAMPLES)
def test_a_clip_without_usable_samples_is_rejected(clip, samples, kind, why):
    path = clip(samples.astype(np.float32), kind=kind)
    with pytest.raises(InputError, match=why) as caught:
        read_audio(path, RATE)
    assert str(caught.value).startswith(f"{path}: ")


BAD_FILES = {
    "empty": (b"", "empty"),
    "one byte": (b"R", "not an audio file"),
    "text": (b"seven\n" * 999, "not an audio"),
}


@pytest.mark.parametrize(("content", "why"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_not_audio_is_rejected(tmp_path, content, why):
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why) as caught:
        read_audio(path, RATE)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_and_a_folder_are_rejected(tmp_path):
    with pytest.raises(InputError, match=r"none\.wav: there is no such file"):
        read_audio(tmp_path / "none.wav", RATE)
    with pytest.raises(InputError, match="this is a folder"):
        read_audio(tmp_path, RATE)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["8-bit WAV", "16-bit WAV", "float WAV", "extensible WAV"])
def test_a_truncated_wav_file_is_rejected(clip, kind, share):
    path = clip(tone(HERTZ, 0.5), kind=kind)
    content = path.read_bytes()
    header = content.index(b"data") + 8
    path.write_bytes(content[: header + int(share * (len(content) - header))])
    with pytest.raises(InputError, match="truncated"):
        read_audio(path, RATE)


@pytest.mark.parametrize("kind", ["16-bit WAV", "FLAC", "MP3"])
@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.95])
def test_a_truncated_file_never_counts_as_complete(clip, kind, share):
    path = clip(np.random.default_rng(0).normal(0, 0.1, 8000), kind=kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="truncated|damaged"):
        read_audio(path, RATE)


@pytest.mark.parametrize("share", [0.5, 0.99])
@pytest.mark.parametrize(
    "kind", ["WAV", "RF64", "W64", "AIFF", "AU", "NIST", "CAF", "VOC", "SVX", "AVR", "MAT4", "MPC2K", "WVE"]
)
def test_a_truncated_file_of_other_kinds_is_rejected(tmp_path, kind, share):
    path = tmp_path / "clip"
    endian = "BIG" if kind in ("WAV", "SVX") else "FILE"
    soundfile.write(path, tone(HERTZ, 0.5), RATE, "ALAW" if kind == "WVE" else "PCM_16", endian, kind)
    content = path.read_bytes()
    assert len(read_audio(path, RATE)) == 4000
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="truncated|damaged"):
        read_audio(path, RATE)


@pytest.mark.parametrize(
    "kind", ["WAV", "RF64", "W64", "AIFF", "AU", "NIST", "CAF", "VOC", "SVX", "AVR", "MPC2K", "WVE"]
)
def test_a_header_that_announces_less_audio_than_there_is_is_rejected(tmp_path, kind):
    """As of a recorder that crashed: only what it announces would be read, or whatever follows as well."""
    path, sound = tmp_path / "clip", np.random.default_rng(0).normal(0, 0.1, 4000)
    soundfile.write(path, sound, RATE, "ALAW" if kind == "WVE" else "PCM_16", format=kind)
    content = path.read_bytes()
    path.write_bytes(content + content[-2000:])
    with pytest.raises(InputError, match="damaged"):
        read_audio(path, RATE)


@pytest.mark.parametrize("kind", ["WAV", "AIFF"])
@pytest.mark.parametrize("end", [bytes(600), b"TAGof an ID3 tag".ljust(128, b"\0"), b"\1"])
def test_padding_and_tags_at_the_end_of_a_file_do_no_harm(tmp_path, kind, end):
    path = tmp_path / "clip"
    soundfile.write(path, tone(HERTZ, 0.5), RATE, "PCM_16", format=kind)
    path.write_bytes(path.read_bytes() + end)
    assert len(read_audio(path, RATE)) == 4000


@pytest.mark.parametrize("kind", ["OGG", "Opus"])
def test_ogg_files_put_together_are_rejected_not_read_in_part(tmp_path, kind):
    content = b""
    for number in range(2):
        path = tmp_path / f"{number}.ogg"
        soundfile.write(path, tone(HERTZ, 0.5), RATE, "OPUS" if kind == "Opus" else "VORBIS", format="OGG")
        content += path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match="after its Ogg stream comes another"):
        read_audio(path, RATE)


def test_a_flac_file_written_to_a_pipe_is_read(clip):
    """Its header does not know how many samples there are."""
    path = clip(tone(HERTZ, 0.5), kind="FLAC")
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    path.write_bytes(content)
    assert len(read_audio(path, RATE)) == 4000
    content = clip(tone(HERTZ, 11), kind="FLAC").read_bytes()
    path.write_bytes(content[:21] + bytes([content[21] & 0xF0, 0, 0, 0, 0]) + content[26:])
    with pytest.raises(InputError, match="more than 10 s long"):
        read_audio(path, RATE)


def test_a_wav_file_with_extra_chunks_is_complete(clip):
    """Audio editors add chunks, here of odd size, before and after the samples."""
    path = clip(tone(HERTZ, 0.5))
    content = path.read_bytes()
    note = b"note" + struct.pack("<I", 3) + b"abc\0"
    content = content[:36] + note + content[36:] + note
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    assert len(read_audio(path, RATE)) == 4000
    path.write_bytes(content[:-2000])
    with pytest.raises(InputError, match="truncated"):
        read_audio(path, RATE)


EVERY_KIND = [
    (kind, subtype)
    for kind in sorted(set(soundfile.available_formats()) - {"RAW"})
    for subtype in soundfile.available_subtypes(kind)
    if soundfile.check_format(kind, subtype)
]


@pytest.mark.parametrize(("kind", "subtype"), EVERY_KIND, ids=" ".join)
def test_every_kind_that_libsndfile_writes_is_read(tmp_path, kind, subtype):
    path, sound = tmp_path / f"clip.{kind.lower()}", tone(HERTZ, 0.5)
    try:
        soundfile.write(path, sound, RATE, format=kind, subtype=subtype)
    except soundfile.LibsndfileError:
        pytest.skip("libsndfile does not write it")
    waveform = read_audio(path, RATE)
    if kind == "XI":  # an instrument: always at 44.1 kHz
        sound = sound[: len(waveform)]
        assert len(waveform) == round(4000 / 44100 * RATE)
    else:
        assert len(sound) <= len(waveform) <= len(sound) + 800  # some codecs fill their last block
        assert pitch_of(waveform[: len(sound)]) == pytest.approx(HERTZ, abs=2)
        assert level_of(waveform[: len(sound)]) == pytest.approx(LEVEL, abs=1)


def test_mp3_files_read_in_threads_leave_standard_error_as_it_was(clip):
    paths = [clip(tone(300 + 40 * number, 1.0), 16000, "MP3", f"{number}.mp3") for number in range(20)]
    before = os.fstat(2)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: read_audio(path, 8000), paths))
    assert os.path.samestat(os.fstat(2), before)


def test_a_damaged_mp3_is_never_read_as_if_it_were_whole(clip, capfd):
    """The decoder leaves out what it cannot decode, so a digit could become another one."""
    sound = tone(HERTZ, 1.5, 16000) * np.hanning(24000) + np.random.default_rng(0).normal(0, 0.01, 24000)
    path = clip(sound.astype(np.float32), 16000, "MP3")
    content = path.read_bytes()
    frames = [at for at in range(len(content) - 1) if content[at : at + 2] == content[:2]]

    def spoil(count: int, at: int, value: bytes, width: int) -> None:
        damaged = bytearray(content)
        for frame in frames[5 : 5 + count]:
            damaged[frame + at : frame + at + width] = value * width
        path.write_bytes(damaged)

    spoil(1, 4, b"\xff", 10)
    read_audio(path, RATE)
    assert capfd.readouterr().err == f"{path}: one MP3 frame is damaged; the rest is read\n"
    for count, at, value, width in ((4, 4, b"\xff", 10), (2, 0, b"\0", 4)):
        spoil(count, at, value, width)
        with pytest.raises(InputError, match="several of its MP3 frames cannot be decoded|truncated"):
            read_audio(path, RATE)
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 1_409_294_144, 2**31 - 1])
def test_an_absurd_sample_rate_is_refused(clip, rate):
    path = clip(tone(HERTZ, 0.1))
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a sample rate of [0-9,]+ Hz; it must be from 1,000 to 768,000|damaged"):
        read_audio(path, RATE)


@pytest.mark.parametrize("rate", [1000, 4999, 5001, 11025, 44101, 192_000, 700_100, 767_999, 768_000])
def test_odd_sample_rates_are_read_in_little_memory(clip, rate):
    tracemalloc.start()
    waveform = read_audio(clip(tone(200, 0.2, rate), rate), RATE)
    assert len(waveform) == pytest.approx(0.2 * RATE, abs=40)
    assert pitch_of(waveform) == pytest.approx(200, abs=5)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_too_many_channels_or_samples_are_refused(clip, monkeypatch):
    with pytest.raises(InputError, match="40 channels; at most 32"):
        read_audio(clip(np.tile(tone(HERTZ, 0.1)[:, None], 40)), RATE)
    with pytest.raises(InputError, match=r"76,800,000 samples; at most 67,108,864"):
        read_audio(clip(np.ones((768_000 * 5, 20)), 768_000, "8-bit WAV"), RATE)


@pytest.mark.parametrize(("rate", "target"), [(48_000, 8000), (44_100, 8000), (22_050, 16_000), (8000, 11_025)])
def test_rates_are_converted_as_torchaudio_does(rate, target):
    sound = np.random.default_rng(0).normal(0, 0.2, rate // 2 + 17).astype(np.float32)
    expected = torchaudio.functional.resample(torch.from_numpy(sound), rate, target).numpy()
    np.testing.assert_allclose(convert_rate(sound, rate, target), expected, atol=1e-6)


def test_a_rate_that_cannot_be_converted_is_refused():
    with pytest.raises(InputError, match="cannot convert 44,100 Hz to 191,999 Hz"):
        convert_rate(tone(HERTZ, 0.1, 44100), 44100, 191_999)


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(InputError, match="too long"):
        read_audio("x" * 5000, RATE)
