"""Helpers to test plots. Import `project_style` into a test module to draw all its plots in the project's style."""

import io
from collections.abc import Iterator

import matplotlib
import pytest
from matplotlib.axes import Axes

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from utils.evaluation import figures


@pytest.fixture(autouse=True)
def project_style() -> Iterator[None]:
    """Draw in the project's style, and close all figures afterwards."""
    with plt.rc_context():
        figures.use_style()
        yield
    plt.close("all")


def drawn(ax: Axes) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    return buffer.getvalue()


def labels(ax: Axes) -> tuple[str, str]:
    return ax.get_xlabel(), ax.get_ylabel()
