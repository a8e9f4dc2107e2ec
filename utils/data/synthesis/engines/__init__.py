"""The speech synthesisers that the project knows, each in a module of its own. All but eSpeak NG are optional."""

from utils.data.synthesis.engine import Engine
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.engines.festival import Festival
from utils.data.synthesis.engines.flite import Flite
from utils.data.synthesis.engines.gnuspeech import Gnuspeech
from utils.data.synthesis.engines.kokoro import Kokoro
from utils.data.synthesis.engines.mbrola import Mbrola
from utils.data.synthesis.engines.pico import Pico
from utils.data.synthesis.engines.piper import Piper
from utils.data.synthesis.engines.rhvoice import RHVoice


def engines() -> dict[str, Engine]:
    """Every engine by its name, installed or not (see `Engine.missing`)."""
    kinds: tuple[type[Engine], ...] = (Espeak, Flite, Festival, RHVoice, Pico, Piper, Kokoro, Mbrola, Gnuspeech)
    return {kind.name: kind() for kind in kinds}
