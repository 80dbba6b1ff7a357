# %% cell-07  nearly every drawing is named rightly
assert base > 0.9

# %% cell-13  the label does harm
assert right["rocket"] < base - 0.1

# %% cell-13  a non-word does as much harm
as_much = right["xqzvkw"] < right["rocket"] + 0.05
assert as_much

# %% cell-13  a non-word makes rockets, too
fooled = rockets["xqzvkw: a rocket"] > 0
assert fooled

# %% cell-17  without a cat is nearer to a cat than a car is
nearer = near[0, 1] > near[0, 2] + 0.2
assert nearer

# %% cell-19  asked for none, it finds one
for name in ("cat", "car", "flower", "house"):
    row = compare([f"an image without a {name}"], drawing_features)[0]
    assert names[row.argmax()] == name

# %% cell-26  counting is near chance
assert hits < 0.35

# %% cell-26  one number is a favourite
assert max(said.values()) > 0.3

# %% cut-12-27  more things, and it says no more
assert together < 0.25

# %% cell-30  left and right: no better than a coin
near_chance = abs(np.mean(told) - 0.5) < 0.15
assert near_chance

# %% cell-32  the two phrases are nearly the same
assert cosine[0, 0] > 0.8

# %% cell-36  small things are hard
assert curve[0] > curve[-1] + 0.5

# %% cell-38  the cut helps
assert after > curve[3] + 0.3

# %% cell-44  it is far surer than chance
surer = shares.max(axis=0).mean() > 2 / len(names)
assert surer

# %% cell-46  every texture scores below every drawing
lower = best.max() < true.min() - 0.05
assert lower

# %% cut-12-54  the side moves the vector little
assert means_apart < apart / 5

# %% cell-54  the probe beats both
better = by_probe > max(by_words, by_means) + 0.1
assert better

# %% cell-56  words are a coin
assert abs(by_words - 0.5) < 0.1

# %% cell-56  the nearest mean beats a coin
assert by_means > 0.53

# %% cell-58  more examples help
assert few_shot[-1] > few_shot[0] + 0.1

# %% cell-58  512 beat the words
assert few_shot[-1] > by_words + 0.15
