"""Predictions become numbers, tables and pictures.

In: labels, predictions and speakers (clips,). Out: `metrics`, paired tests (`significance`), the files of the `results`
store, the `tables` that are rendered from it into `documents`, and figures.
"""
