# %% eval-code  In training mode the change is about one and a half times the length of the embedding.
assert 1.3 < relative[1] < 1.7
