"""A Gradio app, for example for a Hugging Face Space: speak digits or upload a clip. `python demo/app.py`"""

import argparse

import gradio as gr

from utils import InputError
from utils.experiments.checkpoint_folder import STRINGS, load_quickly

recogniser, string_recogniser = load_quickly(), load_quickly(STRINGS)


def recognise(recording: str | None, several: bool = False) -> tuple[str, dict[str, float]]:
    """The path of a recording, of any kind that `sdr predict` reads, to a sentence and three probabilities.

    With `several`, as for a phone number, to the digits alone.
    """
    if recording is None:
        return "Record a digit or choose a file first.", {}
    try:
        if several:
            digits = [str(word.prediction.digit) for word in string_recogniser.predict_words(recording)]
            return f"Recognised as {' '.join(digits)}." if digits else "No digit was found.", {}
        (prediction,) = recogniser.predict([recording])
    except InputError as error:
        return str(error).replace(str(recording), "The recording"), {}
    sentence = "That does not sound like a digit." if prediction.digit is None else f"Recognised as {prediction.digit}."
    return sentence, {str(digit): probability for digit, probability in prediction.ranking[:3]}


app = gr.Interface(
    recognise,
    [
        gr.Audio(sources=["microphone", "upload"], type="filepath", label="A digit or a phone number, in English"),
        gr.Checkbox(label="Several digits, with or without pauses"),
    ],
    [gr.Textbox(label="Prediction"), gr.Label(num_top_classes=3, label="The three most probable digits")],
    title="Say a digit",
    description="Small networks, trained on other people's voices. Recordings are deleted within two minutes.",
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
