"""Exercise 5: an augmentation, mains hum."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from notebooks.exercises.checks import array, near, require, right
from utils.features.log_mel import FeatureConfig

RATE = FeatureConfig().sample_rate
HARMONICS = 40
LENGTHS = torch.tensor([4000, 1000, 2500])


def clips() -> Tensor:
    """Waveforms (3, 4000) of noise, zero after the ends."""
    waveforms = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[1.0], [0.1], [0.5]])
    return waveforms * (torch.arange(4000) < LENGTHS.unsqueeze(1))


def hum(answer: Callable[[Tensor, int], Tensor]) -> None:
    """The hum (batch, samples) of frequencies (batch,)."""
    hertz = torch.tensor([50.0, 60.0])
    found = torch.as_tensor(array(answer(hertz, RATE), (2, RATE), "what `hum` returns"))
    amplitudes = torch.fft.rfft(found).abs() * 2 / RATE  # one second: bin k is k Hz
    for row, fundamental in zip(amplitudes, (50, 60), strict=True):
        lowest = int((row > 0.1).int().argmax())
        require(lowest == fundamental, f"the lowest frequency in the hum of {fundamental} Hz is {lowest} Hz.")
        harmonics = row[fundamental * torch.arange(1, HARMONICS + 10)]
        k = torch.arange(1, HARMONICS + 1)
        require(
            bool((harmonics[:HARMONICS] - 1 / k).abs().max() < 0.001),
            f"the first harmonics of {fundamental} Hz have the amplitudes {_list(harmonics[:3])}; they should be 1.00, "
            f"0.50, 0.33, and go on to {1 / HARMONICS:.3f} for the last.",
        )
        require(
            bool(harmonics[HARMONICS:].max() < 0.001), f"there are more than {HARMONICS} harmonics of {fundamental} Hz."
        )
    right("the right harmonics of each fundamental.")


def mix(answer: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Waveforms with noise at a ratio."""
    waveforms, snr_db = clips(), torch.tensor([10.0, 10.0, 0.0])
    noise = torch.randn(3, 4000, generator=torch.Generator().manual_seed(1)) * torch.tensor([[1.0], [7.0], [0.2]])
    given = waveforms.clone(), noise.clone()
    found = torch.as_tensor(array(answer(given[0], LENGTHS, given[1], snr_db), (3, 4000), "what `mix` returns"))
    require(
        torch.equal(given[0], waveforms) and torch.equal(given[1], noise),
        "`mix` changes the waveforms or the noise that it was given (an operation in place, such as `*=`).",
    )
    added = found - waveforms.double()
    outside = [row[length:].abs().sum() for row, length in zip(added, LENGTHS, strict=True)]
    require(not any(outside), "there is noise after the end of a clip, where there was silence.")
    ratios = 10 * torch.log10(waveforms.square().sum(1) / added.square().sum(1))
    wanted, got = snr_db.tolist(), [round(value, 1) for value in ratios.tolist()]
    require(
        not near(ratios.numpy(), -snr_db.numpy(), 1e-3), "the ratios have the wrong sign: more decibels are less noise."
    )
    require(
        not near(ratios.numpy(), 2 * snr_db.numpy(), 1e-3) and not near(ratios.numpy(), snr_db.numpy() / 2, 1e-3),
        f"asked for {wanted} dB, the clips have {got} dB: a factor of 2 in decibels is energy taken for amplitude.",
    )
    padded = 10 * torch.log10(4000 / LENGTHS)
    require(
        not near((ratios - snr_db).abs().numpy(), padded.numpy(), 0.02),
        f"asked for {wanted} dB, the clips have {got} dB: the noise in the padding counts. Mask it first.",
    )
    require(near(ratios.numpy(), snr_db.numpy(), 1e-3), f"asked for {wanted} dB, the clips have {got} dB.")
    direction = [
        (row @ other / (row.norm() * other.norm())).item() for row, other in zip(added, _inside(noise), strict=True)
    ]
    require(min(direction) > 0.999, "what is added is not the noise times one factor for each clip.")
    right("each clip at its own ratio, and silent after its end.")


def augment(answer: Callable[[Tensor, Tensor, torch.Generator], Tensor]) -> None:
    """Waveforms, some of which hum."""
    waveforms = torch.randn(400, 1000, generator=torch.Generator().manual_seed(0))
    lengths = torch.full((400,), 1000)
    given = waveforms.clone()

    def call(seed: int, other: int = 0) -> Tensor:
        torch.manual_seed(other)
        found = answer(given, lengths, torch.Generator().manual_seed(seed))
        array(found, (400, 1000), "what `augment` returns")
        return found

    found = call(0)
    require(torch.equal(given, waveforms), "`augment` changes the waveforms that it was given: it works in place.")
    require(
        torch.equal(call(0, other=1), found),
        "the same generator gives other clips the second time: some numbers are not drawn from `generator`.",
    )
    require(not torch.equal(call(1), found), "another generator gives the same clips: are the numbers drawn from it?")
    added = found - waveforms
    hums = added.abs().amax(1) > 0
    share = hums.float().mean().item()
    require(0.4 < share < 0.6, f"{share:.0%} of 400 clips hum; it should be about half of them.")
    ratios = 10 * torch.log10(waveforms.square().sum(1) / added.square().sum(1))[hums]
    spread = f"between {ratios.min():.1f} and {ratios.max():.1f} dB"
    require(
        float(ratios.max() - ratios.min()) > 1, f"all clips hum at the same ratio, {ratios[0]:.1f} dB: draw one each."
    )
    require(-0.1 < ratios.min() < 2 and 18 < ratios.max() < 20.1, f"the ratios are {spread}, not between 0 and 20.")
    require(
        abs(ratios.mean().item() - 10) < 2, f"the mean ratio is {ratios.mean():.1f} dB; uniform draws have about 10."
    )
    at_50 = (_strength(added[hums], 50) > _strength(added[hums], 60)).float().mean().item()
    require(0.38 < at_50 < 0.62, f"{at_50:.0%} of the humming clips hum at 50 Hz; it should be about half of them.")
    right("half of the clips hum, each in its own way, and the same way again from the same generator.")


def _list(values: Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _inside(noise: Tensor) -> Tensor:
    return (noise * (torch.arange(noise.shape[1]) < LENGTHS.unsqueeze(1))).double()


def _strength(waveforms: Tensor, hertz: float) -> Tensor:
    """The magnitude (batch,) of the fundamental and its harmonics in waveforms (batch, samples)."""
    time = torch.arange(waveforms.shape[1]) / RATE
    waves = torch.stack([torch.sin(2 * math.pi * k * hertz * time) / k for k in range(1, HARMONICS + 1)]).sum(0)
    return (waveforms @ waves).abs()
