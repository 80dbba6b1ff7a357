# %% cell-6  captions beat empty words
highest = null_scores.mean(axis=1).max()
assert right.mean() > highest + 0.1

# %% cell-8  right pairs lie far above the floor
assert z_scores.mean() > 2

# %% cell-10  two like images come first
assert means[3] > means[1] + 0.2

# %% cell-10  (a) beats (b)
assert means[1] > means[2] + 0.2

# %% cell-19  all dimensions find what two hide
assert full > 0.9 > flat

# %% cell-21  the gap is small
assert chance < gap < 2 * chance

# %% cell-31  nearly kept
for asked in (0.01, 0.05, 0.10):
    fpr, recall = promise(asked, every, first, every, ~first)
    assert abs(fpr - asked) < 0.003 + 0.3 * asked
