"""Where clips come from: one module a corpus, and the names that `sdr data CORPUS` knows them by."""

from utils.corpora import fsdd, synthetic

CORPORA = {"sdr": fsdd.fetch, "synthetic": synthetic.speak}  # each takes the folder that the clips go to
