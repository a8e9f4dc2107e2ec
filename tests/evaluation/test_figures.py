"""Plots of results are labelled and show the numbers they are given, however few."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from plots import drawn, labels, project_style  # noqa: F401
from scipy.stats import norm

from utils.evaluation import figures


def test_confusion_shows_the_counts():
    counts = np.zeros((10, 10), int)
    counts[3, 3], counts[3, 8] = 12, 1  # nine digits were never spoken
    ax = figures.confusion(counts.tolist())
    assert labels(ax) == ("predicted digit", "spoken digit")
    assert {text.get_position(): text.get_text() for text in ax.texts} == {(3, 3): "12", (8, 3): "1"}
    assert ax.images[0].get_array()[3, [3, 8]].tolist() == pytest.approx([12 / 13, 1 / 13])
    drawn(ax)


def test_heat_map_labels_rows_and_columns():
    table = pd.DataFrame(
        [[71.25, np.nan]], index=pd.Index([0.01], name="strength"), columns=pd.Index([5, "none"], name="parts")
    )
    ax = figures.heat_map(table)
    assert labels(ax) == ("parts", "strength")
    assert [text.get_text() for text in ax.texts] == ["71.2"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "none"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.01"]
    drawn(ax)


def test_heat_maps_with_the_same_limits_have_the_same_colours():
    images = [figures.heat_map(pd.DataFrame([[value, 0.0]]), limits=(0, 24)).images[0] for value in (13.0, 24.0)]
    assert [image.get_clim() for image in images] == [(0, 24), (0, 24)]


def test_learning_curves():
    plain = [{"epoch": n, "loss": 1 / n, "learning_rate": 0.1, "seconds": 1.0} for n in (1, 2)]
    axes = figures.learning_curves({"seed 0": plain})
    assert [labels(ax) for ax in axes] == [("epoch", "loss"), ("epoch", "learning rate")]
    validated = [row | {"validation_loss": 2.0, "validation_accuracy": 0.5} for row in plain]
    axes = figures.learning_curves({"seed 0": validated, "seed 1": validated[:1]})
    assert [ax.get_ylabel() for ax in axes] == ["loss", "validation accuracy", "learning rate"]
    names = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert names == ["seed 0", "seed 0, validation", "seed 1", "seed 1, validation"]
    drawn_losses = [line.get_xydata().tolist() for line in axes[0].lines]
    assert drawn_losses == [[[1, 1], [2, 0.5]], [[1, 2], [2, 2]], [[1, 1]], [[1, 2]]]
    assert axes[1].lines[0].get_ydata().tolist() == [0.5, 0.5]
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes[0].lines}) == 4  # told apart in grey, too
    drawn(axes[0])


def test_speaker_bars_show_means_as_bars_and_seeds_as_dots():
    models = {"linear": [{"ann": 0.5, "bob": 0.7}], "cnn1d": [{"ann": 0.8, "bob": 0.9}, {"ann": 0.9, "bob": 1.0}]}
    ax = figures.speaker_bars(models)
    assert labels(ax) == ("speaker", "accuracy / %")
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([50, 70, 85, 95])
    dots = [value for line in ax.lines for value in line.get_ydata()]
    assert dots == pytest.approx([50, 70, 80, 90, 90, 100])
    drawn(ax)


def test_scatter_gives_each_group_a_colour_and_a_legend_entry():
    places = np.arange(24.0).reshape(12, 2)
    for groups, names in (([3, 7, 7] * 4, ["3", "7"]), (["ann", "bob", "cleo"] * 4, ["ann", "bob", "cleo"])):
        ax = figures.scatter(places, groups, title="hidden layer")
        assert [text.get_text() for text in ax.get_legend().get_texts()] == names
        assert len({tuple(drawn_group.get_facecolor()[0]) for drawn_group in ax.collections}) == len(names)
        shown = {name: c.get_offsets().tolist() for name, c in zip(names, ax.collections, strict=True)}
        expected = [place for place, group in zip(places.tolist(), groups, strict=True) if str(group) == names[0]]
        assert shown[names[0]] == expected
        drawn(ax)


def test_plots_of_results_use_the_given_axes():
    _, axes = plt.subplots(1, 4)
    figures.scatter(np.eye(2), [1, 2], axes[0])
    figures.confusion(np.eye(10, dtype=int), axes[1])
    figures.heat_map(pd.DataFrame([[1.0]]), axes[2])
    figures.speaker_bars({"linear": [{"ann": 0.5}]}, axes[3])
    assert len(plt.get_fignums()) == 1
    assert all(ax.has_data() or ax.patches for ax in axes)


def test_compress_makes_a_figure_smaller_and_keeps_its_look():
    _, ax = plt.subplots()
    ax.imshow(np.random.default_rng(0).random((32, 50)), cmap="magma")
    png = drawn(ax)
    small = figures.compress(png)
    assert len(small) < len(png) / 2
    assert figures.compress(png) == small
    assert figures.source_of(figures.compress(png, "these numbers")) == "these numbers"
    assert figures.source_of(small) is None and figures.source_of(b"no image") is None
    before, after = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for data in (png, small))
    assert np.abs(before - after).mean() < 2


def test_accuracy_by_snr_has_a_line_for_each_model_from_quiet_to_loud_noise():
    means = {"clean": 0.8, "20": 0.7, "10": 0.6, "5": 0.5, "0": 0.4, "-5": 0.3, "babble-10": 0.2}
    shares = {name: [mean - 0.1, mean, mean + 0.1] for name, mean in means.items()}
    ax = figures.accuracy_by_snr([{"model": name, "conditions": shares} for name in ("one", "two")])
    assert ax.get_legend_handles_labels()[1] == ["one", "two"] and ax.xaxis_inverted()
    for line, _, (bars,) in ax.containers:
        assert line.get_xydata() == pytest.approx(np.array([[20, 70], [10, 60], [5, 50], [0, 40], [-5, 30]]))
        assert bars.get_segments()[0] == pytest.approx(np.array([[20, 60], [20, 80]]))  # one standard deviation


def test_no_two_models_have_the_same_line_even_if_there_are_more_than_colours():
    rows = [{"model": str(number), "conditions": {"10": [0.5]}} for number in range(2 * len(figures.COLOURS))]
    lines = [container[0] for container in figures.accuracy_by_snr(rows).containers]
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == len(rows)


def test_accuracy_by_cost_has_a_circle_for_each_model_and_a_hollow_one_in_noise():
    rows = [{"model": name, "milliseconds": 2.0 + at, "accuracy_mean": 0.9} for at, name in enumerate(("mine", "peer"))]
    ax = figures.accuracy_by_cost([*rows, {"model": "unmeasured"}], ["peer"], {"peer": 0.5})
    circles = {tuple(map(float, line.get_xydata()[0])): line for line in ax.lines if line.get_marker() == "o"}
    assert {place: line.get_color() for place, line in circles.items()} == {
        (2, 90): figures.COLOURS[0],
        (3, 90): figures.COLOURS[1],
        (3, 50): figures.COLOURS[1],
    }
    assert circles[3, 50].get_markerfacecolor() == "white"
    assert [text.get_text() for text in ax.texts] == ["mine", "peer"]


def test_powers_of_ten_are_shown_as_powers():
    with plt.rc_context(figures.STYLE):
        ax = figures.new_axes(3, 2)
        ax.set(xscale="log", xlim=(1, 100))
        ax.figure.draw_without_rendering()
    labels = [label for label in ax.get_xticklabels() if label.get_text()]
    assert labels and all(label.get_parse_math() for label in labels)


def test_detection_error_has_a_curve_for_each_kind_of_non_digit():
    digits = np.array([0.3] * 10 + [0.9] * 90)
    ax = figures.detection_error(digits, {"words": np.array([0.5] * 30 + [0.1] * 70), "noises": np.full(5, 0.1)})
    assert ax.get_legend_handles_labels()[1] == ["words", "noises"]
    rates = norm.cdf(ax.lines[0].get_xydata()).round(6).tolist()
    assert [0.3, 0.1] in rates  # at a threshold between 0.3 and 0.5: words accepted, digits rejected


@pytest.mark.filterwarnings("error")  # Matplotlib warns of more open figures than a limit, of 20 unless it is set
def test_the_figures_of_a_run_with_many_test_sets_are_saved_and_closed(tmp_path):
    measured = {
        "accuracy": 0.5,
        "n": 2,
        "confusion": np.eye(10, dtype=int).tolist(),
        "per_speaker": {r"$\frac$": 0.5},  # a name, and no formula
        "per_digit": {"0": 1.0, "1": 0.0},
    }
    with plt.rc_context({"figure.max_open_warning": 2}):
        figures.save_run({"history": [], "metrics": {"DEV": measured, "TEST": measured}}, tmp_path / "figures")
    assert len(list((tmp_path / "figures").glob("*.png"))) == 3 * 2
    assert plt.get_fignums() == []
