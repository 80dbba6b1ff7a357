# %% cell-21  it hardly moved
assert 1 - same < (1 - a @ b) / 10

# %% cell-51  texts and images hardly turn
for precise, rough_rows in zip(*features.values(), strict=True):
    turned = (helpers.normalize(precise) * helpers.normalize(rough_rows)).sum(axis=1)
    assert turned.min() > 0.99

# %% cell-53  nearly all keep their best text
assert moved.mean() < 0.1
