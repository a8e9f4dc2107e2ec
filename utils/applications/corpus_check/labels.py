"""Labels that a model of the other speakers disagrees with.

The model is the linear baseline, fitted without the speakers whose clips it judges. Alone it is wrong about a fifth of
the course's clips, mostly because one speaker's "three" resembles another speaker's "two". So where a speaker has
several clips of a digit, the clip's logits are also compared with those of the speaker's other clips: one Gaussian per
digit, with one covariance for all, without the clip in question. A label is doubtful if both disagree with it. Where
most of a speaker's clips of a digit are recognised as another digit, that is reported once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold

import model_baseline
from model_baseline import LinearConfig
from utils.applications.corpus_check.findings import Finding
from utils.applications.corpus_check.measures import FEATURES, SEGMENTS, Measures
from utils.progress import Progress
from utils.training.prediction import predict_logits

MODEL = LinearConfig(n_mels=FEATURES.n_mels, size=SEGMENTS, strength=0.01)
FOLDS, MAX_CLIPS = 6, 3000  # groups of left-out speakers; clips that a model is fitted to, drawn at random
DISAGREE, DISAGREE_ALONE = 1.0, 4.0  # difference of the logits of another digit and of the label
UNUSUAL = 10.0  # difference of the log likelihoods among the speaker's own clips
MIN_OWN = 3  # clips of a digit by a speaker, to be compared with
WHOLE, MIN_WHOLE = 0.7, 5  # of a speaker's clips of a digit, share and number recognised as the same other digit


@dataclass(frozen=True)
class Disagreement:
    """How far the models disagree with the labels, all of shape (clips,).

    Attributes:
        digit: the digit that the model of the other speakers recognises.
        margin: its logit above that of the label; 0 where they agree.
        unusual: the log likelihood of the best digit above that of the label, among the speaker's own clips; NaN where
            there are too few of them.
    """

    digit: np.ndarray
    margin: np.ndarray
    unusual: np.ndarray


def check_labels(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Doubtful labels, and digits of a speaker that are recognised as another throughout."""
    places = np.array(list(measured), dtype=int)
    chosen = clips.iloc[places]
    labels, speakers = chosen["label"].to_numpy(), chosen["speaker"].to_numpy(dtype=object)
    judged = judge([clip.view for clip in measured.values()], labels, speakers)
    if judged is None:
        why = "this needs at least two speakers, and every digit from the others when some of them are left out"
        yield Finding("unchecked labels", "note", why)
        return
    whole = np.zeros(len(labels), dtype=bool)
    for (speaker, label), mine in chosen.groupby(["speaker", "label"]).indices.items():
        digits = np.where(judged.margin[mine] > DISAGREE, judged.digit[mine], label)
        digit = np.bincount(digits).argmax()
        share = np.mean(digits == digit)
        if digit != label and share >= WHOLE and len(mine) >= MIN_WHOLE:
            whole[mine] = True
            message = f"speaker {speaker}: {share:.0%} of {len(mine)} clips labelled {label} are recognised as {digit}"
            yield Finding("pronunciation", "warning", message, (int(places[mine[0]]),), float(share))
    alone = np.isnan(judged.unusual)
    doubtful = np.where(alone, judged.margin > DISAGREE_ALONE, judged.margin > DISAGREE)
    doubtful &= (alone | (judged.unusual > UNUSUAL)) & ~(whole & alone)
    for i in np.flatnonzero(doubtful):
        message = f"speaker {speakers[i]}, labelled {labels[i]}, recognised as {judged.digit[i]}"
        score = judged.margin[i] + (0 if alone[i] else judged.unusual[i])
        yield Finding("labels", "warning", message, (int(places[i]),), float(score))


def judge(views: list[torch.Tensor], labels: np.ndarray, speakers: np.ndarray) -> Disagreement | None:
    """Judge each clip by models of other speakers; None if there are too few speakers or digits.

    Args:
        views: (SEGMENTS, mels) of each clip.
        labels: (clips,), 0-9.
        speakers: (clips,).
    """
    logits = cross_validate(views, labels, speakers)
    if logits is None:
        return None
    rows = np.arange(len(labels))
    likelihood = own_likelihood(logits, labels, speakers)
    of_label = likelihood[rows, labels]
    best = np.where(np.isnan(likelihood), -np.inf, likelihood).max(1)
    unusual = np.where(np.isnan(of_label), np.nan, best - np.nan_to_num(of_label))
    return Disagreement(logits.argmax(1), logits.max(1) - logits[rows, labels], unusual)


def cross_validate(views: list[torch.Tensor], labels: np.ndarray, speakers: np.ndarray) -> np.ndarray | None:
    """Logits (clips, 10) of models of other speakers; None if a model would lack a digit. Arguments as for `judge`."""
    folds = min(FOLDS, len(set(speakers)))
    if folds < 2:
        return None
    logits = np.zeros((len(labels), 10))
    parts = list(GroupKFold(folds).split(labels, groups=pd.factorize(speakers)[0]))
    for number, (train, held_out) in enumerate(Progress(parts, "models")):
        if len(train) > MAX_CLIPS:
            train = np.random.default_rng(number).choice(train, MAX_CLIPS, replace=False)
        if len(set(labels[train])) < 10:
            return None
        model = model_baseline.fit(MODEL, [views[i] for i in train], torch.from_numpy(labels[train]), FEATURES.floor)
        logits[held_out] = predict_logits(model, [views[i] for i in held_out], FEATURES.floor).numpy()
    return logits


def own_likelihood(logits: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Log likelihoods (clips, 10) of each clip's logits, up to a constant, among its speaker's clips of each digit.

    The clip itself is left out. NaN for a digit with fewer than `MIN_OWN` clips by the speaker.
    """
    centred = logits - logits.mean(1, keepdims=True)
    cells = pd.DataFrame({"speaker": speakers, "label": labels}).groupby(["speaker", "label"]).indices
    deviations = [centred[mine] - np.median(centred[mine], axis=0) for mine in cells.values()]
    scatter = sum(part.T @ part for part in deviations) / len(labels)
    inverse = np.linalg.inv(scatter + 0.1 * np.eye(10))
    likelihood = np.full(logits.shape, np.nan)
    for speaker in dict.fromkeys(speakers):
        clips = np.flatnonzero(speakers == speaker)
        for digit in range(10):
            mine = cells.get((speaker, digit), ())
            if len(mine) < MIN_OWN:
                continue
            total = centred[mine].sum(0)
            inside = (labels[clips] == digit)[:, None]
            means = np.where(inside, (total - centred[clips]) / (len(mine) - 1), total / len(mine))
            apart = centred[clips] - means
            likelihood[clips, digit] = -0.5 * np.einsum("ij,jk,ik->i", apart, inverse, apart)
    return likelihood
