"""A Gradio app, for example for a Hugging Face Space: speak a digit or upload a clip. `python demo/app.py`"""

import argparse

import gradio as gr
import numpy as np

from utils.data.audio import convert_rate
from utils.experiments.checkpoints import load_recogniser

recogniser = load_recogniser()


def recognise(recording: tuple[int, np.ndarray] | None) -> tuple[str, dict[str, float]]:
    """A Gradio recording (rate, samples or (samples, channels)) to a sentence and three probabilities."""
    if recording is None or len(recording[1]) == 0:
        return "Record a digit or choose a file first.", {}
    rate, samples = recording
    waveform = np.asarray(samples, dtype=np.float32).reshape(len(samples), -1).mean(1)
    if np.issubdtype(samples.dtype, np.integer):
        waveform /= np.iinfo(samples.dtype).max
    if not np.isfinite(waveform).all() or not waveform.any():
        return "The recording contains only silence. Is the microphone muted?", {}
    if len(waveform) > 10 * rate:
        return f"That is {len(waveform) / rate:.0f} s long; a clip of one digit may last 10 s at most.", {}
    (prediction,) = recogniser.recognise([convert_rate(waveform, rate, recogniser.features.sample_rate)])
    sentence = "That does not sound like a digit." if prediction.digit is None else f"Recognised as {prediction.digit}."
    return sentence, {str(digit): probability for digit, probability in prediction.ranking[:3]}


app = gr.Interface(
    recognise,
    gr.Audio(sources=["microphone", "upload"], type="numpy", label="One digit, in English"),
    [gr.Textbox(label="Prediction"), gr.Label(num_top_classes=3, label="The three most probable digits")],
    title="Say a digit",
    description=f"A network of {sum(w.numel() for w in recogniser.model.parameters()):,} parameters, trained on other "
    "people's voices. Recordings are deleted within two minutes.",
    flagging_mode="never",
    delete_cache=(60, 60),  # seconds: how often Gradio deletes recordings from its disk, and how old they may get
    analytics_enabled=False,
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Open the Gradio app.")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--browser", action="store_true", help="open it in a browser")
    given = parser.parse_args()
    app.launch(server_port=given.port, inbrowser=given.browser)
