"""Where clips come from: one module a corpus, each with a function that makes a folder of clips and a table ready."""
