"""Words become synthetic speech.

In: words, pronunciations and voices, in YAML and TSV files beside the modules. Out: waveforms of shape (samples,) and
corpora, that is WAV files with their metadata table.

words, voices, non_speech, corpus           eSpeak NG's English: the corpora of `synthetic_voices` and non-digits
espeak_library                              eSpeak NG itself, for these corpora and as an engine
engine, engines/, vocoder, workers          any synthesiser, behind one interface
speakers                                    a voice and its way of speaking: a word becomes a clip and a row of a table
pronunciations, accents                     speakers of the accents in a table of pronunciations (`synthetic_accents`)
archive, archive_speech                     such speakers of other engines, kept with the project (`synthetic_language`)
selection                                   which of these clips are trained on
lexicon, language_speech                    any language that eSpeak NG can count in, by all engines (`sdr language`)
foreign_digits                              the digits of many languages, for pre-training on words
"""
