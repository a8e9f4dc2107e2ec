"""A checkpoint's README.md: what the model is, how well it does and on whom, what it is not for."""

from pathlib import Path

from utils.experiments.config import Experiment

CREDITS = {  # of corpora that are known, by the table's name; other corpora are called as their table is
    "SDR_metadata": "the Free Spoken Digit Dataset (CC BY-SA 4.0)",
    "arabic": "Arabic Speech Commands (CC BY 4.0)",
    "arabic_words": "other words of Arabic Speech Commands (CC BY 4.0)",
    "audiomnist_02": "AudioMNIST (MIT)",
}
CARD_TEXT = """\
# {name}: spoken digits 0-9

A `{model}` of {parameters:,} parameters on {n_mels} log-mels of {sample_rate} Hz audio. Trained by the protocol
{protocol} (seed {seed}) on {clips:,} clips of {corpora}; speakers: {speakers}.

| tested on | speakers, never heard in training | clips | accuracy | macro F1 |
|---|---|---|---|---|
{rows}

`sdr predict` and `sdr evaluate` take this folder; `config_snapshot.yaml` holds the whole configuration.

**Intended use.** Teaching and demonstrations, on short clips of one digit spoken close to a microphone.

**Limits.** Trained on few adult voices. {others}
Nothing that matters should depend on it.
"""
OTHERS = {
    False: "It always answers with a digit, to other words and to noise as well.",
    True: "It has learned to tell what is no digit, and is mistaken now and then (notebooks/08_use_it).",
}


def model_card(experiment: Experiment, result: dict) -> str:
    """The checkpoint's README.md: what it is, how well it does and on whom, what it is not for."""
    rows = [
        f"| {name} | {', '.join(m['per_speaker'])} | {m['n']} | {m['accuracy']:.3f} | {m['macro_f1']:.3f} |"
        for name, m in result["metrics"].items()
    ]
    data = experiment.data
    names = [Path(table).stem for table in (data.metadata, *data.also_train, *data.non_digits)]
    corpora = [CREDITS.get(name, name) for name in names]
    if data.synthetic_voices:
        corpora.append(f"{data.synthetic_voices} synthetic voices (eSpeak NG)")
    if data.synthetic_non_digits:
        corpora.append("other words of synthetic voices, and noises")
    return CARD_TEXT.format(
        name=experiment.name,
        model=experiment.model_name,
        parameters=result["parameters"],
        n_mels=experiment.features.n_mels,
        sample_rate=experiment.features.sample_rate,
        protocol=result["protocol"],
        seed=result["seed"],
        clips=result["train_clips"],
        corpora=", ".join(corpora),
        others=OTHERS[experiment.data.learns_non_digits],
        speakers=", ".join(result["train_speakers"]),
        rows="\n".join(rows),
    )
