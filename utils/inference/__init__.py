"""Waveforms become predictions.

In: a waveform (samples,), an audio file or the `microphone`. Out: a digit, or None for a non-digit, with its confidence
(`recogniser`, `calibration`); the words of a longer recording (`endpointing`); whether a recorded word is good enough
to keep (`utterance`); front end and model as one ONNX file (`export`, with `onnx_front_end` and `onnx_graph`), which
can answer without PyTorch (`exported`); and the answers of off-the-shelf recognisers (`peers`).
"""
