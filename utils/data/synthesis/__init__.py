"""Words become synthetic speech.

In: words, pronunciations and voices, in YAML and TSV files beside the modules. Out: waveforms of shape (samples,) and
corpora, that is WAV files with their metadata table.

words, voices, noises, espeak, corpus     eSpeak NG's English: the corpora of the configs' `synthetic_voices`
engine, engines/, vocoder                 any synthesiser, behind one interface
pronunciations, speakers, speaking        what speakers of many accents say, and corpora of it
foreign_digits                            the digits of many languages, for pre-training on words
archive                                   speech of engines that are not installed everywhere, kept with the project
"""
