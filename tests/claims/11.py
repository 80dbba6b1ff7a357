# %% position-code  The crop is nearest in the middle and worst at the edge; pad and squash are close.
c, p, s = map(np.array, (scores["crop"], scores["pad"], scores["squash"]))
assert c[0, 0] > max(p[0, 0], s[0, 0]) + 0.2 and c[0, 1] == 1
assert c[-1, 0] < min(p[-1, 0], s[-1, 0]) - 0.08 and c[-1, 1] < 0.65
assert s[2, 1] > c[2, 1] and c[3, 0] > max(p[3, 0], s[3, 0])
assert min(p[:, 1].min(), s[:, 1].min()) > 0.82 and abs(p[:, 0] - s[:, 0]).max() < 0.1

# %% squares-code  The three squares are good at the edge.
assert cosine > 0.9 and named.mean() == 1

# %% squares-cost-code  Three squares raise the wrong pairs' scores.
assert (three > threshold).mean() > 0.07

# %% size-code  Beyond the model's side nothing changes; at half of it all names are right, at an eighth few.
assert cosines[3:].min() > 0.98 and accuracies[2] == 1 and accuracies[0] < 0.5
assert 0.8 < cosines[2] < 0.93 and cosines[0] < 0.2

# %% changes-plot  Five changes keep name and embedding, blur keeps the names only, turns lose half of them.
kept = ["JPEG, quality 10", "mirrored", "in grey", "negative", "shifted"]
assert all(after[k][0] > 0.8 and after[k][1] == 1 for k in kept)
assert 0.45 < after["blurred"][0] < 0.6 and after["blurred"][1] == 1
assert all(a < 0.47 and 0.4 < b < 0.6 for a, b in (after["quarter turn"], after["upside down"]))

# %% wording-code  Capitals, the full stop, and the order of words do not matter; spelling does.
assert with_text[1:3].min() > 0.98
assert with_text[3:6].max() < 0.95 and with_text[3:6].min() > 0.65
assert with_text[6] < 0.65 and with_text[7] < 0.35 and abs(with_text[8:]).max() < 0.2
assert with_cat[[7, 8, 9]].max() < with_cat[6] and with_cat[6] < with_cat[3:6].min() - 0.1

# %% order-code  Shuffled prompts stay where they are and find their drawings, another name is far away.
assert cosine > 0.98 and found.mean() > 0.96 and other < 0.2

# %% late-code  The first place counts about twice as much as the last, which is still above nothing.
assert by_place[0] > 1.8 * by_place[-1] > 1.8 * (without + 0.08)
assert min(by_place[:3]) > max(by_place[3:]) + 0.04
