# %% filter-code  Half of the pool is right, and all of what is kept.
assert (captioned == labels)[kept].all()
assert (captioned == labels).sum() == 47 and len(kept) == 27

# %% mix-code  In the mixture, matching pairs score about as low as mismatched ones.
assert abs(some[own].mean() - some[~own].mean()) < 0.1
assert old_cosines[own].mean() > 0.4

# %% sigmoid-code  The softmax says one text for each image, the sigmoid both and none.
assert (p[:, 0] > 0.8).all() and (p[:, 1] < 0.1).all()
assert (helpers.probabilities(made_up, 100).argmax(axis=0) == [0, 1]).all()

# %% wrong-code  With MobileCLIP's preprocessing the cosine falls to 0.4; a few images get another name.
assert 0.35 < same.min() < 0.47 and 0.85 < named < 0.93
assert (ours[2].argmax(axis=0) == labels).mean() > named + 0.01

# %% choose-code  tiny names all; tiny-vit loses a few and gains none; the random one is at chance.
assert results["old"][0].all() and 0.88 < results["tiny-vit"][0].mean() < 0.97
assert results["random"][0].mean() < 0.1
