"""Files become clips with labels.

In: a metadata table (TSV) and audio files. Out: a table with a row per clip (`metadata`), who is trained on and who
is tested on (`splits`), and waveforms, float32 of shape (samples,) (`audio`). `corpora` fetches recordings;
`synthesis` makes synthetic speech.
"""
