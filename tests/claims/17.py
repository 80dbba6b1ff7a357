# %% measure-code  It starts near chance.
assert all(zero_shot(mini, part).all(axis=1).mean() < 0.1 for part in TESTS)

# %% paths  Momentum and Adam arrive where descent is slow or explodes.
ends = [loss_at(path[-1]) for path in runs.values()]
assert max(ends[2:]) < 0.3 < ends[0] < ends[1]

# %% train-code  The loss starts near guessing and falls below a tenth of it.
assert 0.8 * guess < losses[0] and np.mean(losses[-25:]) < 0.1 * guess

# %% tables  The diagonal stands out at the end.
last, own = log["table"][-1], torch.eye(28, dtype=torch.bool)
assert last[own].mean() > last[~own].mean() + 0.4
assert log["table"][0].std() < 0.1

# %% curves  The scale grows, and the gap shrinks to a fraction.
assert log["scale"][-1] > log["scale"][0] + 1
assert log["gap"][0] > 0.9 and log["gap"][-1] < 0.45

# %% unseen-code  Far above chance on unseen combinations.
colour, name = zero_shot(mini, "unseen").mean(axis=0)
both = zero_shot(mini, "unseen").all(axis=1).mean()
assert min(colour, name) >= both > 0.4
assert zero_shot(mini, "seen").all(axis=1).mean() > 0.7

# %% gap-code  Two narrow cones at the start; spread at the end.
start_images, start_texts = features(new_clip(seed=0))
assert alike(start_images) > 0.9 and alike(images) < 0.5

# %% groups  Two candidates: a lower loss, a lower accuracy, colours much better than objects.
assert at_end[0] < at_end[1] - 0.05 and right[0] + 0.2 < right[1]
assert by_part[0][0] > by_part[0][1] + 0.3

# %% too-high-code  It guesses, because all images look alike, and all captions.
assert abs(high - guess) < 0.1
assert alike(images) > 0.98 and alike(texts) > 0.98

# %% half-clip  float16 loses most, float32 none.
assert lost.float().mean() > 0.8

# %% validation-code  The loss varies by a factor of three and more.
assert max(curve) > 3 * min(curve)
