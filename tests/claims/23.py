# %% filter-code  Half of the pool is right, and all of what is kept.
assert (captioned == labels)[kept].all()
assert (captioned == labels).sum() == 47 and len(kept) == 27

# %% index-code  The first and the second index encode all, the third nothing.
assert (done.encoded, done.unchanged) == (0, 31)

# %% mix-code  In the mixture, matching pairs score about as low as mismatched ones.
assert abs(some[own].mean() - some[~own].mean()) < 0.1
assert old_cosines[own].mean() > 0.4

# %% threshold-code  Of the old encoder's matching pairs more than nine tenths pass, of the new one's none.
assert (old_cosines[own] > 0.25).mean() > 0.9 and new_cosines.max() < 0.1
assert old_cosines[own].mean() > old_cosines[~own].mean() + 0.3

# %% sigmoid-code  Softmax gives the key a winner, sigmoid gives it none; a cat and a car are both a yes to the sigmoid.
soft, sig = answers["softmax"], answers["sigmoid"]
assert sig[:, 2].max() < 0.1 and soft[:, 2].max() == soft[1, 2] > 0.7
assert sig[0, 0] > 0.95 and soft[0, 0] > 0.95 and sig[1:, 0].max() < 0.2
assert sig[0, 1] > 0.6 and sig[2, 1] > 0.6 and sig[1, 1] < 0.2
assert soft[[0, 2], 1].min() > 0.2

# %% wrong-code  With MobileCLIP's preprocessing the cosine falls to 0.4; a few images get another name.
assert 0.35 < same.min() < 0.47 and 0.85 < named < 0.93
assert (ours[2].argmax(axis=0) == labels).mean() > named + 0.01

# %% cut-code  The cut texts are equal to the new encoder, the whole ones are not to the old.
assert np.allclose(cut[0], cut[1], atol=1e-5) and not np.allclose(whole[0], whole[1], atol=1e-5)

# %% both-ways-code  Nonsense after the end changes nothing for the old, and a lot for the new encoder.
assert with_nonsense(model) > 0.9999 and with_nonsense(new[0]) < 0.9

# %% choose-code  tiny names all; tiny-vit loses a few and gains none; the random one is at chance.
results = {title: measure(name)[0] for title, name in candidates.items()}
assert results["old"].all() and 0.88 < results["tiny-vit"].mean() < 0.97
assert results["random"].mean() < 0.1
