# %% cell-33  new things are far less certain
wider = np.ptp(wide[True, 5]) / np.ptp(wide[False, 5])
assert wider > 2

# %% cell-33  who asks for 1 % stays under 5 %
assert wide[True, 1][1] < 0.05

# %% cell-35  hard ones are lost
assert np.mean(recalls[1:]) < recalls[0]

# %% cell-38  many images have a false alarm
assert of_images > 0.3

# %% cell-40  cats get above far more often
assert recall > 5 * fpr

# %% cell-40  most images above show no cat
assert precision < 0.4

# %% cell-45  a cat mostly beats another image
assert auc > 0.75

# %% cell-57  grey gets a yes
assert table[:, 0].max() > threshold

# %% cell-57  it prefers one although nothing is there
sure = (shares > 2 / len(names)).all()
assert sure

# %% cell-59  the cosine is ahead
assert auc["cosine"] > auc["share"]

# %% boot-31  the gain is not sure
assert low < 0 < high

# %% boot-33  the ensemble is less surprised
assert high < 0
