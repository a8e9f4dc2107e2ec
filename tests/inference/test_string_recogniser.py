"""Strings of digits by a model: the beam's decisions, and that a stream gives the answer of the whole recording."""

import itertools

import numpy as np
import pytest
import torch
from conftest import RATE, experiment_of, speak

from model_neural.crnn import BLANK, CRNN, CRNNConfig
from utils import InputError
from utils.experiments import checkpoints, runs
from utils.experiments.checkpoints import load_recogniser
from utils.features.log_mel import FeatureConfig, LogMel
from utils.inference import prefix_beam
from utils.inference.calibration import Calibration
from utils.inference.export import export_strings
from utils.inference.listening import DigitString, Listener, WordEvent
from utils.inference.prefix_beam import PrefixBeam
from utils.inference.recogniser import Word
from utils.inference.strings import SILENCE, PlattScaling, StepLabeller, Steps, StringRecogniser, with_silence

FEATURES = FeatureConfig(n_mels=20, trim_db=None, level="none", range_db=80.0, mean_db=-40.0)


def rows(*said: tuple[int, float] | None) -> np.ndarray:
    """Probabilities (steps, 11): each step names a digit this probably, and otherwise the blank."""
    made = np.zeros((len(said), 11))
    for row, named in zip(made, said, strict=True):
        row[BLANK] = 1.0
        if named:
            row[named[0]], row[BLANK] = named[1], 1 - named[1]
    return made


def at_once(probabilities: np.ndarray) -> np.ndarray:
    """Spans (steps, 2) of words that start and end where they are named: none can be the same as the one before."""
    return 0.04 * np.repeat(np.arange(len(probabilities))[:, None], 2, axis=1)


def read(probabilities: np.ndarray, spans: np.ndarray | None = None) -> list[tuple[int, int, float]]:
    """The label, the step and the probability of each digit."""
    beam = PrefixBeam()
    digits = beam.push(probabilities, at_once(probabilities) if spans is None else spans) + beam.flush()
    return [(digit.label, digit.named.step, digit.probabilities[digit.label]) for digit in digits]


def test_digits_are_read_at_the_steps_that_name_them_most_clearly():
    made = rows(None, (4, 0.6), (4, 0.95), (4, 0.7), None, None, (2, 1.0), None, (7, 0.9))
    assert [digit[:2] for digit in read(made)] == [(4, 2), (2, 6), (7, 8)]


def test_equal_digits_need_a_blank_between_them_and_others_do_not():
    assert [digit[0] for digit in read(rows((3, 1.0), (3, 1.0), None, (3, 1.0)))] == [3, 3]
    assert [digit[0] for digit in read(rows((3, 1.0), (5, 1.0), (5, 1.0), (3, 1.0)))] == [3, 5, 3]
    long = rows(*[(6, 1.0)] * 30)  # it becomes final while it is still being named
    assert [digit[0] for digit in read(long)] == [6]


def test_a_word_that_is_named_twice_is_read_once():
    twice = rows((3, 0.9), None, (3, 0.8), None, None)
    one = np.array([[-0.3, 0.05]] * 2 + [[0.0, 0.09]] * 3)  # more than half of the shorter one is shared
    two = np.array([[-0.3, 0.0]] * 2 + [[-0.03, 0.05]] * 3)  # less
    assert [digit[:2] for digit in read(twice, one)] == [(3, 0)]
    assert [digit[:2] for digit in read(twice, two)] == [(3, 0), (3, 2)]
    late = rows((3, 1.0), *[None] * 9, (3, 1.0))  # the first is final by then
    assert len(read(late, np.array([[-0.3, 0.05]] * 11))) == 1


def test_the_last_digit_is_read_however_uncertain():
    made = rows(None)
    made[0, [3, 5, BLANK]] = 0.4, 0.35, 0.25
    assert read(made) == [(3, 0, pytest.approx(0.4))]


def test_no_digit_is_read_where_all_are_equally_probable():
    unsure = rows(None, None, None)
    unsure[1] = [0.099] * 10 + [0.01]
    assert read(unsure) == []


def test_no_digit_is_read_in_blanks_or_in_nothing():
    assert read(rows(*[None] * 50)) == [] and read(rows()) == []
    assert read(rows(*[(8, 0.05)] * 3)) == []


def test_a_digit_that_two_steps_share_is_read_and_its_probability_is_that_of_all_paths():
    ((label, _, probability),) = read(rows(None, (7, 0.4), (7, 0.4), None))
    assert label == 7 and probability == pytest.approx(1 - 0.6 * 0.6)


def test_a_beam_wide_enough_has_the_probability_of_every_string(monkeypatch):
    monkeypatch.setattr(prefix_beam, "BEAM", 1000)
    monkeypatch.setattr(prefix_beam, "UNLIKELY", 0.0)
    draw = np.random.default_rng(0)
    for _ in range(3):
        made = draw.dirichlet([0.2, 0.2, 0.4], size=4)
        wide = np.zeros((4, 11))
        wide[:, [3, 5, BLANK]] = made
        total: dict[tuple, float] = {}
        for path in itertools.product((0, 1, 2), repeat=4):
            read_as = tuple((3, 5)[label] for label, _ in itertools.groupby(path) if label < 2)
            total[read_as] = total.get(read_as, 0.0) + float(np.prod(made[range(4), path]))
        beam = PrefixBeam()
        for step, row in enumerate(wide):
            beam._extend(row.tolist(), 0.04 * step, 0.04 * step)
            beam.step += 1
        found = {prefix: path.total for prefix, path in beam.prefixes.items() if set(prefix) <= {3, 5}}
        assert found.keys() >= total.keys()
        assert all(found[prefix] == pytest.approx(chance) for prefix, chance in total.items())


def test_a_digit_is_final_once_it_is_certain_and_after_some_steps_in_any_case():
    beam = PrefixBeam()
    (digit,) = beam.push(rows((4, 1.0)), at_once(rows(None)))
    assert digit.label == 4 and not beam.pending
    assert beam.push(rows((2, 0.8)), at_once(rows(None))) == [] and beam.pending
    silence = rows(*[None] * prefix_beam.PATIENCE)
    assert [digit.label for digit in beam.push(silence, at_once(silence))] == [2]


@pytest.fixture(scope="module")
def recogniser() -> StringRecogniser:
    """With random weights, under which noise is full of "digits"."""
    torch.manual_seed(0)
    model = CRNN(CRNNConfig(n_mels=20, channels=(16, 16, 16), width=16, units=16)).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 200, 20), torch.full((4,), 200))  # the statistics of batch normalisation
        model.head[1].weight *= 30
    return StringRecogniser("random", model.eval(), FEATURES, Calibration(rejects=True))


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    draw = np.random.default_rng(0)
    loudness = np.repeat(10 ** draw.uniform(-3, -1, 40), 777)
    return (loudness * draw.normal(size=len(loudness))).astype(np.float32)  # 3.9 s


def test_the_labels_of_a_stream_are_those_of_the_whole_sound(recogniser, noise):
    features, frames = LogMel(FEATURES)(torch.from_numpy(noise).unsqueeze(0), torch.tensor([len(noise)]))
    with torch.inference_mode():
        labels, passed, _ = recogniser.model.label(recogniser.model.encode(features, frames)[0])
    for size in (len(noise), 8000, 801, 80):
        labeller = StepLabeller(recogniser.label, recogniser.divided)
        parts = [labeller.push(noise[start : start + size]) for start in range(0, len(noise), size)]
        parts.append(labeller.flush())
        found, times = (np.concatenate(each) for each in zip(*parts, strict=True))
        np.testing.assert_allclose(found, labels[0].exp().numpy(), atol=2e-5)
        np.testing.assert_allclose(times, passed[0].numpy(), atol=1e-3)
        assert len(labeller.kept) < 2 * RATE or size == len(noise)


@pytest.mark.parametrize("size", [30_000, 801, 80])
def test_in_silence_the_state_is_made_anew_of_the_last_second(size):
    divided, named, memory = Steps(hop=80, margin=2, stride=4, context=16), (11, 130), {}

    def label(samples, frames, steps, state):
        """The state is the steps since the sound began, as far as it knows. A sample is its own number."""
        first = round(samples[0] / divided.hop + frames.start) // divided.stride
        own = range(first + steps.start, first + steps.stop)
        state = [*(state or ()), *own]
        memory.update((step, state[: state.index(step)]) for step in own if step not in memory)
        return np.stack([np.eye(11)[3 if step in named else 10] for step in own]), np.zeros((len(own), 2)), state

    labeller, sound = StepLabeller(label, divided), np.arange(200 * 320, dtype=np.float64)
    for start in range(0, len(sound), size):
        labeller.push(sound[start : start + size])
    for step, begin in {40: 0, 49: 0, 50: 25, 75: 50, 130: 100, 160: 100, 174: 100, 180: 150}.items():
        assert memory[step] == list(range(begin, step)), step


@pytest.mark.parametrize("size", [8000, 801, 80])
def test_a_stream_gives_the_words_of_the_whole_recording(recogniser, noise, size):
    whole = recogniser.recognise_words(noise)
    stream = recogniser.stream()
    parts = [stream.push(noise[start : start + size]) for start in range(0, len(noise), size)] + [stream.flush()]
    words = [word for part in parts for word in part]
    assert len(whole) > 5
    assert [word.prediction.digit for word in words] == [word.prediction.digit for word in whole]
    for word, same in zip(words, whole, strict=True):
        assert (word.start, word.end) == pytest.approx((same.start, same.end), abs=1e-3)
        assert word.prediction.probability == pytest.approx(same.prediction.probability, abs=1e-3)
    assert sum(map(len, parts[:-1])) > 0.8 * len(whole)  # most are known before the end


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_a_recording_gets_silence_where_it_begins_or_ends_with_a_word(before, after):
    words = np.concatenate([speak(3, "eve", 0), np.zeros(RATE // 2, np.float32), speak(4, "eve", 0)])
    sound = np.pad(words, (round(before * RATE), round(after * RATE)))
    padded, lead = with_silence(sound, RATE)
    tail = len(padded) - lead - len(sound)
    assert [samples / RATE for samples in (lead, tail)] == [0 if around else SILENCE for around in (before, after)]
    assert np.array_equal(padded[lead : lead + len(sound)], sound)
    assert not padded[:lead].any() and not padded[len(padded) - tail :].any()


def test_times_are_those_of_the_recording_without_the_silence(recogniser):
    sound = np.concatenate([speak(digit, "eve", 0) for digit in range(8)])
    padded, lead = with_silence(sound, RATE)
    assert lead == SILENCE * RATE
    stream = recogniser.stream()
    expected = [word.start - SILENCE for word in stream.push(padded) + stream.flush()]
    starts = [word.start for word in recogniser.recognise_words(sound)]
    assert max(starts) > 1 and starts == pytest.approx(np.clip(expected, 0, len(sound) / RATE))


def test_words_lie_within_the_sound_in_order(recogniser, noise):
    words = recogniser.recognise_words(noise)
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= len(noise) / RATE
    for word in words:
        made = word.prediction
        assert made.ranking[0] == (made.digit, made.probability) and len(made.ranking) == 10
        assert sum(chance for _, chance in made.ranking) <= 1.001


def test_scaling_changes_probabilities_and_nothing_else(recogniser, noise):
    calibration = Calibration(rejects=True, strings=PlattScaling(0.9, 1.9))
    scaled = StringRecogniser("random", recogniser.model, FEATURES, calibration).recognise_words(noise)
    for word, raw in zip(scaled, recogniser.recognise_words(noise), strict=True):
        assert (word.start, word.end, word.prediction.digit) == (raw.start, raw.end, raw.prediction.digit)
        odds = raw.prediction.probability / (1.00001 - raw.prediction.probability)
        expected = 1 / (1 + np.exp(-1.9) * odds**-0.9)
        assert word.prediction.probability == pytest.approx(expected, abs=1e-3)
        assert word.prediction.probability == dict(word.prediction.ranking)[word.prediction.digit]


def test_the_default_scaling_changes_nothing():
    draw = np.random.default_rng(0)
    for concentration in (0.01, 0.1, 1.0):
        raw = dict(enumerate(draw.dirichlet([concentration] * 11)[:10].tolist()))
        assert PlattScaling()(3, raw) == raw


@pytest.mark.parametrize("scaling", [PlattScaling(2.0, 2.6), PlattScaling(0.3, -4.0), PlattScaling(100.0, 100.0)])
def test_scaled_probabilities_rise_with_the_raw_ones_and_never_sum_to_more_than_one(scaling):
    before = 0.0
    for chance in (0.0, 1e-9, 0.22, 0.5, 0.9, 1 - 1e-9, 1.0, 1 + 1e-12):
        others = max(0.0, 1 - chance)
        made = scaling(7, {7: chance, 1: 0.5 * others, 4: 0.3 * others})
        assert before <= made[7] <= 1 and made[1] >= made[4] >= 0
        assert sum(made.values()) <= 1 + 1e-12
        before = made[7]


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (-1.0, 0.0), (1.0, 1000.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_scalings_without_meaning_are_refused(numbers):
    with pytest.raises(ValueError, match="slope"):
        PlattScaling(*numbers)


@pytest.mark.parametrize("samples", [1, 79, 400, 1300])
def test_the_shortest_sounds(recogniser, samples):
    assert all(isinstance(word, Word) for word in recogniser.recognise_words(np.full(samples, 0.1, np.float32)))


def test_bad_waveforms_are_refused(recogniser):
    for bad, why in ((np.zeros(0, np.float32), "shape"), (np.full(800, np.nan, np.float32), "not numbers")):
        with pytest.raises(InputError, match=why):
            recogniser.recognise_words(bad)


@pytest.fixture(scope="module")
def exported(recogniser, tmp_path_factory) -> StringRecogniser:
    """The same recogniser as an ONNX file, which onnxruntime answers from."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from utils.inference.exported import load

    return load(export_strings(tmp_path_factory.mktemp("exported") / "model.onnx", recogniser))


@pytest.mark.parametrize("size", [10**6, 8000, 801, 80])
def test_the_exported_model_answers_as_by_pytorch(recogniser, exported, noise, size):
    streams = recogniser.stream(), exported.stream()
    chunks = [noise[start : start + size] for start in range(0, len(noise), size)]
    wanted, found = ([each.push(chunk) for chunk in chunks] + [each.flush()] for each in streams)
    assert [len(words) for words in found] == [len(words) for words in wanted]  # in the same chunks
    assert sum(map(len, wanted)) > 5
    for word, same in zip(itertools.chain(*found), itertools.chain(*wanted), strict=True):
        assert word.prediction.digit == same.prediction.digit
        assert (word.start, word.end) == pytest.approx((same.start, same.end), abs=1e-3)
        assert dict(word.prediction.ranking) == pytest.approx(dict(same.prediction.ranking), abs=1e-3)


@pytest.mark.parametrize("calibration", [Calibration(True, 0.5, 0.2), Calibration(False, 2.0, 0.0)])
def test_the_exported_model_answers_for_single_digits_too(recogniser, noise, tmp_path, calibration):
    pytest.importorskip("onnxscript")
    from utils.inference.exported import load

    calibrated = StringRecogniser("random", recogniser.model, FEATURES, calibration)
    exported = load(export_strings(tmp_path / "model.onnx", calibrated))
    clips = [noise[start : start + 700 + start // 4] for start in range(0, 20000, 2500)]
    for found, wanted in zip(exported.recognise(clips), calibrated.recognise(clips), strict=True):
        assert found.digit == wanted.digit
        assert dict(found.ranking) == pytest.approx(dict(wanted.ranking), abs=1e-3)


def test_the_exported_model_has_the_same_scaling(recogniser, exported, noise, tmp_path):
    from utils.inference.exported import ExportedStringRecogniser, load

    calibration = Calibration(rejects=True, strings=PlattScaling(0.9, 1.9))
    scaled = StringRecogniser("random", recogniser.model, FEATURES, calibration)
    found = load(export_strings(tmp_path / "model.onnx", scaled))
    assert found.scaling == scaled.scaling and exported.scaling == PlattScaling()
    for word, same in zip(found.recognise_words(noise), scaled.recognise_words(noise), strict=True):
        assert dict(word.prediction.ranking) == pytest.approx(dict(same.prediction.ranking), abs=1e-3)
    older = {name: fact for name, fact in exported.facts.items() if name not in ("slope", "shift")}
    assert ExportedStringRecogniser(exported.session, older).scaling == PlattScaling()


def test_weights_stored_as_integers_change_little(exported, recogniser, noise, tmp_path):
    from utils.inference.exported import load

    small = load(export_strings(tmp_path / "model.onnx", recogniser, int8=True))
    labels = [each.label(noise, range(300), range(75), None)[0] for each in (exported, small)]
    assert 0 < np.abs(labels[0] - labels[1]).mean() < 0.02


def test_listening_uses_the_stream(recogniser, noise):
    listener = Listener(recogniser)
    events = listener.push(noise) + listener.push(np.zeros(2 * RATE, np.float32)) + listener.end()
    assert {type(event) for event in events} == {WordEvent, DigitString}


def test_a_network_trained_on_strings_is_the_same_from_its_checkpoint(corpus, tmp_path):
    experiment = experiment_of(
        corpus,
        "crnn",
        features={"trim_db": None, "level": "none", "range_db": 80, "mean_db": -40},
        model={"channels": [16, 16, 16], "width": 16, "units": 16},
        strings={"number": 16, "most_words": 3},
        training={"epochs": 1},
    )
    result = runs.run(experiment, 0, store=tmp_path / "results", runs=tmp_path / "runs")
    folder = runs.checkpoint_folder(experiment, "course", 0, tmp_path / "runs")
    model, loaded = checkpoints.load(folder)
    assert loaded == experiment
    measured, _ = runs.evaluate(model, experiment, corpus.clips.query("split == 'TEST'"))  # single digits
    assert measured["accuracy"] == result["metrics"]["TEST"]["accuracy"]
    assert isinstance(load_recogniser(folder), StringRecogniser)
