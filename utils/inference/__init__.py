"""A waveform becomes an answer.

In: a waveform (samples,) or an audio file. Out: a digit or none, with its probability (`recogniser`, `calibration`),
the words of a longer recording (`endpointing`), and the whole way as one ONNX file (`export`).
"""
