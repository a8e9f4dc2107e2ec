"""Plots and audio players of clips: waveforms, spectrograms, and a linear model's weights over time and frequency.

Each function that draws does so in `ax`, or in a new figure, and returns the axes.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Audio
from matplotlib.axes import Axes
from torch import Tensor

from utils.evaluation.figures import new_axes
from utils.features.log_mel import FeatureConfig
from utils.paths import PROJECT

SPEECH = plt.get_cmap("magma", 32)  # for levels; few shades with sharp edges keep the notebooks small
SIGNED = "RdBu_r"  # for weights, white at zero
HERTZ = (250, 500, 1000, 2000, 3500, 7000)
PLAYERS = 4  # side by side


def waveform(samples: np.ndarray, sample_rate: int, ax: Axes | None = None, title: str = "") -> Axes:
    """A waveform (samples,) over time."""
    ax = ax or new_axes(8, 2)
    ax.plot(1000 * np.arange(len(samples)) / sample_rate, samples, linewidth=0.6)
    ax.set(title=title, xlabel="time / ms", ylabel="amplitude", xlim=(0, 1000 * len(samples) / sample_rate))
    return ax


def spectrogram(
    features: Tensor,
    config: FeatureConfig,
    ax: Axes | None = None,
    title: str = "",
    *,
    parts: bool = False,
    colour_bar: bool = True,
) -> Axes:
    """Features (frames, mels) as levels over time and frequency.

    Args:
        config: of the front end that computed them.
        parts: whether each column is a part of the clip (see `model_baseline`) instead of a frame.
        colour_bar: whether to draw a scale of the levels.
    """
    ax = ax or new_axes(6, 2.6)
    level_db = np.asarray(features) * config.std_db + config.mean_db
    loudest = 0 if config.level == "clip_max" else None
    image = _bands(level_db, config, ax, parts, cmap=SPEECH, vmin=-config.range_db, vmax=loudest)
    ax.set_title(title)
    if colour_bar:
        unit = "dB re peak" if config.level == "clip_max" else "dB"
        ax.figure.colorbar(image, ax=ax, label=f"level / {unit}", pad=0.02)
    return ax


def spectrogram_grid(
    features: Sequence[Tensor],
    config: FeatureConfig,
    columns: int,
    *,
    titles: Sequence[str] = (),
    rows: Sequence[str] = (),
    size: tuple[float, float] = (2.0, 1.6),
) -> np.ndarray:
    """Spectrograms side by side, all on the same scales.

    Args:
        features: of the clips (frames, mels), row by row.
        titles: one per panel, or those of the first row only.
        rows: a name per row.
        size: width and height of a panel in inches.

    Returns:
        The axes (rows, columns).
    """
    count = -(-len(features) // columns)
    inches = (size[0] * columns + 0.8, size[1] * count + 0.4)
    _, axes = plt.subplots(count, columns, squeeze=False, sharex=True, sharey=True, figsize=inches)
    for index, ax in enumerate(axes.flat):
        if index >= len(features):
            ax.set_visible(False)
            continue
        title = titles[index] if index < len(titles) else ""
        spectrogram(features[index], config, ax, title, colour_bar=False)
        if index + columns < len(features):  # another panel is below
            ax.set_xlabel("")
            ax.tick_params(axis="x", bottom=False, labelbottom=False)
        else:
            ax.tick_params(axis="x", labelbottom=True)
        if index % columns:
            ax.set_ylabel("")
            ax.tick_params(axis="y", left=False)
    for name, ax in zip(rows, axes[:, 0], strict=False):
        ax.set_ylabel(f"{name}\n{ax.get_ylabel()}")
    axes[0, 0].set_xlim(0, max(map(len, features)) * _frame_ms(config))
    return axes


def weights(
    values: Tensor, config: FeatureConfig, limit: float, ax: Axes | None = None, title: str = "", *, parts: bool = True
) -> Axes:
    """A linear model's weights for one digit, on a scale up to ±`limit`: red is evidence for it, blue against it.

    Args:
        values: (parts, mels), or (frames, mels) if `parts` is false.
    """
    ax = ax or new_axes(3, 2.2)
    _bands(np.asarray(values), config, ax, parts, cmap=SIGNED, vmin=-limit, vmax=limit)
    ax.set_title(title)
    return ax


def player(clip: pd.Series) -> Audio:
    """An audio player for a clip of the course. It links to the file, relative to the folder of the notebook.

    Args:
        clip: a row of `utils.data.metadata.read_metadata`.
    """
    return Audio(url=Path(os.path.relpath(PROJECT / clip.file)).as_posix(), embed=False)


def players(clips: pd.DataFrame, captions: Sequence[str]) -> HTML:
    """Audio players of several clips, each below its caption, `PLAYERS` side by side."""
    controls = [player(clip)._repr_html_() for clip in clips.itertuples()]
    cells = [f"<td>{caption}<br>{control}</td>" for caption, control in zip(captions, controls, strict=True)]
    rows = ["".join(cells[start : start + PLAYERS]) for start in range(0, len(cells), PLAYERS)]
    return HTML(f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>")


def _frame_ms(config: FeatureConfig) -> float:
    return 1000 * config.hop_length / config.sample_rate


def _bands(values: np.ndarray, config: FeatureConfig, ax: Axes, parts: bool, **colours):
    """Draw values (columns, mels) over frequency in hertz, and time in milliseconds or in parts."""
    width = len(values) * (1 if parts else _frame_ms(config))
    extent = (0, width, -0.5, config.n_mels - 0.5)
    image = ax.imshow(values.T, origin="lower", aspect="auto", extent=extent, interpolation="nearest", **colours)
    centres = librosa.mel_frequencies(config.n_mels + 2, fmin=config.f_min, fmax=config.f_max)[1:-1]
    shown = [hertz for hertz in HERTZ if centres[0] <= hertz <= config.f_max]
    ax.set_yticks(np.interp(shown, centres, np.arange(config.n_mels)), [f"{hertz:,}" for hertz in shown])
    ax.set(xlabel="part of the clip" if parts else "time / ms", ylabel="frequency / Hz")
    ax.locator_params(axis="x", integer=True)
    ax.spines[:].set_visible(False)
    return image
