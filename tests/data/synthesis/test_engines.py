"""The synthesisers: what is installed speaks, what is not says how to install it, what hangs or dies is an error."""

import json
import sys
import time

import numpy as np
import pytest

from utils import InputError
from utils.data.synthesis import engine as engine_module
from utils.data.synthesis.engine import SAMPLE_RATE, Engine, run, trim, voice_table
from utils.data.synthesis.engines import engines, gnuspeech, kokoro
from utils.data.synthesis.engines.espeak import Espeak, pitch_number
from utils.data.synthesis.espeak_library import pronounce

ENGINES = engines()
INSTALLED = [name for name, engine in ENGINES.items() if not engine.missing()]


class Recorded(Engine):
    """Speaks a given waveform."""

    name, pin = "recorded", "none"

    def __init__(self, sound: np.ndarray, installed: bool = True):
        self.sound, self.installed = sound, installed

    def missing(self):
        return None if self.installed else "pip install recorded"

    def _installed(self, voice):
        return voice == "anna"

    def _speak(self, text, voice, rate, pitch, seed):
        return self.sound, 24000


def tone(hertz: float, seconds: float, rate: int = 24000) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def test_the_voices_of_the_table_belong_to_known_engines_and_name_their_licence():
    assert {row.engine for row in voice_table()} == set(ENGINES)
    assert all(row.licence and row.accents for row in voice_table())
    keys = [(row.engine, row.voice, row.language) for row in voice_table()]
    assert len(keys) == len(set(keys))


def test_output_of_voices_that_are_not_free_may_not_be_passed_on():
    for row in voice_table():
        if "NC" in row.licence or row.engine == "mbrola":
            assert not row.may_pass_on, row


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_pinned_and_says_how_to_install_it(name, monkeypatch, tmp_path):
    assert ENGINES[name].pin
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(kokoro.VARIABLE, str(tmp_path / "missing"))
    for package in ("ttspico", "piper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    missing = ENGINES[name].missing()
    if name == "espeak":
        assert missing is None
    else:
        assert missing.split()[:2] in (["apt", "install"], ["pip", "install"]) and "\n" not in missing
        assert ENGINES[name].voices("en") == []
        with pytest.raises(InputError, match="not installed: .* install"):
            ENGINES[name].speak("two", "anna")


@pytest.mark.parametrize("name", INSTALLED)
def test_an_installed_engine_speaks_faster_and_slower_and_knows_its_voices(name):
    engine = ENGINES[name]
    with pytest.raises(InputError, match="no voice 'nobody'"):
        engine.speak("two", "nobody")
    voices = engine.voices("en")
    if not voices:
        pytest.skip("no voice installed")
    text = "tʰˈuː" if engine.notation == "ipa" else "two"
    slow, fast = (engine.speak(text, voices[0], rate=rate, seed=1) for rate in (0.7, 1.4))
    assert slow.dtype == np.float32 and slow.ndim == 1
    assert 0.1 < len(fast) / SAMPLE_RATE < len(slow) / SAMPLE_RATE < 2
    assert np.abs(slow).max() == pytest.approx(1)
    np.testing.assert_array_equal(slow, engine.speak(text, voices[0], rate=0.7, seed=1))


def test_silence_around_a_word_is_cut_and_its_rate_converted():
    sound = Recorded(np.concatenate([np.zeros(24000), 0.3 * tone(440, 0.3), np.zeros(9000)])).speak("", "anna")
    assert len(sound) / SAMPLE_RATE == pytest.approx(0.34, abs=0.01)
    assert sound.dtype == np.float32 and np.abs(sound).max() == pytest.approx(1)
    assert len(trim(np.zeros(100), 8000)) == 0


def test_an_engine_that_produces_no_sound_or_lacks_the_voice_is_an_error():
    with pytest.raises(InputError, match="no sound for 'two' with the voice anna"):
        Recorded(np.zeros(1000)).speak("two", "anna")
    for odd in (tone(100, 11), np.ones((2, 24000)), np.ones((24000, 2))):  # too long, or of two channels
        with pytest.raises(InputError, match="no word for 'two' with the voice anna"):
            Recorded(odd).speak("two", "anna")
    with pytest.raises(InputError, match="recorded has no voice 'hanna'"):
        Recorded(tone(100, 1)).speak("two", "hanna")
    with pytest.raises(InputError, match="pip install recorded"):
        Recorded(tone(100, 1), installed=False).speak("two", "anna")


def test_what_an_engine_cannot_change_is_left_to_the_vocoder(monkeypatch):
    asked = {}

    class Steady(Recorded):
        def changes(self, voice):
            return frozenset({"rate"})

        def _speak(self, text, voice, rate, pitch, seed):
            asked.update(rate=rate, pitch=pitch)
            return self.sound, 24000

    def vocoder(sound, sample_rate, **factors):
        asked["vocoder"] = factors
        return sound

    monkeypatch.setattr(engine_module, "revoice", vocoder)
    steady = Steady(tone(200, 0.3))
    steady.speak("", "anna", rate=1.2)
    assert asked == {"rate": 1.2, "pitch": 1.0}
    steady.speak("", "anna", rate=1.2, pitch=0.9)
    assert asked == {"rate": 1.2, "pitch": 1.0, "vocoder": {"rate": 1.0, "pitch": 0.9}}


def test_a_program_that_hangs_is_ended():
    start = time.monotonic()
    with pytest.raises(InputError, match="no answer within 0.5 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)
    assert time.monotonic() - start < 20


def test_a_program_that_fails_crashes_or_is_missing_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"failed \(3\): out of voices"):
        run([sys.executable, "-c", "import sys; print('out of voices', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(InputError, match="ended by signal 6"):
        run([sys.executable, "-c", "import os; os.abort()"])
    with pytest.raises(InputError, match="No such file"):
        run([tmp_path / "nothing"])


def test_espeak_speaks_languages_and_variants_that_are_not_in_the_table():
    engine = Espeak()
    assert engine.voices("sw") == ["bnt/sw"]
    assert engine.voices("xx") == []
    assert len(engine.speak("moja", "bnt/sw+max")) > 0
    with pytest.raises(InputError, match="no voice 'bnt/sw[+]nobody'"):
        engine.speak("moja", "bnt/sw+nobody")


def test_espeak_pronounces_words_in_ipa():
    assert pronounce("zero", "gmw/en-US") == "zˈiəɹoʊ"
    assert pronounce("acht", "gmw/de") == "ˈaxt"
    with pytest.raises(InputError, match="no voice xx/yy"):
        pronounce("zero", "xx/yy")


def test_pitch_numbers_of_espeak():
    assert [pitch_number(factor) for factor in (0.5, 1, 2**0.5, 8)] == [0, 50, 75, 99]


def test_blends_of_kokoro():
    assert kokoro.parse_blend("af_heart") == {"af_heart": 1}
    assert kokoro.parse_blend("af_heart*3+bm_george*1") == {"af_heart": 0.75, "bm_george": 0.25}
    for wrong in ("", "af_heart*x", "af_heart*-1+bm_lewis*3", "../af_heart", "af_heart*0"):
        with pytest.raises(ValueError):
            kokoro.parse_blend(wrong)


def test_gnuspeech_draws_a_vocal_tract_by_the_seed(monkeypatch, tmp_path):
    folder = tmp_path / "data" / "en"
    folder.mkdir(parents=True)
    tract = "".join(f"{name} = 2\n" for name in gnuspeech.SPREAD)
    (folder / "voice_male.txt").write_text(f"# cm\n{tract}aperture_radius = 3.05\n", encoding="utf-8")
    control = "voice_name = female\n#voice_name = baby\ntempo = 1.0\npitch_offset = -4.0\n"
    (folder / "trm_control_model.txt").write_text(control, encoding="utf-8")
    monkeypatch.setattr(gnuspeech, "PACKAGE", tmp_path)
    asked = []
    monkeypatch.setattr(gnuspeech, "run", lambda command, text: asked.append(json.loads(text)))

    def settings(name, **how):
        gnuspeech.Gnuspeech()._speak("two", "male", **{"rate": 1, "pitch": 1, "seed": 1} | how)
        return dict(line.split(" = ") for line in asked[-1]["files"][name].splitlines())

    assert settings("voice_male.txt")["aperture_radius"] == "3.05"
    lengths = [float(settings("voice_male.txt", seed=seed)["vocal_tract_length"]) for seed in (1, 1, 2)]
    assert lengths[0] == lengths[1] != lengths[2]
    assert all(2 / 1.07 <= length <= 2 * 1.07 for length in lengths)
    changed = settings("trm_control_model.txt", rate=1.5, pitch=2)
    assert (changed["voice_name"], changed["tempo"], changed["pitch_offset"]) == ("male", "1.5", "8.0")
