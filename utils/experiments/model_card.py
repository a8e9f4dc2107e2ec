"""The model card of a checkpoint, its README.md: the model, its accuracy by test set, its intended use and limits."""

from pathlib import Path

from utils.experiments.config import Experiment
from utils.experiments.mixtures import STRINGS

CREDITS = {  # of known corpora, by the name of their table; other corpora go by that name
    "SDR_metadata": "the Free Spoken Digit Dataset (CC BY-SA 4.0)",
    "arabic": "Arabic Speech Commands (CC BY 4.0)",
    "arabic_words": "other words of Arabic Speech Commands (CC BY 4.0)",
    "audiomnist_02": "AudioMNIST (MIT)",
    "speech_commands": "Speech Commands (CC BY 4.0)",
    "speech_commands_words": "other words of Speech Commands (CC BY 4.0)",
}
FEW = 40  # speakers are named, more are counted
CARD_TEXT = """\
# {name}: spoken digits 0-9

A `{model}` of {parameters:,} parameters on {n_mels} log-mels of {sample_rate} Hz audio. Trained with the protocol
{protocol} (seed {seed}) on {clips:,} clips of {corpora}; {speakers}.

| tested on | unseen speakers | clips | accuracy | macro F1 |
|---|---|---|---|---|
{rows}
{strings}
This folder can be passed to `sdr predict` and `sdr evaluate`; `config_snapshot.yaml` has the complete configuration.

**Intended use.** Teaching and demonstrations, on {use} spoken close to a microphone.

**Limitations.** Trained on {variety}. {non_digits}
Do not use it where errors have serious consequences.
"""
NON_DIGITS = {
    False: "It always predicts a digit, even for other words and for noise.",
    True: "It can reject clips without a digit, with some errors (notebooks/08_use_it).",
}


def model_card(experiment: Experiment, result: dict) -> str:
    """The text of the model card. `result` is that of `utils.experiments.runs.run`."""
    rows = [
        f"| {_condition(name)} | {', '.join(m['per_speaker'])} | {m['n']} | {m['accuracy']:.3f} | {m['macro_f1']:.3f} |"
        for name, m in result["metrics"].items()
    ]
    data = experiment.data
    recorded = () if data.protocol.startswith("zero") else (data.metadata,)  # zero: only tested on its table
    names = [Path(table).stem for table in (*recorded, *data.also_train, *data.non_digits)]
    corpora = [CREDITS.get(name, name) for name in names]
    if data.synthetic_voices:
        corpora.append(f"{data.synthetic_voices} synthetic voices (eSpeak NG)")
    if data.synthetic_language:
        corpora.append(f"the archive of synthetic speech ({data.synthetic_language})")
    if data.synthetic_non_digits:
        corpora.append("other words by synthetic voices, and noises")
    if data.synthetic_music:
        corpora.append("synthetic music")
    words = experiment.pretraining.words if experiment.pretraining else None
    if words is not None:
        names = [CREDITS.get(Path(table).stem, Path(table).stem) for table in (*words.tables, *words.digits)]
        names += [f"{words.voices} voices of eSpeak NG in {', '.join(words.languages)}"] if words.languages else []
        corpora.append(f"after pre-training on words of {' and '.join(names)}")
    if data.noises:
        corpora.append(f"with recorded noise ({', '.join(data.noises)})")
    speakers = result["train_speakers"]
    few = len(speakers) <= FEW
    who = f"speakers: {', '.join(speakers)}" if few else f"{len(speakers)} recorded speakers"
    variety = "few adult voices" if few else "isolated words"
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
        non_digits=NON_DIGITS[experiment.data.learns_non_digits],
        speakers=who if speakers else "no recorded speaker",
        variety=variety if speakers else "synthetic voices alone",
        rows="\n".join(rows),
        strings="" if experiment.strings is None else _strings(result),
        use="short clips of one digit" if experiment.strings is None else "strings of digits, with or without pauses,",
    )


def _strings(result: dict) -> str:
    """Shares of strings wholly right, of a model that is trained on strings, if it was tested on some."""
    if "field" not in result:
        return ""
    shares = ", ".join(f"{name} {result['field'][name]:.3f}" for name in STRINGS)
    return f"\nStrings of three to seven digits of unseen speakers, wholly right (docs/results.md): {shares}.\n"


def _condition(name: str) -> str:
    """What a test is called: those in noise are named after their signal-to-noise ratio (see `mixtures`)."""
    return f"TEST at {name} dB SNR" if name.lstrip("-").isdecimal() else name
