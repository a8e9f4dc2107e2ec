"""`sdr predict`: recognise the digit in each file."""

import argparse
import json
import sys
from pathlib import Path

from utils import InputError, plain
from utils.commands import arguments, output

HELP = "recognise the spoken digit in each file"
BATCH = 256  # files per batch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    names = (
        "files, folders or patterns such as '*.wav'; before them, to use another model than the project's own, a "
        "checkpoint: its folder, or its name on the Hugging Face Hub"
    )
    add("files", nargs="*", metavar="[CHECKPOINT] FILE", help=names)
    add("--top", type=arguments.whole(1, 10), metavar="N", help="list the N most probable digits")
    add("--several", action="store_true", help="recognise several digits per file, with or without pauses")
    seconds = arguments.whole(1, 120)  # MAX_SECONDS of a recogniser
    add("--record", type=seconds, metavar="SECONDS", help="record from the microphone for this long")
    add("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    from utils.data.audio_names import find_audio
    from utils.experiments import checkpoint_folder
    from utils.inference import microphone

    names, checkpoint = given.files, checkpoint_folder.DEFAULT
    if given.several:
        checkpoint = checkpoint_folder.STRINGS
    if names and checkpoint_folder.is_checkpoint(names[0]):
        checkpoint, *names = names
        if not names and not Path(checkpoint).exists() and not given.record:
            raise InputError(f"{checkpoint}: there is no such file")
    if bool(names) == bool(given.record):
        raise InputError("give either files or --record (see `sdr predict --help`)")
    loaded = checkpoint_folder.load_quickly(checkpoint)
    if given.record:
        if sys.stderr.isatty():
            print(f"recording for {given.record} s ...", file=sys.stderr)
        waveform = microphone.record(given.record, loaded.sample_rate)
        if given.several:
            answer = _words(loaded.recognise_words(waveform), given.top)
        else:
            answer = _digit(loaded.recognise([waveform])[0], given.top)
        answers, refused = [{"file": "microphone", **answer}], False
    else:
        answers, refused = _recognise(loaded, find_audio(names), given.several, given.top)
    if given.json and answers:
        print(json.dumps(answers))
    for answer in answers if not given.json else ():
        if given.several:
            spoken = " ".join("?" if word["digit"] is None else str(word["digit"]) for word in answer["words"])
            print(f"{spoken or 'no speech'}   {plain(answer['file'])}")
            for word in answer["words"]:
                print(f"  {word['start']:6.2f} to {word['end']:.2f} s  {_line(word)}")
        else:
            print(f"{_line(answer)}  {plain(answer['file'])}")
    if refused:
        sys.exit(2)


def _recognise(recogniser, files: list[Path], several: bool, top: int | None) -> tuple[list[dict], bool]:
    """The answers for all readable files, and whether any file was refused. Refused files are reported."""
    from utils.data.audio import read_audio
    from utils.progress import Progress

    answers, refused = [], False
    bar = Progress(total=len(files), desc="recognising", unit="file", shown=len(files) > BATCH)
    for start in range(0, len(files), BATCH):
        clips = []
        for file in files[start : start + BATCH]:
            try:
                if several:
                    answers.append({"file": str(file), **_words(recogniser.predict_words(file), top)})
                else:
                    clips.append((file, read_audio(file, recogniser.sample_rate)))
            except InputError as error:
                output.complain(f"sdr: {error}")
                refused = True
            bar.update()
        predictions = recogniser.recognise([waveform for _, waveform in clips])
        for (file, _), prediction in zip(clips, predictions, strict=True):
            answers.append({"file": str(file), **_digit(prediction, top)})
    bar.close()
    return answers, refused


def _digit(prediction, top: int | None) -> dict:
    """A prediction as plain values, with the `top` most probable digits if `top` is given."""
    values = {"digit": prediction.digit, "probability": prediction.probability}
    ranking = [{"digit": digit, "probability": probability} for digit, probability in prediction.ranking[:top]]
    return values | {"top": ranking} if top else values


def _words(words: list, top: int | None) -> dict:
    """The words of a recording as plain values."""
    times = [{"start": round(word.start, 2), "end": round(word.end, 2)} for word in words]
    return {"words": [time | _digit(word.prediction, top) for time, word in zip(times, words, strict=True)]}


def _line(answer: dict) -> str:
    """An answer as a row of a table."""
    ranking = answer.get("top", [{"digit": "", "probability": answer["probability"]}])
    chances = "  ".join(f"{guess['digit']} {guess['probability']:6.1%}".strip() for guess in ranking)
    return f"{'no digit' if answer['digit'] is None else answer['digit']!s:8}  {chances}"
