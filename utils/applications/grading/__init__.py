"""What a submitted model is worth on clips that its author has never had: `sdr grade`.

In: a submission (a checkpoint, a fork of the repository, or a ZIP of either) and a metadata table. Out: a `Grade`.

submission   what was handed in: its checkpoint, its modules, what it changed in the project
sandbox      runs the submission's code in a process of its own, with limits
seal         where that process starts: the limits that it puts on itself
worker       what it then does: from features to logits, and the contract
conduct      what logits tell about a model: does it look at its batch, do its predictions follow from its weights?
training     what it was trained on: speakers and recordings that it is tested with
references   the project's own checkpoints on the same clips
grade        all of these
text         a grade in words
page         a grade as a web page
gradebook    many submissions into one CSV file
"""
