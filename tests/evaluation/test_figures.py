"""Figures say what they show, on the least that they can be given."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from utils.evaluation import figures
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig

CONFIG = FeatureConfig()
TONE = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4000) / CONFIG.sample_rate).astype("float32")
(FEATURES,) = extract([TONE], CONFIG)


@pytest.fixture(autouse=True)
def closed():
    with plt.rc_context():
        figures.use_style()
        yield
    plt.close("all")


def drawn(ax) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    return buffer.getvalue()


def labels(ax) -> tuple[str, str]:
    return ax.get_xlabel(), ax.get_ylabel()


def test_waveform():
    ax = figures.waveform(TONE, CONFIG.sample_rate, title="a tone")
    assert labels(ax) == ("time / ms", "amplitude")
    assert ax.get_xlim() == (0, 500)
    assert ax.get_title() == "a tone"
    drawn(ax)


def test_spectrogram_shows_a_tone_at_its_frequency_and_level():
    ax = figures.spectrogram(FEATURES, CONFIG, title="a tone")
    (image,) = ax.images
    assert labels(ax) == ("time / ms", "frequency / Hz")
    assert image.get_extent()[1] == pytest.approx(10 * len(FEATURES))
    assert image.get_clim() == (-CONFIG.range_db, 0)
    assert image.get_array().max() == pytest.approx(0, abs=1e-4)
    kilohertz = {tick.get_text(): place for tick, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    loudest = np.unravel_index(image.get_array().argmax(), image.get_array().shape)[0]
    assert abs(kilohertz["1,000"] - loudest) <= 0.5
    colour_bar = ax.figure.axes[1]
    assert colour_bar.get_ylabel() == "level / dB re peak"
    drawn(ax)


def test_spectrogram_without_a_level_of_its_own():
    config = FeatureConfig(level="none", trim_db=None, range_db=100.0)
    ax = figures.spectrogram(extract([TONE], config)[0], config)
    assert ax.figure.axes[1].get_ylabel() == "level / dB"
    drawn(ax)


def test_spectrogram_of_parts():
    ax = figures.spectrogram(FEATURES[:5], CONFIG, parts=True, colour_bar=False)
    assert labels(ax) == ("part of the clip", "frequency / Hz")
    assert ax.get_xlim() == (0, 5)
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize("count, columns, shape", [(1, 1, (1, 1)), (3, 2, (2, 2)), (6, 3, (2, 3))])
def test_spectrogram_grid_labels_its_edges(count, columns, shape):
    clips = [FEATURES[: 10 + n] for n in range(count)]
    axes = figures.spectrogram_grid(clips, CONFIG, columns, titles=["a"], rows=["ann"])
    assert axes.shape == shape
    assert [ax.get_visible() for ax in axes.flat] == [n < count for n in range(axes.size)]
    for n, ax in enumerate(axes.flat[:count]):
        assert ax.get_xlabel() == ("" if n + columns < count else "time / ms")
        assert ax.get_ylabel().endswith("" if n % columns else "frequency / Hz")
        assert ax.get_xlim() == (0, 10 * (9 + count))
    assert axes[0, 0].get_ylabel().startswith("ann\n")
    assert axes[0, 0].get_title() == "a"
    drawn(axes[0, 0])


def test_weights_are_white_at_zero():
    ax = figures.weights(torch.zeros(3, CONFIG.n_mels), CONFIG, limit=0.5)
    assert labels(ax) == ("part of the clip", "frequency / Hz")
    assert ax.images[0].get_clim() == (-0.5, 0.5)
    assert figures.weights(torch.zeros(3, CONFIG.n_mels), CONFIG, 1, parts=False).get_xlabel() == "time / ms"
    drawn(ax)


def test_confusion_writes_the_counts():
    counts = np.zeros((10, 10), int)
    counts[3, 3], counts[3, 8] = 12, 1  # nine digits were not spoken at all
    ax = figures.confusion(counts.tolist())
    assert labels(ax) == ("digit heard", "digit spoken")
    assert {text.get_position(): text.get_text() for text in ax.texts} == {(3, 3): "12", (8, 3): "1"}
    drawn(ax)


def test_heat_map_names_rows_and_columns():
    table = pd.DataFrame(
        [[71.25, np.nan]], index=pd.Index([0.01], name="strength"), columns=pd.Index([5, "none"], name="parts")
    )
    ax = figures.heat_map(table)
    assert labels(ax) == ("parts", "strength")
    assert [text.get_text() for text in ax.texts] == ["71.2"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "none"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.01"]
    drawn(ax)


def test_learning_curves():
    plain = [{"epoch": n, "loss": 1 / n, "learning_rate": 0.1, "seconds": 1.0} for n in (1, 2)]
    axes = figures.learning_curves({"seed 0": plain})
    assert [labels(ax) for ax in axes] == [("epoch", "loss"), ("epoch", "learning rate")]
    validated = [row | {"validation_loss": 1.0, "validation_accuracy": 0.5} for row in plain]
    axes = figures.learning_curves({"seed 0": validated, "seed 1": validated[:1]})
    assert [ax.get_ylabel() for ax in axes] == ["loss", "validation accuracy", "learning rate"]
    names = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert names == ["seed 0", "seed 0, validation", "seed 1", "seed 1, validation"]
    drawn(axes[0])


def test_speaker_bars_are_means_and_dots_are_seeds():
    models = {"linear": [{"ann": 0.5, "bob": 0.7}], "cnn1d": [{"ann": 0.8, "bob": 0.9}, {"ann": 0.9, "bob": 1.0}]}
    ax = figures.speaker_bars(models)
    assert labels(ax) == ("speaker", "accuracy / %")
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([50, 70, 85, 95])
    dots = [value for line in ax.lines for value in line.get_ydata()]
    assert dots == pytest.approx([50, 70, 80, 90, 90, 100])
    drawn(ax)


def test_scatter_draws_each_group_in_its_colour_and_names_it():
    places = np.arange(24.0).reshape(12, 2)
    for groups, names in (([3, 7, 7] * 4, ["3", "7"]), (["ann", "bob", "cleo"] * 4, ["ann", "bob", "cleo"])):
        ax = figures.scatter(places, groups, title="hidden layer")
        assert [text.get_text() for text in ax.get_legend().get_texts()] == names
        assert len({tuple(drawn_group.get_facecolor()[0]) for drawn_group in ax.collections}) == len(names)
        shown = {name: c.get_offsets().tolist() for name, c in zip(names, ax.collections, strict=True)}
        expected = [place for place, group in zip(places.tolist(), groups, strict=True) if str(group) == names[0]]
        assert shown[names[0]] == expected
        drawn(ax)


def test_figures_draw_into_given_axes():
    _, axes = plt.subplots(1, 7)
    figures.scatter(np.eye(2), [1, 2], axes[6])
    figures.waveform(TONE, 8000, axes[0])
    figures.spectrogram(FEATURES, CONFIG, axes[1], colour_bar=False)
    figures.weights(FEATURES, CONFIG, 1, axes[2])
    figures.confusion(np.eye(10, dtype=int), axes[3])
    figures.heat_map(pd.DataFrame([[1.0]]), axes[4])
    figures.speaker_bars({"linear": [{"ann": 0.5}]}, axes[5])
    assert len(plt.get_fignums()) == 1
    assert all(ax.has_data() or ax.patches for ax in axes)


def test_a_player_names_the_file_and_holds_no_audio():
    clips = pd.DataFrame({"file": ["speech_data/5_theo_23.wav"], "path": ["/elsewhere/5_theo_23.wav"]})
    html = figures.player(clips.iloc[0])._repr_html_()
    assert 'src="../speech_data/5_theo_23.wav"' in html
    assert "elsewhere" not in html and "base64" not in html
    row = figures.players(clips, ["five by theo"]).data
    assert 'src="../speech_data/5_theo_23.wav"' in row and "five by theo" in row


def test_compress_keeps_the_picture_and_is_smaller():
    _, ax = plt.subplots()
    figures.spectrogram(FEATURES, CONFIG, ax)
    png = drawn(ax)
    small = figures.compress(png)
    assert len(small) < len(png) / 2
    assert figures.compress(png) == small
    before, after = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for data in (png, small))
    assert np.abs(before - after).mean() < 2
