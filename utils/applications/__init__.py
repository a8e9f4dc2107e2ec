"""What is built on experiments and trained models, a module or package for each command.

In: trained models, and whatever a command is given: a table of clips, a language, submissions. Out: pages, reports,
corpora and further models.

quickstart        the first two minutes: clips, two models, their accuracy on unseen speakers
demo              the page that recognises digits, and Gradio
benchmark         speed and memory, as ratios to the libraries that one would use instead
language/         a model for a language from its synthetic speech; synthesis_check finds words that are mispronounced
recording/        a page, or the terminal, on which speakers read digits
corpus_check/     faults in a corpus
comparison/       which of several models is better
grading/          what students hand in
web_page          the frame of the pages that corpus_check/, comparison/ and grading/ write
local_server      serves demo and recording/ to this machine alone
"""
