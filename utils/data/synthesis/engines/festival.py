"""Festival, the synthesiser of the University of Edinburgh: diphone, unit-selection and statistical (HTS) voices.

P. Taylor, A. W. Black, R. Caley: The architecture of the Festival speech synthesis system. ISCA Workshop on Speech
Synthesis, 1998.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from utils.data.synthesis.engine import Engine, listed, read_wave, run

# Debian's package of each voice, and the encoding of its text
PACKAGES = {
    "kal_diphone": ("festvox-kallpc16k", "ascii"),
    "ked_diphone": ("festvox-kdlpc16k", "ascii"),
    "cmu_us_slt_arctic_hts": ("festvox-us-slt-hts", "ascii"),
    "upc_ca_ona_hts": ("festvox-ca-ona-hts", "iso8859-15"),
    "msu_ru_nsh_clunits": ("festvox-ru", "utf-8"),
    "lp_diphone": ("festvox-italp16k", "iso8859-1"),
    "pc_diphone": ("festvox-itapc16k", "iso8859-1"),
    "czech_ph": ("festvox-czech-ph", "iso8859-2"),
    "czech_dita": ("festvox-czech-dita", "iso8859-2"),
    "czech_krb": ("festvox-czech-krb", "iso8859-2"),
    "czech_machac": ("festvox-czech-machac", "iso8859-2"),
    "hy_fi_mv_diphone": ("festvox-suopuhe-mv", "iso8859-1"),
    "suo_fi_lj_diphone": ("festvox-suopuhe-lj", "iso8859-1"),
}
# Festival's own steps from text to speech, with the pitch changed after it has been predicted. Voices without diphones
# ignore both settings.
SCRIPT = """(voice_{voice})
(set! stretch (Parameter.get 'Duration_Stretch))
(Parameter.set 'Duration_Stretch (* {stretch:.4f} (if stretch stretch 1)))
(set! word (Utterance Text "{text}"))
(mapcar (lambda (step) (step word))
  (list Initialize Text Token_POS Token POS Phrasify Word Pauses Intonation PostLex Duration Int_Targets))
(mapcar (lambda (target) (item.set_feat target 'f0 (* {pitch:.4f} (item.feat target 'f0))))
  (if (member 'Target (utt.relationnames word)) (utt.relation.leafs word 'Target)))
(Wave_Synth word)
(utt.save.wave word "{wave}" 'riff)
"""


class Festival(Engine):
    """Speaks text in the languages of its voices. Its program is called once for each word."""

    name = "festival"
    pin = "Debian festival 1:2.5.0-9"

    def missing(self) -> str | None:
        return None if shutil.which("festival") else "apt install festival festvox-kallpc16k festvox-us-slt-hts"

    def _installed(self, voice: str) -> bool:
        return voice in PACKAGES and voice in _found()

    def changes(self, voice: str) -> frozenset[str]:
        diphones = voice.endswith("_diphone") or voice.startswith("czech_")
        return frozenset({"rate", "pitch"} if diphones else ())

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        with tempfile.TemporaryDirectory() as folder:
            script, wave = Path(folder) / "word.scm", Path(folder) / "word.wav"
            quoted = text.replace("\\", "").replace('"', "")
            lines = SCRIPT.format(voice=voice, stretch=1 / rate, pitch=pitch, text=quoted, wave=wave)
            script.write_text(lines, encoding=PACKAGES[voice][1])
            run(["festival", "-b", script])
            return read_wave(wave)


@cache
def _found() -> frozenset[str]:
    """The voices that the program finds."""
    return frozenset(word.strip("()") for word in listed(["festival", "-b", "(print (voice.list))"]))
