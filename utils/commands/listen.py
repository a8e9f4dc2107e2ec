"""`sdr listen`: the digits that are spoken into the microphone, as they are said."""

import argparse
import json
import sys
import time

from utils import InputError, count
from utils.commands import arguments

HELP = "listen to the microphone, and print digits as they are spoken"
METER = 0.1  # seconds between two updates of the level meter
QUIETEST, LOUDEST = -60, 0  # dB of full scale, the ends of the level meter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", nargs="?", help="the folder of a model, or its name on the Hub (default: checkpoints/strings)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="FILE", help="listen to an audio file of any length instead")
    raw = "listen to standard input instead: raw samples of 16 bits, little-endian, mono, at this rate"
    source.add_argument("--rate", type=arguments.whole(), metavar="HZ", help=raw)
    add("--json", action="store_true", help="print one JSON object per event: word, string, summary")


def run(given: argparse.Namespace) -> None:
    from utils.data import chunks
    from utils.experiments import checkpoint_folder
    from utils.inference import microphone
    from utils.inference.listening import Listener

    recogniser = checkpoint_folder.load_quickly(given.checkpoint or checkpoint_folder.STRINGS)
    rate, live = recogniser.sample_rate, not given.file
    if given.file:
        sound = chunks.read_chunks(given.file, rate)
    elif given.rate:
        if sys.stdin is None:
            raise InputError("standard input is closed, so there is nothing to listen to")
        sound = chunks.read_pcm(sys.stdin.buffer, given.rate, rate)
    else:
        sound = microphone.listen(rate)
    listener = Listener(recogniser)
    meter = _Meter() if live and sys.stderr.isatty() else None
    try:
        for chunk in sound:
            _show(listener.push(chunk), given.json, live, meter)
            if meter:
                meter.show(listener.level)
    except KeyboardInterrupt:
        pass  # that is how it ends
    finally:  # also if the microphone is unplugged
        if listener.stream.seconds:
            _show(listener.end(), given.json, live, meter)
            if meter:
                meter.clear()
            _summarise(listener.summary(), given.json, live)


class _Meter:
    """How loud it is, as a bar in the last line of the terminal."""

    def __init__(self) -> None:
        self.shown = 0.0
        print("listening; Ctrl-C ends", file=sys.stderr)

    def show(self, level: float) -> None:
        if time.monotonic() - self.shown >= METER:
            self.shown = time.monotonic()
            bars = round(30 * min(1.0, max(0.0, (level - QUIETEST) / (LOUDEST - QUIETEST))))
            print(f"\r{'#' * bars:30} {level:4.0f} dB ", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _show(events: list, as_json: bool, live: bool, meter: _Meter | None) -> None:
    """Print words and strings. The delay of an answer is known only while listening live."""
    from utils.inference.listening import WordEvent

    if events and meter:
        meter.clear()
    for event in events:
        if isinstance(event, WordEvent):
            word, prediction = event.word, event.word.prediction
            delay = round(event.delay, 3) if live else None
            if as_json:
                line = {"event": "word", "start": round(word.start, 2), "end": round(word.end, 2)}
                line |= {"digit": prediction.digit, "probability": prediction.probability, "delay": delay}
                print(json.dumps(line), flush=True)
            elif prediction.digit is not None:
                print(f"{_clock(word.start)}  {prediction.digit}  {prediction.probability:6.1%}", flush=True)
        elif as_json:
            times = {"start": round(event.start, 2), "end": round(event.end, 2)}
            print(json.dumps({"event": "string", **times, "digits": str(event)}), flush=True)
        elif len(event.digits) > 1:
            print(f"{_clock(event.start)}  {event}", flush=True)


def _summarise(summary, as_json: bool, live: bool) -> None:
    delay = summary.delay if live else None
    if as_json:
        counts = {"digits": summary.digits, "rejected": summary.rejected, "strings": summary.strings}
        rounded = None if delay is None else round(delay, 3)
        print(json.dumps({"event": "summary", "seconds": round(summary.seconds, 2), **counts, "delay": rounded}))
    else:
        heard = f"{count(summary.digits, 'digit')} and {count(summary.rejected, 'other sound')}"
        total = f"{heard} in {_clock(summary.seconds)}"
        print(total if delay is None else f"{total}; answers {delay:.2f} s after a word's end")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 2), 60)
    return f"{minutes:.0f}:{rest:05.2f}"
