"""Files become clips with labels.

In: a metadata table (TSV) and audio files. Out: a table with one row per clip (`metadata`), training and test sets that
share no speaker (`splits`), and waveforms, float32 of shape (samples,) (`audio`, with `ffmpeg` for recordings of
phones; `audio_names` finds the files that a command is given). `config` has the settings of clips; `corpora` fetches
and checks recordings; `synthesis` generates synthetic speech.
"""
