"""What a model's logits tell about its conduct on real clips, beyond the contract (which tests random ones)."""

from collections.abc import Iterator

import numpy as np

from utils.applications.grading.sandbox import Answers
from utils.applications.grading.worker import SHUFFLED
from utils.experiments.contract import TOLERANCE

# Shares of predictions; docs/grading.md reports how far this project's own models are from them
MOST_WITHOUT_WEIGHTS = 0.05  # that stay whatever the weights
LEAST_IN_TRAINING_MODE = 0.4  # that stay in training mode
LEAST_AFTER_SMALL_CHANGES = 0.7  # that stay after changes that nobody hears


def judge(answers: Answers) -> dict[str, str | None]:
    """For each rule of conduct, how it was broken, or None."""
    rules = {
        "batch-mates": batch_mates,
        "evaluation-mode": evaluation_mode,
        "training-mode": training_mode,
        "small-changes": small_changes,
        "weights": weights,
        "isolation": isolation,
    }
    return {name: next(rule(answers), None) for name, rule in rules.items()}


def batch_mates(answers: Answers) -> Iterator[str]:
    """A clip's logits do not depend on the other clips of its batch."""
    together = answers.logits["together"]
    alone = answers.logits["alone"][: len(together)]
    change = np.abs(together - alone).max(1)
    moved = change > TOLERANCE * (1 + np.abs(alone).max(1))
    if moved.any():
        yield f"{moved.mean():.0%} of the clips get other logits in a batch than alone, by up to {change.max():.2g}"


def evaluation_mode(answers: Answers) -> Iterator[str]:
    """In evaluation mode all parts are in that mode, and the same clips get the same logits."""
    if still := answers.facts.still_training:
        yield f"`model.eval()` leaves {', '.join(still)[:100]} in training mode"
    change = np.abs(answers.logits["again"] - answers.logits["together"]).max()
    if change > 0:
        yield f"the same clips get other logits the second time, by up to {change:.2g}"


def training_mode(answers: Answers) -> Iterator[str]:
    """Training mode adds dropout and the statistics of the batch, and is otherwise the same model."""
    share = _alike(answers, "training").mean()
    if share < LEAST_IN_TRAINING_MODE:
        yield f"only {share:.0%} of the predictions are the same in training mode, as if it were another model"


def small_changes(answers: Answers) -> Iterator[str]:
    """Changes of the sound that nobody hears change few predictions."""
    share = _alike(answers, "changed").mean()
    if share < LEAST_AFTER_SMALL_CHANGES:
        yield f"only {share:.0%} of the predictions stay when nobody hears a difference, as if it knew these files"


def weights(answers: Answers) -> Iterator[str]:
    """With the weights in disorder nothing is recognised."""
    share = np.all([_alike(answers, name) for name in SHUFFLED], axis=0).mean()
    if share > MOST_WITHOUT_WEIGHTS:
        yield f"{share:.0%} of the predictions stay whatever the weights, so they do not follow from the weights"


def isolation(answers: Answers) -> Iterator[str]:
    """The code computes, and asks for no files, programs or connections."""
    if answers.attempts:
        yield f"its code tried to {', to '.join(answers.attempts[:3])}; this was refused"


def _alike(answers: Answers, name: str) -> np.ndarray:
    """Which clips (clips,) get the same prediction under this circumstance as together in evaluation mode."""
    return answers.logits[name].argmax(1) == answers.logits["together"].argmax(1)
