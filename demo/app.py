"""A Gradio app, for example for a Hugging Face Space: speak a digit or upload a clip. `python demo/app.py`"""

import argparse

import gradio as gr

from utils import InputError
from utils.experiments.checkpoints import load_recogniser

recogniser = load_recogniser()


def recognise(recording: str | None) -> tuple[str, dict[str, float]]:
    """The path of a recording, of any kind that `sdr predict` reads, to a sentence and three probabilities."""
    if recording is None:
        return "Record a digit or choose a file first.", {}
    try:
        (prediction,) = recogniser.predict([recording])
    except InputError as error:
        return str(error).replace(str(recording), "The recording"), {}
    sentence = "That does not sound like a digit." if prediction.digit is None else f"Recognised as {prediction.digit}."
    return sentence, {str(digit): probability for digit, probability in prediction.ranking[:3]}


app = gr.Interface(
    recognise,
    gr.Audio(sources=["microphone", "upload"], type="filepath", label="One digit, in English"),
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
