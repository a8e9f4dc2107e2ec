"""The command `sdr`. Whatever is wrong with what a user gives becomes one plain line and exit status 2."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from utils import InputError

# Each command imports what it needs itself, so that `sdr --help` answers at once.


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one line."""

    def error(self, message: str) -> None:
        raise InputError(f"{message} (see `{self.prog} --help`)")


def seed(text: str) -> int:
    """A seed as it is given on the command line."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {2**32 - 1}, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """A number of things, of which there is at least one."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return int(text)


def port(text: str) -> int:
    """A port of this machine."""
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 1 to 65535, not {text!r}")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Run `sdr`: exit status 0, 2 on bad input, 130 when interrupted."""
    try:
        given, rest = parser().parse_known_args(arguments)
        if given.command is predict:  # argparse takes files before an option or after it, but not both
            given.files += [name for name in rest if not name.startswith("-")]
            rest = [name for name in rest if name.startswith("-")]
        if rest:
            raise InputError(f"unknown argument '{rest[0]}' (see `sdr {given.command.__name__} --help`)")
        given.command(given)
        sys.stdout.flush()  # or a full disk would be noticed too late
    except InputError as error:
        print(f"sdr: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nsdr: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, as in `sdr report | head`, has seen enough
        sys.stderr.close()
    except OSError as error:  # as of a full disk that the output goes to
        print(f"sdr: {error}", file=sys.stderr)
        sys.exit(2)


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    root = Parser(prog="sdr", description="Recognise spoken digits 0-9 from speakers never heard in training.")
    commands = root.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def command(function, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(function.__name__, help=help, description=help[0].upper() + help[1:] + ".")
        made.set_defaults(command=function)
        return made

    add = command(data, "fetch or make a corpus and check it").add_argument
    known = "the course's clips (FSDD), AudioMNIST, Arabic Speech Commands, or speech by eSpeak NG"
    add("corpus", choices=("sdr", "audiomnist", "arabic", "synthetic"), help=known)
    add("--speakers", type=int, default=12, help="synthetic: number of voices (default: %(default)s)")
    add("--takes", type=int, default=10, help="synthetic: takes of each digit by each voice (default: %(default)s)")
    add("--seed", type=seed, default=0, help="synthetic: the same seed speaks the same clips (default: %(default)s)")

    add = command(train, "train a model and test it on speakers it never heard").add_argument
    add("config", type=Path, help="an experiment, as configs/cnn1d.yaml")
    add("--variant", help="which experiment, where the file holds several")
    add("--seed", type=seed, default=0, help="of initial weights, order and augmentation (default: %(default)s)")
    protocols = "course, split, loso, inside-train, one-speaker, one-inside-train, ratio or becker"
    add("--protocol", help=f"{protocols} (default: the config's)")
    add("--fold", help="the speaker who is left out (loso, inside-train) or trained on (one-speaker); a seed (ratio)")
    add("--takes", type=positive, help="labelled takes of each digit by each training speaker (default: all)")
    add("--store", type=Path, help="folder of the results (default: results/runs)")
    add("--runs", type=Path, help="folder of checkpoints and of interrupted runs (default: runs)")

    add = command(
        calibrate, "set a trained model's temperature and threshold, on training speakers left out"
    ).add_argument
    add("config", type=Path, help="the experiment that was trained; it is trained once more for each speaker left out")
    add("--variant", help="which experiment, where the file holds several")
    add("--seed", type=seed, default=0, help="of the training (default: %(default)s)")
    add("--jobs", type=positive, help="models trained at a time (default: one a core)")

    add = command(evaluate, "test a checkpoint on the clips of a metadata table").add_argument
    add("checkpoint", type=Path)
    add("--metadata", type=Path, required=True, help="a TSV with the columns identifier speaker split label file")
    add("--root", type=Path, help="folder that the column 'file' is relative to (default: that of the TSV)")
    add("--split", default="TEST", choices=("TRAIN", "DEV", "TEST"), help="(default: %(default)s)")
    add("--json", action="store_true", help="print JSON")

    listen = (
        "files, folders or patterns as '*.wav'; before them, if another model than the project's own is to listen, a "
        "checkpoint: its folder, or its name on the Hugging Face Hub"
    )
    add = command(predict, "say which digit is spoken in each file").add_argument
    add("files", nargs="*", metavar="[CHECKPOINT] FILE", help=listen)
    add("--top", type=positive, metavar="N", help="tell the N most probable digits as well")
    add("--several", action="store_true", help="a file holds several digits with pauses between: read them out")
    add("--record", type=positive, metavar="SECONDS", help="listen to the microphone for so long")
    add("--json", action="store_true", help="print JSON")

    add = command(export, "write a checkpoint as one ONNX file, from the waveform to the probabilities").add_argument
    add("checkpoint", type=Path, nargs="?", help="its folder (default: checkpoints/digits)")
    add("--output", type=Path, metavar="FILE", help="the file to write (default: named after the model, here)")
    add("--int8", action="store_true", help="weights and activations as 8-bit integers: a smaller file")

    add = command(demo, "speak a digit: open the demo page, or the Gradio app where there is no Node").add_argument
    add("--build", action="store_true", help="build the page anew, with the model of checkpoints/digits")
    add("--port", type=port, default=8000, help="of this machine (default: %(default)s)")
    add("--no-browser", action="store_true", help="only serve the page, and open no browser")

    add = command(reproduce, "run all that the tables need and has not been run, then render them").add_argument
    add("tables", nargs="*", metavar="TABLE", help="as course or loso; an unknown name lists them all (default: all)")
    add("--model", help="only this model's rows")
    add("--seeds", type=positive, help="how many seeds, at most those of the tables (default: all of them)")
    add("--jobs", type=positive, help="runs at a time (default: one a core)")
    add("--again", action="store_true", help="also what has been run already")

    add = command(report, "render the tables of the README and the notebooks from the results").add_argument
    add("--check", action="store_true", help="change nothing; fail where a table is not what the results say")
    add("--json", action="store_true", help="print the rows as JSON and change nothing")

    add = command(bench, "measure speed and memory on this machine").add_argument
    add("--json", action="store_true", help="print JSON")

    command(quickstart, "fetch the clips, train two models, test them on unheard speakers: about two minutes")
    return root


def data(given: argparse.Namespace) -> None:
    from utils.corpora import arabic, audiomnist, fsdd, synthetic
    from utils.metadata import speech_data

    folder = speech_data() / given.corpus
    match given.corpus:
        case "sdr":
            print(fsdd.fetch(speech_data()))
        case "audiomnist":
            print(audiomnist.fetch(folder))
        case "arabic":
            print(arabic.check(folder))
        case "synthetic":
            print(synthetic.speak(folder, speakers=given.speakers, takes=given.takes, seed=given.seed))


def train(given: argparse.Namespace) -> None:
    from utils import checkpoints, experiments, figures, results, tracking
    from utils.config import load_experiment, load_yaml, snapshot
    from utils.parallel import this_process
    from utils.protocols import split_name

    experiment = load_experiment(given.config, given.variant)
    data = experiment.data
    if given.protocol or given.fold:
        data = replace(data, protocol=given.protocol or data.protocol, fold=given.fold)
    if given.takes is not None:
        data = replace(data, takes=given.takes)
    experiment = replace(experiment, data=data)
    store, runs = given.store or results.STORE, given.runs or experiments.RUNS
    name = split_name(data.protocol, data.fold, data.takes)
    older = experiments.checkpoint_folder(experiment, name, given.seed, runs) / checkpoints.SNAPSHOT
    if older.is_file() and load_yaml(older) != snapshot(experiment):
        print(f"{older.parent}: a model of other settings is there; this one will replace it", file=sys.stderr)
    result = experiments.run(experiment, given.seed, store=store, runs=runs, progress=True)
    if this_process().rank > 0:
        return
    for name, values in result["metrics"].items():
        print(f"{name}: {_summary(values)}")
    folder = experiments.checkpoint_folder(experiment, result["protocol"], given.seed, runs)
    figures.save_run(result, folder / "figures")
    if tracking.track(result, folder, runs / tracking.FOLDER):
        print("tracked: `make tracking` shows this run beside the others")
    print(f"checkpoint: {folder}")


def calibrate(given: argparse.Namespace) -> None:
    from utils import experiments
    from utils.config import load_experiment

    made = experiments.calibrate(load_experiment(given.config, given.variant), given.seed, given.jobs)
    print(f"temperature {made.temperature:.2f}; where no digit is at least {made.threshold:.1%} probable, it is none")


def evaluate(given: argparse.Namespace) -> None:
    from utils import checkpoints, experiments
    from utils.metadata import read_metadata

    model, experiment = checkpoints.load(given.checkpoint)
    clips = read_metadata(given.metadata, given.root)
    clips = clips[clips["split"] == given.split]
    if clips.empty:
        raise InputError(f"{given.metadata}: no clips in the split {given.split}")
    measured, _ = experiments.test(model, experiment, clips)
    if given.json:
        print(json.dumps({key: measured[key] for key in ("accuracy", "macro_f1", "n", "per_speaker")}))
    else:
        print(_summary(measured))


def predict(given: argparse.Namespace) -> None:
    from utils import recognition

    names, checkpoint = given.files, recognition.DEFAULT
    if names and recognition.is_checkpoint(names[0]):
        checkpoint, *names = names
        if not names and not Path(checkpoint).exists() and not given.record:
            raise InputError(f"{checkpoint}: there is no such file")
    if bool(names) == bool(given.record):
        raise InputError("give either files to listen to or --record (see `sdr predict --help`)")
    if (given.record or 0) > recognition.MAX_SECONDS:
        raise InputError(f"--record is {given.record}; a recording is at most {recognition.MAX_SECONDS:.0f} s")
    recogniser = recognition.load(checkpoint)
    if given.record:
        if sys.stderr.isatty():
            print(f"listening for {given.record} s ...", file=sys.stderr)
        waveform = recognition.record(given.record, recogniser.features.sample_rate)
        if given.several:
            heard = _words(recogniser.hear_words(waveform), given.top)
        else:
            heard = _digit(recogniser.hear([waveform])[0], given.top)
        answers, refused = [{"file": "microphone", **heard}], False
    else:
        answers, refused = _listen(recogniser, recognition.find_audio(names), given.several, given.top)
    if given.json and answers:
        print(json.dumps(answers))
    for answer in answers if not given.json else ():
        if given.several:
            spoken = " ".join("?" if word["digit"] is None else str(word["digit"]) for word in answer["words"])
            print(f"{spoken or 'nothing heard'}   {answer['file']}")
            for word in answer["words"]:
                print(f"  {word['start']:6.2f} to {word['end']:.2f} s  {_says(word)}")
        else:
            print(f"{_says(answer)}  {answer['file']}")
    if refused:
        sys.exit(2)


def _listen(recogniser, files: list[Path], several: bool, top: int | None) -> tuple[list[dict], bool]:
    """What is heard in each file, and whether some could not be read: those are told, and the others still answered."""
    from tqdm import tqdm

    from utils.audio import read_audio

    answers, refused, batch = [], False, 256
    bar = tqdm(
        total=len(files), desc="listening", unit="file", leave=False, disable=None if len(files) > batch else True
    )
    for start in range(0, len(files), batch):
        clips = []
        for file in files[start : start + batch]:
            try:
                if several:
                    answers.append({"file": str(file), **_words(recogniser.read_out(file), top)})
                else:
                    clips.append((file, read_audio(file, recogniser.features.sample_rate)))
            except InputError as error:
                print(f"sdr: {error}", file=sys.stderr)
                refused = True
            bar.update()
        heard = recogniser.hear([waveform for _, waveform in clips])
        answers += [{"file": str(file), **_digit(answer, top)} for (file, _), answer in zip(clips, heard, strict=True)]
    bar.close()
    return answers, refused


def _digit(answer, top: int | None) -> dict:
    """An answer as plain values, with its `top` most probable digits if they are wanted."""
    plain = {"digit": answer.digit, "probability": answer.probability}
    ranking = [{"digit": digit, "probability": probability} for digit, probability in answer.ranking[:top]]
    return plain | {"top": ranking} if top else plain


def _words(spoken: list, top: int | None) -> dict:
    """The words of a recording as plain values."""
    times = [{"start": round(word.start, 2), "end": round(word.end, 2)} for word in spoken]
    return {"words": [time | _digit(word.answer, top) for time, word in zip(times, spoken, strict=True)]}


def _says(answer: dict) -> str:
    """An answer as a row of a table."""
    ranking = answer.get("top", [{"digit": "", "probability": answer["probability"]}])
    chances = "  ".join(f"{guess['digit']} {guess['probability']:6.1%}".strip() for guess in ranking)
    return f"{'no digit' if answer['digit'] is None else answer['digit']!s:8}  {chances}"


def export(given: argparse.Namespace) -> None:
    from utils import export as onnx_file
    from utils import recognition

    checkpoint = given.checkpoint or recognition.DEFAULT
    path = onnx_file.export_checkpoint(checkpoint, given.output, given.int8)
    print(f"{path}: {path.stat().st_size:,} bytes")


def demo(given: argparse.Namespace) -> None:
    from utils import demo as page

    page.main(given.port, build=given.build, browser=not given.no_browser)


def reproduce(given: argparse.Namespace) -> None:
    from utils import experiments

    experiments.reproduce(given.tables, given.model, given.seeds, given.jobs, given.again)
    report(argparse.Namespace(check=False, json=False))


def report(given: argparse.Namespace) -> None:
    from utils import report as tables

    if given.json:
        print(json.dumps([row for name in tables.TABLES for row in tables.rows(name)], indent=1))
        return
    changed = tables.update(given.check)
    if not given.check:
        for name in tables.TABLES:
            print(tables.markdown(name), end="\n\n")
    print("tables are what the results say" if not changed else f"rendered anew: {', '.join(changed)}")


def bench(given: argparse.Namespace) -> None:
    from utils import benchmark

    measured = benchmark.measure(progress=not given.json)
    if given.json:
        print(json.dumps(measured))
    else:
        for name, value in measured.items():
            print(f"{name:24} {value:g}")


def quickstart(given: argparse.Namespace) -> None:
    from utils import quickstart as tour

    tour.main()


def _summary(measured: dict) -> str:
    """A line about `utils.evaluation.metrics`."""
    low, high = measured["interval"]
    speakers = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in measured["per_speaker"].items())
    return (
        f"accuracy {measured['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}), "
        f"macro F1 {measured['macro_f1']:.1%}, {measured['n']} clips: {speakers}"
    )
