"""Which of several models is better: `sdr compare`.

In: checkpoints, runs or rows of the tables. Out: a `Comparison`, in words and as a web page.

compare   accuracy, paired tests and cost on the same clips
report    a comparison as text, and as a page with players
"""
