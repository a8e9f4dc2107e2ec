"""What may be wrong with a corpus, before anybody trains on it: `sdr data check`.

In: a metadata table and its clips. Out: a `Report` of findings, each an error, a warning or a note.

measures   of one clip: level, clipping, words, fingerprint, features
clips      what is wrong with single clips
balance    labels, speakers, splits and sample rates of the table
copies     clips with the same recording
labels     labels that a model of the other speakers disagrees with
voices     speakers who sound like one another
check      all of these
page       the report as a web page
"""
