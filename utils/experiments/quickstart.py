"""The first two minutes: fetch the clips, train two models, test them on speakers they never heard."""

import time
from dataclasses import replace

from utils import InputError
from utils.data.corpora import fsdd
from utils.data.synthesis import corpus
from utils.experiments import runs
from utils.experiments.config import DataConfig, Experiment, load_experiment
from utils.paths import COURSE_METADATA, PROJECT, RUNS, speech_data

EPOCHS = 15  # of the 1-D CNN, so that all takes two minutes; its config has more
FOLDER = RUNS / "quickstart"  # never the results that the tables are made from


def run() -> None:
    """Train and test the linear baseline and a 1-D CNN, on the course's clips or, without them, on synthetic ones."""
    started = time.perf_counter()
    data = find_clips()
    print("\nTraining on some speakers, testing on others whom the models have never heard:\n")
    print(f"{'model':8} {'TEST':>7} {'macro F1':>9}   each unheard speaker")
    for name in ("linear", "cnn1d"):
        result = runs.run(_quick(name, data), seed=0, store=FOLDER / "results", runs=FOLDER, progress=True)
        test = result["metrics"]["TEST"]
        speakers = ", ".join(f"{speaker} {accuracy:.1%}" for speaker, accuracy in test["per_speaker"].items())
        print(f"{name:8} {test['accuracy']:7.1%} {test['macro_f1']:9.1%}   {speakers}")
    folder = runs.checkpoint_folder(_quick("cnn1d", data), "course", 0, FOLDER)
    print(f"\nDone in {time.perf_counter() - started:.0f} s (the README's tables train longer: `make results`).")
    print(f"Say a digit:   .venv/bin/sdr predict {folder.relative_to(PROJECT)} YOUR_CLIP.wav")
    print("Read on:       .venv/bin/jupyter lab notebooks/00_the_data.ipynb")


def find_clips() -> DataConfig:
    """The course's clips, fetched if need be; where they cannot be had, synthetic ones and a banner that says so."""
    try:
        print(fsdd.fetch(speech_data()))
        return DataConfig(metadata=COURSE_METADATA.name)
    except InputError as error:
        print(f"\n{error}\n")
    line = "=" * 100
    print(line)
    print("THE REAL RECORDINGS CANNOT BE HAD: going on with SYNTHETIC SPEECH by eSpeak NG.")
    print("The figures below say how well the models do on machine voices, and nothing about people.")
    print("They are kept apart from the project's results. To get the recordings: `sdr data sdr`.")
    print(line)
    return DataConfig(metadata=str(corpus.speak(speech_data() / "synthetic")))


def _quick(name: str, data: DataConfig) -> Experiment:
    experiment = load_experiment(PROJECT / "configs" / f"{name}.yaml")
    if experiment.training is not None:
        experiment = replace(experiment, training=replace(experiment.training, epochs=EPOCHS))
    return replace(experiment, data=data)
