"""Training on strings of digits: connectionist temporal classification (CTC; Graves et al. 2006), and their times."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig, valid_frames
from utils.features.spectrogram_augmentations import stretch_time, warp_time
from utils.features.strings import DigitStrings, StringComposer, StringConfig
from utils.training.distributed import this_process, unwrapped
from utils.training.objectives import Objective, TrainingConfig, adjust
from utils.training.precision import arithmetic

EARLY, LATE = 0.2, 0.1  # seconds before and after the end of a digit within which a network may name it
TIMES_WEIGHT = 1.0  # of the loss of the times, in seconds, beside that of the labels


class Strings(Objective):
    """The CTC loss of composed strings, in which a digit may only be named near its end, or that of an equal one.

    The time limit (Senior et al., "Acoustic modelling with CD-CTC-SMBR LSTM RNNs", 2015) makes a network that cannot
    look far ahead answer soon. It is possible because the times are known: the strings are composed.
    """

    def __init__(
        self,
        words: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: TrainingConfig,
        strings: StringConfig,
    ):
        super().__init__(features)
        self.features, self.config = features, config
        self.batches = StringComposer(words, features.sample_rate, strings, config.batch_size, self.generator)
        # those that move digits in time are applied here, where the digits' times are moved as well
        self.moving = augmentation
        still = replace(augmentation, stretch=None, warp_time=None, room_seconds=0.0)
        self.augmenter = Augmenter(still, features, self.generator, words.noises)

    def loss(self, model: nn.Module, batch: DigitStrings) -> Tensor:
        with torch.no_grad():
            waveforms = self.augmenter.change_waveforms(*batch.waveforms)
            inputs, frames = self.augmenter.front_end(*waveforms)
            inputs, frames, starts, ends = self.move(inputs, frames, batch.starts, batch.ends)
            inputs, frames = self.augmenter.change_features(inputs, frames)
        inputs, frames, starts, ends, digits = this_process().whole(inputs, frames, starts, ends, batch.labels)
        network: Any = unwrapped(model)
        with arithmetic(self.config.precision):
            encoded, steps = network.encode(inputs, frames)
        labels, passed, _ = network.label(encoded.float())
        if self.config.logit_adjustment:  # not of the blank
            labels = adjust(labels, (*self.config.logit_adjustment, 0.0)).log_softmax(2)
        seconds = network.STRIDE * self.features.hop_length / self.features.sample_rate
        return string_loss(labels, passed, steps, digits, starts, ends, seconds)

    def move(self, inputs: Tensor, frames: Tensor, starts: Tensor, ends: Tensor) -> tuple[Tensor, ...]:
        """Change the tempo of strings (batch, frames, mels), whose digits start and end at samples (batch, digits).

        Returns:
            The features, their lengths, and the starts and ends in seconds. A ramp that is moved along with the
            features tells for each new frame which one it was.
        """
        config, n, draw = self.moving, len(inputs), self.augmenter.draw
        ramp = torch.arange(inputs.shape[1]).float().expand(n, -1).unsqueeze(2)
        both = torch.cat([inputs, ramp], dim=2)
        if config.stretch is not None:
            both, frames = stretch_time(both, frames, draw(*config.stretch, n), self.floor)
        if config.warp_time is not None:
            rates = draw(1 - config.warp_time, 1 + config.warp_time, n, self.augmenter.KNOTS)
            both, frames = warp_time(both, frames, rates)
        inputs, ramp = both[..., :-1].contiguous(), both[..., -1]
        ramp = ramp.where(valid_frames(frames, ramp.shape[1]), torch.inf).contiguous()
        hop = self.features.hop_length
        moved = [torch.searchsorted(ramp, times / hop) * hop / self.features.sample_rate for times in (starts, ends)]
        return inputs, frames, *moved


def string_loss(
    labels: Tensor, passed: Tensor, steps: Tensor, digits: Tensor, starts: Tensor, ends: Tensor, seconds: float
) -> Tensor:
    """The mean loss of the digits of a batch of strings.

    Args:
        labels: (batch, steps, 11) log-probabilities of the ten digits and of the blank, the last.
        passed: (batch, steps, 2) seconds since the start and the end of the digit that is named at a step.
        steps: (batch,) lengths.
        digits: (batch, most digits), -1 after a string's last digit.
        starts, ends: (batch, most digits) of the digits, in seconds.
        seconds: from one step to the next.
    """
    digits, starts, ends = F.pad(digits, (0, 1), value=-1), F.pad(starts, (0, 1)), F.pad(ends, (0, 1))  # never none
    step = torch.arange(labels.shape[1], device=labels.device)
    time = seconds * step
    present = digits >= 0
    # (batch, most digits, steps): whether a digit may be named at a step
    since_end = time - ends.unsqueeze(2)
    allowed = (since_end >= -EARLY) & (since_end <= LATE) & (time > starts.unsqueeze(2)) & present.unsqueeze(2)
    last = (steps.unsqueeze(1) - 1).clamp_min(0)  # for digits that end after the last step
    allowed |= present.unsqueeze(2) & ~allowed.any(2, keepdim=True) & (step == last).unsqueeze(1)
    named = F.one_hot(digits.clamp_min(0), 10).float() * present.unsqueeze(2)
    permitted = torch.einsum("bds,bdk->bsk", allowed.float(), named) > 0  # (batch, steps, 10)
    limited = labels.masked_fill(~F.pad(permitted, (0, 1), value=True), -30.0)  # not -inf, whose gradient is NaN
    lengths, blank = present.sum(1), labels.shape[2] - 1
    losses = F.ctc_loss(limited.transpose(0, 1), digits.clamp_min(0), steps, lengths, blank, "sum", zero_infinity=True)
    # each step is trained on the times of the digit that ends the nearest to it
    nearest = since_end.abs().masked_fill(~allowed, torch.inf).amin(1, keepdim=True)
    chosen = allowed & (since_end.abs() == nearest)
    true = torch.stack([time - starts.unsqueeze(2), since_end], dim=3)
    errors = F.smooth_l1_loss(passed.unsqueeze(1).expand_as(true), true, beta=0.05, reduction="none").sum(3)
    times = (errors * chosen).sum() / chosen.sum().clamp_min(1)
    return losses / lengths.sum().clamp_min(1) + TIMES_WEIGHT * times
