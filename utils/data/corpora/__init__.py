"""Where recordings come from: one module a corpus, each with a function that makes its clips and its table ready."""
