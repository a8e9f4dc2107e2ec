"""Plots of results, for the notebooks and the run folders.

Each function draws into `ax`, or into a new figure, and returns the axes. The palette is safe for colour-blind readers
(Okabe and Ito 2008); lines also differ in their style or marker.
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.stats import norm
from sklearn.metrics import DetCurveDisplay, det_curve

from utils.files import atomic_folder

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = "o^sDvP"
STYLE: dict[Any, Any] = {
    "figure.dpi": 80,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "legend.frameon": False,
}
LITERAL = STYLE | {"text.parse_math": False}  # a dollar in the name of a speaker or a model is no formula


def use_style() -> None:
    """Use the project's style for all figures drawn from now on."""
    plt.rcParams.update(STYLE)


def new_axes(width: float, height: float) -> Axes:
    """The axes of a new figure, its size in inches."""
    return plt.subplots(figsize=(width, height))[1]


def confusion(counts: Sequence[Sequence[int]], ax: Axes | None = None, title: str = "") -> Axes:
    """How often each digit (row) is predicted as each digit (column); the shade is the share of the row."""
    ax = ax or new_axes(5, 4.6)
    table = np.asarray(counts)
    share = table / table.sum(1, keepdims=True).clip(1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    _numbers(ax, table.astype(str), share > 0.5, table > 0)
    digits = range(len(table))
    ax.set(title=title, xlabel="predicted digit", ylabel="spoken digit", xticks=digits, yticks=digits)
    ax.spines[:].set_visible(False)
    return ax


def heat_map(
    table: pd.DataFrame,
    ax: Axes | None = None,
    title: str = "",
    decimals: int = 1,
    limits: tuple[float | None, float | None] = (None, None),
) -> Axes:
    """A table of percentages; its axes are labelled with the names of the index and the columns.

    The colours go from the least to the greatest value of the table, or of `limits`, which tables to be compared share.
    """
    ax = ax or new_axes(0.75 * table.shape[1] + 1.5, 0.4 * table.shape[0] + 1.2)
    values = table.to_numpy(dtype=float).round(decimals)  # like pandas, so that a table and its plot agree
    image = ax.imshow(values, cmap="viridis", aspect="auto", vmin=limits[0], vmax=limits[1])
    _numbers(
        ax, np.vectorize(f"{{:.{decimals}f}}".format)(values), np.asarray(image.norm(values)) < 0.6, np.isfinite(values)
    )
    ax.set(title=title, xlabel=table.columns.name, ylabel=table.index.name)
    for axis, names in ((ax.xaxis, table.columns), (ax.yaxis, table.index)):
        axis.set_ticks(range(len(names)), [name if isinstance(name, str) else f"{name:g}" for name in names])
    ax.spines[:].set_visible(False)
    return ax


def learning_curves(histories: Mapping[str, Sequence[dict]]) -> np.ndarray:
    """Loss, validation accuracy (if any) and learning rate over the epochs.

    Args:
        histories: by name, see `utils.training.loop.train`.

    Returns:
        The axes (panels,), side by side.
    """
    validated = any("validation_accuracy" in row for history in histories.values() for row in history)
    panels = ["loss", *(["validation_accuracy"] if validated else []), "learning_rate"]
    _, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 2.8), squeeze=False)
    for panel, ax in zip(panels, axes[0], strict=True):
        for index, (name, history) in enumerate(histories.items()):
            look = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)], "markersize": 3}
            epochs = [row["epoch"] for row in history if panel in row]
            ax.plot(epochs, [row[panel] for row in history if panel in row], "-", label=name, **look)
            if panel == "loss" and any("validation_loss" in row for row in history):
                values = [row["validation_loss"] for row in history]
                ax.plot(epochs, values, "--", label=f"{name}, validation", **look)
        ax.set(xlabel="epoch", ylabel=panel.replace("_", " "), ylim=(0, None))
        ax.locator_params(axis="x", integer=True)
    axes[0, 0].legend()
    return axes[0]


def speaker_bars(models: Mapping[str, Sequence[Mapping[str, float]]], ax: Axes | None = None, title: str = "") -> Axes:
    """Accuracy for each speaker: bars are means over seeds, dots are single seeds.

    Args:
        models: for each model's name, one `{speaker: accuracy}` per seed.
    """
    speakers = list(dict.fromkeys(name for seeds in models.values() for seed in seeds for name in seed))
    ax = ax or new_axes(2.5 + 0.4 * len(speakers) * len(models), 3)
    width = 0.8 / len(models)
    for index, (model, seeds) in enumerate(models.items()):
        places = np.arange(len(speakers)) + (index - (len(models) - 1) / 2) * width
        percent = np.array([[100 * seed.get(name, np.nan) for name in speakers] for seed in seeds])
        ax.bar(places, percent.mean(0), 0.9 * width, label=model, color=COLOURS[index % len(COLOURS)], alpha=0.7)
        ax.plot(np.tile(places, len(seeds)), percent.ravel(), "k.", markersize=5, clip_on=False)
    ax.set(title=title, xlabel="speaker", ylabel="accuracy / %", ylim=(0, 100))
    ax.set_xticks(range(len(speakers)), speakers)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def accuracy_by_snr(rows: Sequence[dict], ax: Axes | None = None, title: str = "") -> Axes:
    """Accuracy over the signal-to-noise ratio: a line for each model, its mean ± standard deviation over the seeds.

    Args:
        rows: of the table `noise` (`utils.experiments.reporting.rows`). Conditions without a ratio are left out.
    """
    ax = ax or new_axes(5, 3)
    looks = plt.cycler(color=COLOURS) + plt.cycler(marker=list(MARKERS))
    ax.set_prop_cycle(plt.cycler(linestyle=("-", "--")) * looks)  # for more models than colours
    for row in rows:
        ratios = [name for name in ("20", "10", "5", "0", "-5") if name in row["conditions"]]
        if not ratios:  # of a peer that has not been tested in noise yet
            continue
        percent = 100 * np.array([row["conditions"][name] for name in ratios])  # (ratios, seeds)
        deviation = percent.std(1, ddof=1) if percent.shape[1] > 1 else None
        ratios_db = [float(name) for name in ratios]
        ax.errorbar(ratios_db, percent.mean(1), deviation, markersize=4, label=row["model"], capsize=2)
    ax.set(title=title, xlabel="signal-to-noise ratio / dB", ylabel="accuracy / %", ylim=(0, 100))
    ax.invert_xaxis()
    ax.legend()
    return ax


def accuracy_by_cost(
    rows: Sequence[dict], peers: Sequence[str], noisy: Mapping[str, float], ax: Axes | None = None
) -> Axes:
    """Accuracy over the time that a clip takes, of models (blue) and of peers (orange).

    Args:
        rows: of the table `peers` (`utils.experiments.reporting.rows`). Those without `milliseconds` are left out.
        peers: the names of those that are peers.
        noisy: by name, an accuracy in noise: a hollow circle.
    """
    ax = ax or new_axes(6, 3.6)
    for row in rows:
        if "milliseconds" not in row:
            continue
        name, cost, percent = row["model"], row["milliseconds"], 100 * row["accuracy_mean"]
        colour = COLOURS[name in peers]
        ax.plot(cost, percent, "o", color=colour)
        side = ("right", -7) if name not in peers else ("left", 7)
        ax.annotate(name, (cost, percent), (side[1], 0), textcoords="offset points", ha=side[0], va="center")
        if name in noisy:
            ax.plot([cost, cost], [percent, 100 * noisy[name]], ":", color=colour, linewidth=1)
            ax.plot(cost, 100 * noisy[name], "o", color=colour, markerfacecolor="white")
    ax.set(xscale="log", xlabel="time of one core / ms a clip", ylabel="accuracy / %", ylim=(None, 100))
    ax.margins(x=0.3)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    return ax


def detection_error(digits: np.ndarray, others: Mapping[str, np.ndarray], ax: Axes | None = None) -> Axes:
    """Detection error trade-off (Martin et al. 1997): non-digits accepted against digits rejected, at any threshold.

    Args:
        digits: confidences (clips,) of digits.
        others: by name, confidences (clips,) of non-digits.
    """
    ax = ax or new_axes(4.5, 4)
    ax.set_prop_cycle(plt.cycler(color=COLOURS[:4]) + plt.cycler(linestyle=("-", "--", "-.", ":")))
    for name, confidence in others.items():
        labels = np.concatenate([np.ones(len(digits)), np.zeros(len(confidence))])
        accepted, rejected, _ = det_curve(labels, np.concatenate([digits, confidence]))
        DetCurveDisplay(fpr=accepted, fnr=rejected, estimator_name=name).plot(ax)
    limits = norm.ppf([0.001, 0.5])  # the axes are in quantiles of the normal distribution
    ax.set(xlabel="non-digits accepted", ylabel="digits rejected", xlim=limits, ylim=limits)
    ax.legend(loc="upper right")
    return ax


def scatter(places: np.ndarray, groups: Sequence, ax: Axes | None = None, title: str = "") -> Axes:
    """Points in a plane, with a colour and a marker for each group; those of digits are the digits themselves.

    Args:
        places: (points, 2) coordinates without a meaningful scale, for example by t-SNE or UMAP: no ticks are drawn.
        groups: (points,) digits or names, at most 20 different ones.
    """
    ax = ax or new_axes(4.5, 4)
    names, which = np.unique(np.asarray(groups), return_inverse=True)
    colours = plt.get_cmap("tab10" if len(names) <= 10 else "tab20")
    single = all(len(str(name)) == 1 and str(name).isalnum() for name in names)  # such as digits: markers of their own
    for number, name in enumerate(names):
        x, y = places[which == number].T
        marker, size = (f"${name}$", 25) if single else (MARKERS[number % len(MARKERS)], 9)
        ax.scatter(x, y, size, color=colours(number), marker=marker, label=name, linewidth=0)
    ax.set(title=title, xticks=[], yticks=[])
    handle = 0 if single else 1
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(1, 1),
        labelcolor="markerfacecolor",
        markerscale=1.5,
        scatterpoints=handle,
        handlelength=handle,
    )
    return ax


def save_run(result: dict, folder: Path) -> None:
    """Save the figures of a run (a result of `utils.experiments.runs.run`) as PNG files in `folder`, atomically.

    `curves.png` shows the history. For each part that was evaluated, such as TEST, there are `TEST_confusion.png`,
    `TEST_speakers.png` and `TEST_digits.png`.
    """
    stages: dict[str, list[dict]] = {}
    for row in result["history"]:
        stages.setdefault(row.get("stage", "training"), []).append(row)
    with atomic_folder(folder, patterns=("*.png",)) as new, plt.rc_context(LITERAL):

        def save(name: str, ax: Axes) -> None:
            figure = cast(Figure, ax.figure)
            figure.savefig(new / f"{name}.png", bbox_inches="tight")
            plt.close(figure)  # at once: a run with many test sets has more figures than Matplotlib keeps silently

        if stages:
            save("curves", learning_curves(stages)[0])
        for part, measured in result["metrics"].items():
            title = f"{part}: {100 * measured['accuracy']:.1f} % of {measured['n']} clips"
            save(f"{part}_confusion", confusion(measured["confusion"], title=title))
            for kind in ("speaker", "digit"):
                accuracy = {name: 100 * value for name, value in measured[f"per_{kind}"].items()}
                ax = new_axes(2 + 0.3 * len(accuracy), 2.8)
                ax.bar(list(accuracy), list(accuracy.values()))
                ax.set(title=title, xlabel=kind, ylabel="accuracy / %", ylim=(0, 100))
                ax.tick_params(axis="x", rotation=90 if len(accuracy) > 10 else 0)
                save(f"{part}_{kind}s", ax)


def compress(png: bytes, source: str | None = None) -> bytes:
    """Shrink a figure's PNG to about a third by a palette of 256 colours.

    `source` goes into its field of that name: what the figure was drawn from.
    """
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    fields = PngInfo()
    if source is not None:
        fields.add_text("Source", source)
    image.save(buffer, "PNG", optimize=True, pnginfo=fields)
    return buffer.getvalue()


def source_of(png: bytes) -> str | None:
    """What a figure was drawn from, as `compress` noted; None if it did not, or if this is no image."""
    with suppress(OSError), Image.open(io.BytesIO(png)) as image:
        return image.info.get("Source")
    return None


def _numbers(ax: Axes, texts: np.ndarray, dark: np.ndarray, shown: np.ndarray) -> None:
    """Write texts into the cells of an image, in white where it is dark."""
    for row, column in zip(*shown.nonzero(), strict=True):
        colour = "white" if dark[row, column] else "black"
        ax.text(column, row, texts[row, column], ha="center", va="center", color=colour, fontsize=8)
