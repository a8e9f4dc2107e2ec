"""Predictions become numbers, tables and figures.

In: labels, predicted digits and speakers, each (clips,). Out: `metrics`, paired tests (`significance`), the files of
the `results` store, the `tables` rendered from it into `documents`, and plots of results (`figures`) and of clips
(`speech_figures`).
"""
