# %% nothing-code  Each of them exceeds 0.1 with some image, and none is above 0.12 on average.
assert empty_scores.max(axis=1).min() > 0.1 and empty_scores.mean(axis=1).max() < 0.12

# %% hills-code  The floor is close to 0, and matching pairs are far above it.
assert 0.02 < floor < 0.06 and 0.06 < spread < 0.1 and 0.4 < matching.mean() < 0.5

# %% unusual  At 0.25, fewer than one in a hundred mismatched pairs and most matching pairs score higher.
assert 0.003 < (mismatched > 0.25).mean() < 0.012 and (matching > 0.25).mean() > 0.94
assert 2.5 < (0.25 - floor) / spread < 3

# %% kinds-code  (c) is far above (a), and (b) equals the mismatched captions within 0.02.
means = [values.mean() for values in kinds.values()]
assert abs(means[0] - means[1]) < 0.02 and means[2] > means[1] + 0.3 and means[3] > means[2] + 0.3

# %% plane  Six captions and three are far out, and their images closer to the middle.
for axis_of, limit, count in ((0, 0.4, 6), (1, 0.53, 3)):
    out = abs(text_points[:, axis_of]) > limit
    assert out.sum() == count and len(set(np.sign(text_points[out, axis_of]))) == 1
    assert (abs(text_points[out, axis_of]) - abs(image_points[out, axis_of])).min() > 0.1

# %% nearest  The plane hides nearly all of it.
assert in_plane < 0.2 and in_all > 0.95

# %% gap-code  The gap of tiny is beyond all rounds of tosses, and small.
assert by_chance.max() + 0.005 < gap < 0.3 and abs(by_chance.mean() - 0.19) < 0.01

# %% without-gap  Without the gap, hardly anything changes.
assert abs(to_captions - matching.mean()) < 0.04 and abs(to_images - second_image) < 0.04

# %% push-code  The new gap is as large as OpenAI's.
assert 0.8 < new_gap < 0.87
assert np.allclose(among_images, between * 0.36 + 0.64, atol=1e-5)

# %% real-print  Clean images separate nearly perfectly, small objects worse, noise worst.
assert auc["clean"] > 0.995 and auc["clean"] > auc["small"] + 0.1 and auc["small"] > auc["noisy"] + 0.03
assert abs(scores["small"][0][~match_of_4].mean() - floor) < 0.04
