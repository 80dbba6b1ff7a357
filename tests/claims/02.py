# %% eval-code  The change in training mode is as large as the embedding.
assert relative[1] > 0.5
