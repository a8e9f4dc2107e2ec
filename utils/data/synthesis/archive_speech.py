"""The digits by one engine after another, for the archive, in a folder that can be completed later."""

from collections.abc import Sequence
from pathlib import Path

from utils import InputError
from utils.data.metadata import write_table
from utils.data.synthesis.accents import plan_utterances
from utils.data.synthesis.engine import Engine
from utils.data.synthesis.speakers import FIELDS, Speaker, put_in_room, speak_utterance, table_row, write_clip
from utils.files import write_atomically
from utils.progress import Progress


def speak_digits(
    folder: Path,
    engine: Engine,
    speakers: Sequence[Speaker],
    progress: bool = True,
) -> tuple[Path, dict[str, str]]:
    """Speak the digits of all speakers. Can be interrupted and called again.

    Args:
        folder: `{engine}.tsv` is written there, clips of clean words to `clean/{engine}/`, and the same words as
            their speakers are recorded (with noise and level) to `{engine}/`, 16 kHz WAV.
        engine: the engine of all the speakers.
        speakers: for example from `accents.plan_speakers`.
        progress: whether to show a progress bar.

    Returns:
        The table, a metadata table with further columns (`FIELDS`), and the voices that were left out because the
        engine failed twice in a row with them, each with the reason.

    Raises:
        InputError: the folder cannot be written to.
    """
    table = folder / f"{engine.name}.tsv"
    clean, rooms = folder / "clean" / engine.name, folder / engine.name
    left_out: dict[str, str] = {}
    failures: dict[str, int] = {}
    rows = []
    for number, speaker in enumerate(Progress(speakers, engine.name, unit="speaker", shown=progress)):
        for utterance in plan_utterances(engine, speaker):
            name = f"{utterance.clip}.wav"
            if not (rooms / name).is_file():
                if speaker.voice in left_out:
                    continue
                try:
                    sound = speak_utterance(engine, speaker, utterance)
                except InputError as error:
                    failures[speaker.voice] = failures.get(speaker.voice, 0) + 1
                    if failures[speaker.voice] >= 2:
                        left_out[speaker.voice] = str(error)
                    continue
                write_clip(clean / name, sound)
                write_clip(rooms / name, put_in_room(sound, utterance.clip, speaker.level, speaker.noise))
            failures.pop(speaker.voice, None)
            rows.append(table_row(speaker, utterance, "TRAIN", f"{engine.name}/{name}"))
        if number % 10 == 9 or number == len(speakers) - 1:
            write_atomically(table, lambda new: write_table(new, FIELDS, rows))
    return table, left_out
