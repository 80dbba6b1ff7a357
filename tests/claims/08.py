# %% start-code  The tree is a tree; cat and car are a car; the house is a car with more than 90 %.
assert chances.argmax(axis=0).tolist() == [3, 2, 2]
assert chances[2, 2] > 0.9 and 0.7 < chances[2, 1] < 0.95 and chances[0, 1] < 0.3

# %% second  The less likely one gets less than a tenth.
assert 0.06 < lower.mean() < 0.1

# %% thresholds  Thresholds range from 0.07 (book) to 0.25 (cake); the common one claims fish too often.
assert names[thresholds.argmin()] == "book" and names[thresholds.argmax()] == "cake"
assert thresholds.max() > 3 * thresholds.min()
assert (scores[fish, absent] > one_for_all).mean() > 0.15
assert (scores[fish, absent] > thresholds[fish]).mean() < 0.12

# %% labels  Thresholds give tree; cat and car; nothing.
assert (cosines > theta[:, None]).T.tolist() == [[0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]
assert abs(cosines - theta[:, None]).min() > 0.01

# %% half-wrong-code  Most objects found, near 5 % of the others, and more than half of the labels wrong.
assert yes[true].mean() > 0.75 and 0.04 < yes[~true].mean() < 0.09
assert 0.51 < yes[~true].sum() / yes.sum() < 0.65 and 1.8 < wrong < 2.1

# %% sigmoid-code  Slope and bias, roughly.
assert 30 < a < 40 and -9 < b < -6

# %% sigmoid-three  Cat and car both get more than 60 %, the house nothing.
assert alone[0, 1] > 0.6 and alone[2, 1] > 0.8 and alone[1, 1] < 0.1
assert alone[:, 2].max() < 0.1 and alone[3, 0] > 0.9

# %% calibrated  On new scenes told and seen agree within eight points; not on single objects.
for kind, (chance, true) in kinds.items():
    for low, high in [(0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)]:
        part = (chance >= low) & (chance < high)
        if kind == "new scenes":
            assert abs(chance[part].mean() - true[part].mean()) < 0.08
    part = (chance >= 0.5) & (chance < 0.9)
assert chance[part].mean() > 0.6 and true[part].mean() < 0.3

# %% open-code  On average about 70 % for unknown objects, most of them above 50 %.
assert highest[known].mean() > 0.95 and 0.6 < highest[~known].mean() < 0.8
assert (highest[~known] > 0.5).mean() > 0.75 and 0.12 < (highest[~known] > 0.95).mean() < 0.18

# %% open-compare  The cosine lets less than half as many pass, and wins in most choices.
mean = np.mean(passed, axis=0)
assert mean[1] < mean[0] / 2 and better > 0.7 and abs(np.subtract(*np.mean(stayed, axis=0))) < 0.02

# %% empty  Grey is a moon with about 90 %, the pixels a tree, the shapes a flower.
assert [names[i] for i in table.argmax(axis=0)] == ["moon", "tree", "flower"]
assert 0.85 < certainty[:, 0].max() < 0.95 and table.max() < own.mean() - 0.15

# %% distractors-code  The nouns catch about twice as many as the phrases.
assert caught(of_nouns)[0] > 0.65 and 0.28 < caught(of_phrases)[0] < 0.4 and caught(of_nouns)[1] < 0.03

# %% fair-plot  Four phrases beat four nouns, and eight nouns the phrases; hardly any known object is lost.
assert curve[2] + 5 < phrases_caught < curve[3] and lost.max() < 2
assert 5 < curve[0] < 12 and curve[-1] > 65
