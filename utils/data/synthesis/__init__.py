"""Words become synthetic speech.

In: `words` and `voices`, each with its list in a YAML file beside it. Out: waveforms of shape (samples,) (`espeak`,
`noises`) and whole corpora, that is WAV files with their metadata table (`corpus`).
"""
