"""Exercise 2: the linear baseline's leaks."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from notebooks.exercises.checks import array, near, require, right

CLIPS = pd.DataFrame(
    {
        "identifier": [f"clip-{number}" for number in range(8)],
        "speaker": ["ada", "bo", "cy", "ada", "dee", "bo", "cy", "dee"],
    }
)


def shared_speakers(answer: Callable[[pd.DataFrame, pd.DataFrame], list]) -> None:
    """The speakers of both tables."""
    for train, test, expected in (
        (CLIPS[:3], CLIPS[3:], ["ada", "bo", "cy"]),
        (CLIPS[2:4], CLIPS[4:6], []),
        (CLIPS[6:], CLIPS[:5], ["cy", "dee"]),
    ):
        found = answer(train, test)
        require(
            isinstance(found, list) and all(isinstance(name, str) for name in found),
            f"`shared_speakers` returns {type(found).__name__}, not a list of names.",
        )
        both = f"with {', '.join(train['speaker'])} on one side and {', '.join(test['speaker'])} on the other"
        missed, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        require(not missed, f"{both}, you miss {', '.join(missed)}. Is it speakers that you compare, not clips?")
        require(not extra, f"{both}, {', '.join(extra)} should not be found.")
        require(found == expected, f"{both}, each name comes once, in alphabetical order, not {found}.")
    right("it finds who is on both sides.")


def split_by_speaker(answer: Callable[[pd.DataFrame, list[str]], tuple[pd.DataFrame, pd.DataFrame]]) -> None:
    """Tables to train and to test on."""
    for unseen in (["bo"], ["ada", "dee"]):
        parts = answer(CLIPS, unseen)
        require(isinstance(parts, tuple) and len(parts) == 2, "`split_by_speaker` returns two tables, train and test.")
        train, test = parts
        both, tested = sorted(set(train["speaker"]) & set(test["speaker"])), sorted(test["speaker"].unique())
        require(not both, f"with {' and '.join(unseen)} unseen, {', '.join(both)} is on both sides.")
        require(
            tested == unseen,
            f"with {' and '.join(unseen)} unseen, you test on {', '.join(tested) or 'nobody'}.",
        )
        left_out = len(CLIPS) - len(train) - len(test)
        require(left_out == 0, f"{abs(left_out)} of {len(CLIPS)} clips are {'left out' if left_out > 0 else 'added'}.")
        require(
            train.index.equals(CLIPS.index[~CLIPS["speaker"].isin(unseen)]),
            "keep the index of `clips`: the views and labels are found by it.",
        )
    right("no speaker is on both sides, and no clip is lost.")


def standardise(answer: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    """Two arrays, standardised by the first."""
    generator = np.random.default_rng(0)
    train, test = generator.normal(3.0, 2.0, (50, 4)), generator.normal(7.0, 5.0, (20, 4))

    def call(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            parts = answer(train.copy(), test.copy())
        require(isinstance(parts, tuple) and len(parts) == 2, "`standardise` returns two arrays, train and test.")
        shown = "what `standardise` returns for"
        return array(parts[0], train.shape, f"{shown} train"), array(parts[1], test.shape, f"{shown} test")

    first, second = call(train, test)
    other, _ = call(train, 10 * test)
    require(near(first, other), "your training clips change when other clips are tested: that is the leak.")
    alone = call(train, test[:1])[1]
    require(
        near(alone[0], second[0]),
        "a test clip becomes something else when it is tested alone: the statistics are those of the test clips.",
    )
    require(
        near(first.mean(0), np.zeros(4)) and near(first.std(0), np.ones(4), 0.02),
        "the training clips should have the mean 0 and the standard deviation 1 in each column.",
    )
    constant = np.column_stack([train, np.full(50, 2.0)]), np.column_stack([test, np.full(20, 2.0)])
    require(not call(*constant)[0][:, 4].any(), "a constant column should become 0.")
    right("what is tested has no part in what is trained on.")


def choose(answer: Callable[[pd.DataFrame], tuple[float, float]]) -> None:
    """The strength chosen, and the accuracy to report."""
    table = pd.DataFrame(
        {"ada": [0.60, 0.70, 0.66], "bo": [0.70, 0.72, 0.90], "cy": [0.60, 0.74, 0.40], "TEST": [0.99, 0.70, 0.80]},
        index=[0.1, 1.0, 10.0],
    )
    found = answer(table.copy())
    require(isinstance(found, tuple) and len(found) == 2, "`choose` returns two numbers: the strength, the accuracy.")
    strength, accuracy = found
    require(strength != 0.1, "you chose the strength that is best on TEST, or let TEST take part in the choice.")
    require(
        strength != 10.0, "you chose the strength that is best for one speaker. Choose the best mean over the speakers."
    )
    require(strength == 1.0, f"{strength} is no strength of the table: the rows are called 0.1, 1.0 and 10.0.")
    require(not near(np.float64(accuracy), np.float64(0.99)), "the accuracy you report is that of another strength.")
    require(
        not near(np.float64(accuracy), np.float64(0.72)),
        "you report the accuracy inside TRAIN. It was picked as the largest of several, so it is too good.",
    )
    require(near(np.float64(accuracy), np.float64(0.70)), f"the accuracy to report is not {accuracy}.")
    right("chosen without looking at TEST, and reported on it.")
