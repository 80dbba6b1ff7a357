# %% stages-code  With tiny, decoding and resizing take longer than encoding, and the shortcut is faster.
assert whole["decode"] + whole["resize"] > whole["encode"]
assert sum(shortcut.values()) < sum(whole.values())

# %% fast-code  It hardly moved.
assert 1 - kept < 0.001 and exact[0] @ exact[1] < 0.9

# %% padding-code  The longest has eight tokens, and cutting is faster.
assert longest == 8 and took["cut"] < took["77 positions"]

# %% batch-code  Batches are faster than single images.
assert max(rates) > rates[0]

# %% precision-code  Texts and images hardly turn.
for precise, rough_rows in zip(*features.values(), strict=True):
    turned = (helpers.normalize(precise) * helpers.normalize(rough_rows)).sum(axis=1)
    assert turned.min() > 0.998

# %% swap-code  No best text moved, and few pairs swapped.
assert moved.sum() == 0 and swapped.mean() < 0.05 and delta < 0.01
assert (first - second).min() > 2 * delta
