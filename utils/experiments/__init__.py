"""From a YAML file to clips, a trained model, a result and a checkpoint.

In: a YAML file, read into one frozen dataclass per section (`config`). Out: the clips of its protocol (`clips`), a
model trained in all its stages (`fitting`, `stages`), a result and a checkpoint (`runs`, `checkpoints`), and the tables
of results (`reproducing`, `reporting`).

experiments    config, models, contract, clips, leakage, fitting, stages, mixtures, field_tests, open_set, runs,
               fingerprints, renames, notebook
tables         reproducing, cluster, peer_results, reporting, verification
checkpoints    checkpoints, checkpoint_folder, model_card, hub, published, calibrating, exporting
"""
