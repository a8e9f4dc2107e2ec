"""Non-speech sounds: coloured noise, hum, tones and knocks; and music: notes, chords and whistles."""

import numpy as np


def make_noise(draw: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A random non-speech sound, shape (samples,), 0.2 to 1.2 s long: coloured noise, mains hum, tones or knocks."""
    samples = round(draw.uniform(0.2, 1.2) * sample_rate)
    seconds = np.arange(samples) / sample_rate
    spectrum = np.fft.rfft(draw.normal(size=samples))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** draw.uniform(-0.2, 1)  # from slightly blue to brown
    noise = np.fft.irfft(spectrum, samples)
    noise /= np.abs(noise).max()
    match draw.integers(4):
        case 0:
            sound = noise
        case 1:  # mains hum and its harmonics
            harmonics = draw.choice([50, 60]) * np.arange(1, 12)
            sound = sum(draw.uniform() * np.sin(2 * np.pi * hertz * seconds) for hertz in harmonics) + noise
        case 2:
            tones = draw.uniform(200, 3000, draw.integers(1, 4))
            sound = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in tones) + draw.uniform(0, 0.3) * noise
        case _:
            starts = draw.uniform(0, seconds[-1], draw.integers(1, 5))
            decay = draw.uniform(20, 200)
            knocks = sum(np.exp(-decay * np.maximum(seconds - start, 0)) * (seconds >= start) for start in starts)
            sound = noise * (knocks + draw.uniform(0, 0.02))
    if draw.uniform() < 0.5:  # rise and fall, like speech
        sound = sound * np.sin(np.linspace(0, np.pi, samples)).clip(0) ** draw.uniform(0.5, 3)
    return sound / np.abs(sound).max() * 10 ** (-draw.uniform(1, 40) / 20)


def make_music(draw: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A random musical sound, shape (samples,), 0.2 to 1.2 s long: a pure tone, a note, a chord, or a whistle."""
    samples = round(draw.uniform(0.2, 1.2) * sample_rate)
    seconds = np.arange(samples) / sample_rate
    octaves = draw.uniform(0, 0.04) * np.sin(2 * np.pi * draw.uniform(3, 8) * seconds + draw.uniform(0, 6))  # vibrato
    if draw.uniform() < 0.5:  # a glide, like a whistle
        octaves = octaves + draw.uniform(-1, 1) * seconds / seconds[-1]
    lowest = 100 * 2 ** draw.uniform(0, 4.5)  # to 2260 Hz
    chord = draw.choice([0, 3, 4, 5, 7, 9, 12], draw.choice([1, 1, 2, 3, 4]), replace=False)  # in semitones
    overtones, fall = draw.choice([1, 1, 3, 8]), draw.uniform(0.5, 2)
    sound = np.zeros(samples)
    for semitones in chord:
        for overtone in range(1, overtones + 1):
            hertz = lowest * overtone * 2 ** (semitones / 12 + octaves)
            phase = 2 * np.pi * np.cumsum(hertz) / sample_rate + draw.uniform(0, 6)
            sound += overtone**-fall * np.sin(phase) * (hertz < sample_rate / 2)  # none above is folded down
    sound *= np.minimum(1, seconds / draw.uniform(0.005, 0.1)) * np.exp(-seconds * draw.choice([0, 2, 8]))
    sound += draw.uniform(0, 0.03) * draw.normal(size=samples)
    return sound / np.abs(sound).max() * 10 ** (-draw.uniform(1, 40) / 20)
