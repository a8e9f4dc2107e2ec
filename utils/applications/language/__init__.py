"""From nothing to a model that recognises a language's digits: `sdr language`.

In: the ten words of a language, recordings if there are any. Out: a checkpoint with a model card, and what to do next.

build      all of it, step by step
training   on synthesis alone, then on recordings too; cross-validation over the recorded speakers
results    what the model recognises; the files of its folder
report     the same in words: its card, which digits sound alike, what to do next
"""
