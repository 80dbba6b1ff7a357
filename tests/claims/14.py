# %% c16  the nearest place is a neighbour
assert share > 0.9

# %% c36  the first block names next to none
assert max(shares[:2]) < 0.3

# %% c36  the last one names most
assert shares[-1] > 0.8

# %% c36  the last one adds some
assert shares[-1] > shares[-2] + 0.1

# %% c37a  examples find the name earlier
assert known > shares[2] + 0.5

# %% c41  heads prefer ink
assert share > ink.mean() + 0.1
