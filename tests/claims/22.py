# %% cell-09  most of the ten are that thing
assert np.mean(same) >= 0.5

# %% cell-17  nearly all ten are found
assert kept > 0.98

# %% cell-30  of 50 candidates, nearly all ten are found
assert fifty > 0.9

# %% cell-36  a quarter of the rows holds far more of them
clear = np.interp(0.25, *real) > np.interp(0.25, *white) + 0.15
assert clear

# %% cell-43  from anywhere, hardly a walk arrives
assert anywhere < 0.2

# %% cell-43  from the best of 62 rows, most do
assert from_above > 0.5

# %% cell-43  most rows are never looked at
assert some < len(rows) / 4
