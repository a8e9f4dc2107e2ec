"""Speak the digits with every engine that is installed, and pack them into the archive of synthetic speech.

    python tools/make_archive.py speak --to FOLDER [--language en] [flite:18 festival:16 ... kokoro:1:100]
    python tools/make_archive.py pack FOLDER/en/flite.tsv FOLDER/en/festival.tsv ...

`flite:18` stands for 18 speakers for each voice of Flite, `kokoro:1:100` for one and 100 blends of voices. Without
engines, the project's own choice for the language is spoken. What has been spoken is kept, so an interrupted run can be
started again.
"""

import argparse
import sys
from pathlib import Path

from utils import InputError
from utils.data.synthesis import archive
from utils.data.synthesis.accents import plan_speakers
from utils.data.synthesis.archive_speech import speak_digits
from utils.data.synthesis.engine import voice_table
from utils.data.synthesis.engines import engines

CHOICE = {
    "en": ("flite:18", "pico:16", "rhvoice:16", "piper:16", "festival:16", "kokoro:1:100"),
    "ar": ("kokoro:3:56",),
}


def speak(folder: Path, language: str, choice: list[str]) -> None:
    """Speak with the engines of `choice`. Voices whose output may not be passed on are not used."""
    known = engines()
    for item in choice or CHOICE.get(language, ()):
        name, *numbers = item.split(":")
        if not 1 <= len(numbers) <= 2 or not all(map(str.isdecimal, numbers)):
            raise InputError(f"'{item}' is not ENGINE:EACH or ENGINE:EACH:BLENDS, such as flite:18")
        each, blends = (*map(int, numbers), 0)[:2]
        if name not in known:
            raise InputError(f"no engine '{name}'; known are {', '.join(known)}")
        if how_to_install := known[name].missing():
            print(f"{name}: left out, as it is not installed ({how_to_install})")
            continue
        free = {row.voice for row in voice_table() if row.engine == name and row.may_pass_on}
        speakers = plan_speakers(known[name], language, each=each, blends=blends)
        speakers = [speaker for speaker in speakers if speaker.voice.split("+")[0].split("*")[0] in free]
        table, left_out = speak_digits(folder / language, known[name], speakers)
        print(f"{name}: {table}")
        for voice, why in left_out.items():
            print(f"  {voice} left out: {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    speaking = commands.add_parser("speak", help="speak with the engines that are installed")
    speaking.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    speaking.add_argument("--language", default="en")
    speaking.add_argument("choice", nargs="*", metavar="ENGINE:EACH[:BLENDS]")
    packing = commands.add_parser("pack", help="make the archive")
    packing.add_argument("tables", nargs="+", type=Path)
    packing.add_argument("--to", type=Path, metavar="FOLDER", help="(default: the project's own, by the language)")
    chosen = parser.parse_args()
    try:
        if chosen.command == "speak":
            speak(chosen.to, chosen.language, chosen.choice)
        else:
            print(archive.pack(chosen.tables, chosen.to or archive.ARCHIVE / chosen.tables[0].parent.name))
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
