# %% baseline  All drawings are named correctly.
assert (named(plain) == own).all()

# %% without-code  Each of the four finds what it should not; the figure is as described.
assert [names[j] for j in indices[:, 0]] == unwanted
assert [[names[j] for j in row] for row in indices[[0, 1], 1:2]] == [["dog"], ["bus"]]

# %% without-all  With and without find the same; opposites are close, different objects are not.
assert (first == own).mean() > 0.9
opposite = compare(positive, helpers.encode_texts(model, negative)).diagonal().mean()
assert opposite > 0.7 and different.mean() < 0.15
harmless = compare(positive, helpers.encode_texts(model, neutral)).diagonal().mean()
assert opposite + 0.05 < harmless < 0.95 and opposite - different.mean() > 3 * (harmless - opposite)

# %% side-code  The relation is a coin toss, the objects are recognized.
assert max(abs(np.mean(relation) - 0.5), abs(np.mean(exchanged) - 0.5)) < 0.15 and np.mean(control) > 0.9

# %% side-texts  Side and order of words hardly move a text; another object does.
near = [compare([a], helpers.encode_texts(model, [b]))[0, 0] for a, b in pairs]
assert min(near[0], near[1], near[3]) > 0.91 and near[2] < 0.87

# %% count-mean  Counting is near chance; three and five are the favourites; more objects give no higher answer.
assert answers.trace() / answers.sum() < 0.32 and favourites > 0.55 and np.mean(recognized) > 0.78
assert all(row.argmax() in (2, 4) for row in answers)
assert average[4] < average[0] + 0.2 and answers[0].argmax() == 4 and answers[0, 4] > 15

# %% label-code  Letters alone do next to no harm, the box some, both the most; the word does no more than the nonsense.
assert min(right["rocket", "letters"], right["xqzvkw", "letters"]) > 0.93
for w in ("rocket", "xqzvkw"):
    assert right[w, "both"] < right[w, "box"] - 0.1 and right[w, "both"] < 0.82 and right[w, "box"] > 0.75
    assert 0.1 < right[w, "box"] - right[w, "both"] < 0.3
assert right["xqzvkw", "both"] < right["rocket", "both"] + 0.05

# %% small-code  Small things are lost; cutting the small image helps a little, cutting the original helps entirely.
asis, cutsmall, cutlarge = ways.values()
assert asis[0] == 1 and asis[1] > 0.9 and asis[3] < 0.5 and asis[4] < 0.2
assert asis[3] + 0.1 < cutsmall[3] < 0.75 and min(cutlarge) > 0.96 and cutsmall[4] < 0.4

# %% strange-cosines  Every texture is a tree; half of them with more than a half; all below every drawing.
assert {names[k] for k in chances.argmax(axis=0)} == {"tree"} and np.sort(chances.max(axis=0))[2] > 0.6
assert table.max() < known.max(axis=0).min() - 0.08

# %% means-code  Words are a coin, the means a little better, the probe far better.
assert abs(by_words - 0.5) < 0.1 and by_words + 0.05 < by_means < 0.75 and by_probe > by_means + 0.12
assert between < apart.mean() / 5 and by_probe > results["probe, C = 1"] + 0.1

# %% few-code  More examples help, from near chance with 8 to far above with 400.
assert few_shot[0] < 62 and few_shot[-1] > few_shot[0] + 20 and few_shot[2] > few_shot[0] + 5
