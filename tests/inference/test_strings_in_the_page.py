"""The page's decoder of strings, in JavaScript, decides what Python's decides."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import speak

from utils.inference.prefix_beam import PrefixBeam
from utils.inference.strings import PlattScaling, Steps, StringStream, with_silence
from utils.paths import PROJECT

RATE = 8000
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


def node(script: str, given: dict, folder: Path):
    """What a script prints as JSON; `given` is what it is given."""
    (folder / "given.json").write_text(json.dumps(given))
    source = (PROJECT / "demo/src").as_uri()
    start = f"""
        import fs from "node:fs";
        import {{ PrefixBeam }} from "{source}/prefix_beam.js";
        import {{ StringStream, withSilence }} from "{source}/strings.js";
        const given = JSON.parse(fs.readFileSync({json.dumps(str(folder / "given.json"))}));
    """
    command = ["node", "--input-type=module", "-e", start + script]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def uncertain(steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (steps, 11), between which it is hard to choose, and the seconds (steps, 2) that have passed."""
    draw = np.random.default_rng(seed)
    probabilities = draw.dirichlet([0.05] * 10 + [0.6], size=steps)
    passed = np.sort(draw.uniform(0.0, 0.5, (steps, 2)))[:, ::-1]
    return probabilities, passed


def test_the_beam(tmp_path):
    probabilities, passed = uncertain(600)
    spans = 0.04 * np.arange(600)[:, None] - passed
    beam = PrefixBeam()
    digits = beam.push(probabilities, spans) + beam.flush()
    wanted = [[digit.label, digit.named.step, digit.probabilities[digit.label]] for digit in digits]
    assert len(wanted) > 50
    script = """
        const beam = new PrefixBeam();
        const digits = given.rows.flatMap((row, step) => beam.push(row, ...given.spans[step]));
        const all = [...digits, ...beam.flush()];
        const found = all.map(({ label, named, probabilities }) => [label, named.step, probabilities[label]]);
        console.log(JSON.stringify(found));
    """
    found = node(script, {"rows": probabilities.tolist(), "spans": spans.tolist()}, tmp_path)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("size", [80, 801, 16_000])
def test_the_stream_asks_for_the_same_pieces_and_finds_the_same_words(tmp_path, size):
    divided, scaling, samples = Steps(hop=80, margin=2, stride=4, context=16), PlattScaling(0.9, 1.9), 12 * RATE + 33
    probabilities, passed = uncertain(1 + samples // 320)
    probabilities[100:180] = np.eye(11)[10]  # silence, in which the state is made anew
    calls = []

    def label(kept, frames, steps, state):
        """The next steps, whatever is heard; the state counts them."""
        first = 0 if state is None else state
        calls.append([len(kept), frames.start, frames.stop, steps.start, steps.stop])
        own = slice(first, first + len(steps))
        return probabilities[own], passed[own], own.stop

    stream = StringStream(SimpleNamespace(label=label, divided=divided, scaling=scaling, sample_rate=RATE))
    sound = np.zeros(samples, np.float32)
    words = [word for start in range(0, samples, size) for word in stream.push(sound[start : start + size])]
    words += stream.flush()
    assert len(words) > 20
    script = """
        const calls = [];
        const label = async (kept, frames, steps, [first]) => {
          calls.push([kept.length, ...frames, ...steps]);
          const end = first + steps[1] - steps[0];
          const own = (rows) => Float32Array.from(rows.slice(first, end).flat());
          const [labels, passed] = [own(given.rows), own(given.passed)];
          return { labels: labels.map(Math.log), passed, next: [end] };
        };
        const stream = new StringStream(label, { ...given.facts, sample_rate: 8000, units: 1 });
        const words = [];
        for (let at = 0; at < given.samples; at += given.size) {
          words.push(...(await stream.push(new Float32Array(Math.min(given.size, given.samples - at)))));
        }
        words.push(...(await stream.flush()));
        const found = words.map(({ digit, probability, start, end, probabilities }) =>
          [digit, probability, start, end, ...probabilities]);
        console.log(JSON.stringify({ calls, found }));
    """
    given = {"rows": probabilities.tolist(), "passed": passed.tolist(), "samples": samples, "size": size}
    answer = node(script, given | {"facts": vars(divided) | vars(scaling)}, tmp_path)
    assert answer["calls"] == calls
    wanted = [
        [word.prediction.digit, word.prediction.probability, word.start, word.end]
        + [chance for _, chance in sorted(word.prediction.ranking)]
        for word in words
    ]
    np.testing.assert_allclose(answer["found"], wanted, atol=1e-3)


@pytest.mark.parametrize("before", [0.0, 0.5])
@pytest.mark.parametrize("after", [0.0, 0.5])
def test_recordings_get_silence_at_the_same_ends(tmp_path, before, after):
    words = [speak(3, "eve", 0), np.zeros(RATE // 2, np.float32), speak(5, "eve", 0)]
    sound = np.pad(np.concatenate(words), (round(before * RATE), round(after * RATE)))
    padded, lead = with_silence(sound, RATE)
    assert (lead > 0, len(padded) > len(sound) + lead) == (not before, not after)
    script = """
        const { padded, lead } = withSilence(Float32Array.from(given.sound), 8000);
        console.log(JSON.stringify({ padded: [...padded], lead }));
    """
    answer = node(script, {"sound": sound.tolist()}, tmp_path)
    np.testing.assert_allclose(answer["padded"], padded, atol=1e-7)
    assert answer["lead"] == lead / RATE
