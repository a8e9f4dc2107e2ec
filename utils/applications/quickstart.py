"""The quickstart: download the clips, train two models, test them on unseen speakers. Takes two minutes."""

import sysconfig
import time
from dataclasses import replace
from pathlib import Path

from utils import InputError, count
from utils.data.corpora import fsdd
from utils.data.metadata import read_metadata
from utils.data.synthesis import corpus
from utils.experiments import runs
from utils.experiments.config import DataConfig, Experiment, load_experiment
from utils.paths import CONFIGS, COURSE_METADATA, PROJECT, RUNS, find_metadata, speech_data

EPOCHS = 15  # of the 1-D CNN; fewer than in its config, to finish in two minutes
FOLDER = RUNS / "quickstart"  # separate from the results of the tables


def run() -> None:
    """Train and test the linear baseline and a 1-D CNN, on the course's clips or, without them, on synthetic speech."""
    started = time.perf_counter()
    data = find_clips()
    clips = read_metadata(find_metadata(data.metadata))
    speakers = clips.loc[clips["split"] == "TRAIN", "speaker"].nunique()
    print(f"\nTraining on {count(speakers, 'speaker')} and testing on unseen ones:\n")
    print(f"{'model':8} {'TEST':>7} {'macro F1':>9}   by unseen speaker")
    for name in ("linear", "cnn1d"):
        result = runs.run(_quick(name, data), seed=0, store=FOLDER / "results", runs=FOLDER, progress=True)
        test = result["metrics"]["TEST"]
        by_speaker = ", ".join(f"{speaker} {accuracy:.1%}" for speaker, accuracy in test["per_speaker"].items())
        print(f"{name:8} {test['accuracy']:7.1%} {test['macro_f1']:9.1%}   {by_speaker}")
    folder = runs.checkpoint_folder(_quick("cnn1d", data), "course", 0, FOLDER)
    print(f"\nDone in {time.perf_counter() - started:.0f} s. The results tables use longer training (`make results`).")
    scripts = Path(sysconfig.get_path("scripts"))  # .venv/bin; on Windows, .venv\Scripts
    scripts = scripts.relative_to(PROJECT) if scripts.is_relative_to(PROJECT) else scripts
    print(f"Recognise a clip:  {scripts / 'sdr'} predict {folder.relative_to(PROJECT)} YOUR_CLIP.wav")
    print(f"Read on:           {scripts / 'jupyter'} lab {Path('notebooks') / '00_the_data.ipynb'}")


def find_clips() -> DataConfig:
    """The course's clips, downloaded if necessary; if they are not available, synthetic ones and a clear notice."""
    try:
        print(fsdd.fetch(speech_data()))
        return DataConfig(metadata=COURSE_METADATA.name)
    except InputError as error:
        print(f"\n{error}\n")
    line = "=" * 100
    print(line)
    print("THE REAL RECORDINGS ARE NOT AVAILABLE: continuing with SYNTHETIC SPEECH by eSpeak NG.")
    print("The accuracies below are those on synthetic voices. They say nothing about human speakers.")
    print("They are not part of the project's results. To download the recordings: `sdr data sdr`.")
    print(line)
    return DataConfig(metadata=str(corpus.speak(speech_data() / "synthetic")))


def _quick(name: str, data: DataConfig) -> Experiment:
    experiment = load_experiment(CONFIGS / f"{name}.yaml")
    if experiment.training is not None:
        experiment = replace(experiment, training=replace(experiment.training, epochs=EPOCHS))
    return replace(experiment, data=data)
