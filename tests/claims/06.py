# %% columns-code  Each drawing gets its own text.
best = [texts[i] for i in similarity.argmax(axis=0)]
assert best == ["a cat", "a dog", "a vehicle", "a maze"]

# %% rows-code  "a pet" suits cat and dog; "a banana" suits nothing.
pet, banana = (similarity[texts.index(t)] for t in ("a pet", "a banana"))
assert pet[:2].min() > pet[2:].max() and banana.max() < pet[:2].min()

# %% low-code  No cosine reaches 0.9.
assert similarity.max() < 0.9

# %% softmax-code  Unscaled, no text gets half of the probability; scaled, "a cat" gets nearly all.
assert plain.max() < 0.5 and scaled.argmax() == 0 and scaled.max() > 0.8

# %% shift-code  A wrong text gets more than 90 %.
assert before.max() > 0.9

# %% recall-code  One mistake: the banana is taken for the moon.
assert [captions[j] for j in np.flatnonzero(best != np.arange(n))] == ["a yellow banana"]
assert matching.mean() > mismatched.mean() + 1.5 * mismatched.std()

# %% topk-code  The first of each query, as the text alternative says.
assert [captions[j] for j in indices[:, 0]] == ["a cup of coffee", "a dog", "a red car"]

# %% ex3-code  Only the cat without a face fools tiny.
assert cosines[2] > similarity[0, 0] + 0.05 and cosines[:2].max() < similarity[0, 0] - 0.05
more = helpers.encode_texts(model, ["a cat face", "a grinning cat", "a black cat"])
face, grin, black = helpers.cosine_similarity(more, image_features)[:, 0]
assert abs(face - cosines[2]) < 0.03 and grin > similarity[0, 0] + 0.03 and black < similarity[0, 0] - 0.05
