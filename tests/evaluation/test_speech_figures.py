"""Plots of clips show times, frequencies and levels with their units."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from plots import drawn, labels, project_style  # noqa: F401

from utils.evaluation import speech_figures
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig
from utils.paths import PROJECT

CONFIG = FeatureConfig()
TONE = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4000) / CONFIG.sample_rate).astype("float32")
(FEATURES,) = extract([TONE], CONFIG)


def test_waveform():
    ax = speech_figures.waveform(TONE, CONFIG.sample_rate, title="a tone")
    assert labels(ax) == ("time / ms", "amplitude")
    assert ax.get_xlim() == (0, 500)
    assert ax.get_title() == "a tone"
    drawn(ax)


def test_spectrogram_shows_a_tone_at_its_frequency_and_level():
    ax = speech_figures.spectrogram(FEATURES, CONFIG, title="a tone")
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


def test_spectrogram_of_absolute_levels():
    config = FeatureConfig(level="none", trim_db=None, range_db=100.0)
    ax = speech_figures.spectrogram(extract([TONE], config)[0], config)
    assert ax.figure.axes[1].get_ylabel() == "level / dB"
    drawn(ax)


def test_spectrogram_of_parts():
    ax = speech_figures.spectrogram(FEATURES[:5], CONFIG, parts=True, colour_bar=False)
    assert labels(ax) == ("part of the clip", "frequency / Hz")
    assert ax.get_xlim() == (0, 5)
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize("count, columns, shape", [(1, 1, (1, 1)), (3, 2, (2, 2)), (6, 3, (2, 3))])
def test_spectrogram_grid_labels_its_edges(count, columns, shape):
    clips = [FEATURES[: 10 + n] for n in range(count)]
    axes = speech_figures.spectrogram_grid(clips, CONFIG, columns, titles=["a"], rows=["ann"])
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
    ax = speech_figures.weights(torch.zeros(3, CONFIG.n_mels), CONFIG, limit=0.5)
    assert labels(ax) == ("part of the clip", "frequency / Hz")
    assert ax.images[0].get_clim() == (-0.5, 0.5)
    assert speech_figures.weights(torch.zeros(3, CONFIG.n_mels), CONFIG, 1, parts=False).get_xlabel() == "time / ms"
    drawn(ax)


def test_a_player_links_to_the_file_and_embeds_no_audio(monkeypatch):
    monkeypatch.chdir(PROJECT / "notebooks")
    clips = pd.DataFrame({"file": ["speech_data/5_theo_23.wav"], "path": ["/elsewhere/5_theo_23.wav"]})
    html = speech_figures.player(clips.iloc[0])._repr_html_()
    assert 'src="../speech_data/5_theo_23.wav"' in html
    assert "elsewhere" not in html and "base64" not in html
    row = speech_figures.players(clips, ["five by theo"]).data
    assert 'src="../speech_data/5_theo_23.wav"' in row and "five by theo" in row
    monkeypatch.chdir(PROJECT / "notebooks" / "exercises")
    assert 'src="../../speech_data/5_theo_23.wav"' in speech_figures.player(clips.iloc[0])._repr_html_()
    many = pd.concat([clips] * (speech_figures.PLAYERS + 1))
    assert speech_figures.players(many, list("abcde")).data.count("<tr>") == 2


def test_plots_of_clips_use_the_given_axes():
    _, axes = plt.subplots(1, 3)
    speech_figures.waveform(TONE, 8000, axes[0])
    speech_figures.spectrogram(FEATURES, CONFIG, axes[1], colour_bar=False)
    speech_figures.weights(FEATURES, CONFIG, 1, axes[2])
    assert len(plt.get_fignums()) == 1
    assert all(ax.has_data() for ax in axes)
