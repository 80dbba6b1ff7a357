# %% cell-50  about half of the labels are wrong
assert wrong > 0.4

# %% cell-53  it is sure of what can't be right
assert unknown > 2 / 10

# %% cell-56  many nouns beat a few vague words
assert many > loose + 0.1

# %% cell-56  four against four, the vague words win
assert loose > few
