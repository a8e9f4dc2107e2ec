"""Waveforms become predictions.

In: a waveform (samples,) or an audio file. Out: a digit, or None for a non-digit, with its confidence (`recogniser`,
`calibration`); the words of a longer recording (`endpointing`); and front end and model as one ONNX file (`export`).
"""
