"""What `sdr language` says about a language's model: its card, which digits sound alike, what to do next."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.applications.language.training import ROOMS, Fold
from utils.data.synthesis.lexicon import Lexicon
from utils.paths import RUNS

READERS, READ_REPETITIONS = 3, 5  # of the reading list: how many people, and how often each reads a digit
WORTH_MENTIONING = 0.01  # share of a digit's clips that are taken for another digit
HONEST = """\
Measured on synthetic speakers who were left out of training. They are voices of the same engines, so people will be
recognised less well, and how much less only recordings can tell."""
CARD = """\
# Spoken digits 0-9 in {language}

A `resnet` of {parameters:,} parameters on {n_mels} log-mels of {sample_rate} Hz audio. Made by `sdr language {code}`,
which trained it on {synthetic:,} synthetic clips of {speakers} synthetic speakers, in noisy rooms, and on {recordings}.

| engine | speakers | clips to train on | clips of speakers left out |
|---|---|---|---|
{engines}

| digit | word | pronounced by eSpeak NG |
|---|---|---|
{words}

{results}

**Intended use.** Teaching and demonstrations, on short clips of one digit spoken close to a microphone.

**Limitations.** {limits}
It always predicts a digit, even for other words and for noise. The voices may mispronounce words.
Do not use it where errors have serious consequences.
"""


def words_table(lexicon: Lexicon) -> str:
    """The words and how they are pronounced, one digit a line."""
    cells = [("/".join(forms), "  ".join(f"[{ipa}]" for ipa in dict.fromkeys(said)))
             for forms, said in zip(lexicon.words, lexicon.pronunciations, strict=True)]  # fmt: skip
    width = max(len(word) for word, _ in cells)
    return "\n".join(f"  {digit}  {word:{width}}  {said}" for digit, (word, said) in enumerate(cells))


def pronunciation_table(lexicon: Lexicon) -> str:
    """The words and eSpeak NG's pronunciations as a TSV, one word a line."""
    rows = [
        f"{digit}\t{word}\t{said}\n"
        for digit in range(10)
        for word, said in zip(lexicon.words[digit], lexicon.pronunciations[digit], strict=True)
    ]
    return "digit\tword\tipa\n" + "".join(rows)


def reading_list(lexicon: Lexicon) -> str:
    """A TSV to be read out by speakers: every digit as often as any other, in an order of each speaker's own."""
    rows = ["reader\tnumber\tdigit\tword\n"]
    for reader in range(READERS):
        order = np.random.default_rng(reader).permutation(10 * READ_REPETITIONS)
        for number, place in enumerate(order.tolist(), start=1):
            digit, repetition = place % 10, place // 10
            forms = lexicon.words[digit]
            rows.append(f"{reader + 1}\t{number}\t{digit}\t{forms[repetition % len(forms)]}\n")
    return "".join(rows)


def confusion_counts(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """How often each digit (row) is predicted as each digit (column): (10, 10).

    Args:
        labels: (clips,) digits.
        predicted: (clips, ROOMS) digits.
    """
    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (np.repeat(labels, predicted.shape[1]), predicted.ravel()), 1)
    return counts


def confusion_text(counts: np.ndarray, lexicon: Lexicon) -> str:
    """Which digits sound alike, most alike first, and the whole table."""
    share = counts / counts.sum(1, keepdims=True).clip(1)
    names = [f"{digit} ({'/'.join(forms)})" for digit, forms in enumerate(lexicon.words)]
    pairs = sorted(((share[i, j], i, j) for i in range(10) for j in range(10) if i != j), reverse=True)
    alike = [f"  {names[i]} is taken for {names[j]}: {part:.1%}" for part, i, j in pairs if part > WORTH_MENTIONING]
    nothing = f"  no digit is taken for another one in more than {WORTH_MENTIONING:.0%} of its clips"
    rows = [f"{digit:>6}" + "".join(f"{count:6}" for count in row) for digit, row in enumerate(counts)]
    title = f"Which digits sound alike (each clip in {ROOMS} noisy rooms)"
    header = ["Rows: spoken, columns: predicted", " " * 6 + "".join(f"{digit:>6}" for digit in range(10))]
    return "\n".join([title, *(alike[:10] or [nothing]), "", *header, *rows, "", HONEST])


def recordings_text(folds: Sequence[Fold], speakers: Sequence[str]) -> str:
    """What the recordings brought, by speaker, measured by cross-validation."""
    if not folds:
        return (
            f"{speakers[0]} is the only speaker of TRAIN, so nobody can be left out to measure what the recordings "
            "brought. Record two more people."
        )
    lines = ["Real speakers, each tested on a model that was not trained on them (cross-validation):"]
    before, after, labels = [], [], []
    width = max(map(len, speakers))
    for fold in folds:
        label = fold.clips["label"].to_numpy()
        for speaker in fold.clips["speaker"].unique():
            by_speaker = (fold.clips["speaker"] == speaker).to_numpy()
            alone, recorded = ((found == label)[by_speaker].mean() for found in (fold.before, fold.after))
            lines.append(
                f"  {speaker:{width}}  synthesis alone {alone:6.1%}, with the others' recordings {recorded:6.1%}"
            )
        before.append(fold.before)
        after.append(fold.after)
        labels.append(label)
    truth = np.concatenate(labels)
    alone, recorded = (float((np.concatenate(found) == truth).mean()) for found in (before, after))
    gain = 100 * (recorded - alone)
    lines.append(
        f"In all {len(truth)} clips: {alone:.1%} and {recorded:.1%}, so recordings brought {gain:+.1f} points."
    )
    if len(folds) < len(speakers):
        lines.append(f"(The {len(speakers)} speakers were left out in {len(folds)} groups, to save time.)")
    return "\n".join(lines)


def next_steps(code: str, folder: Path, recorded: bool) -> str:
    """What a teacher does next."""
    record = f"speech_data/{code}"
    elsewhere = folder.resolve() != (RUNS / f"language-{code}").resolve()
    train = f"sdr language {code} --metadata {record}/metadata.tsv" + (f" --output {folder}" if elsewhere else "")
    people = "Record more people" if recorded else "Record three people"
    return f"""\
Next:
  Try it:        sdr predict {folder}/model YOUR_CLIP.wav
  Wrong word?    Correct {folder}/words.tsv and run the same command again.
  {people}:  sdr record {record} --words {folder}/words.tsv
                 (or let them read {folder}/to_read.tsv, and write a table as in docs/your_language.md)
  Then:          {train}"""


def card(code: str, name: str, lexicon: Lexicon, facts: Mapping, results: str, recordings: str) -> str:
    """The model card. `facts` holds `parameters`, `n_mels`, `sample_rate`, `speakers`, `clips` and `engines`."""
    limits = f"Trained on {'few people' if recordings else 'synthetic voices alone, and on no person'}."
    words = "\n".join(
        f"| {digit} | {'/'.join(lexicon.words[digit])} | {', '.join(dict.fromkeys(lexicon.pronunciations[digit]))} |"
        for digit in range(10)
    )
    engines = "\n".join(f"| {' | '.join(map(str, row))} |" for row in facts["engines"])
    return CARD.format(
        language=name, code=code, parameters=facts["parameters"], n_mels=facts["n_mels"], speakers=facts["speakers"],
        sample_rate=facts["sample_rate"], synthetic=facts["clips"], recordings=recordings or "no recording",
        engines=engines, words=words, results=results, limits=limits,
    )  # fmt: skip
