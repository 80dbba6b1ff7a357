# %% exam-code  One of sixteen answers is wrong: the drawing of the banana prefers the caption of the moon.
assert by_row == n and by_column == n - 1 and cosines[:, 0].argmax() == 1

# %% circle-code  The valley is beyond its own image.
assert 2.4 < angles[min(range(100), key=lambda k: loss_at(angles[k]).item())] < 2.9

# %% curves-code  Both learn; with batches of 48, the sigmoid loss is ahead; smaller batches are worse for both.
final = {k: np.mean([r[0][-1] for r in v]) for k, v in runs.items()}
assert final["sigmoid", 48] > 0.88 and final["InfoNCE", 48] < 0.84 and min(final.values()) > 0.4
assert final["sigmoid", 48] > final["InfoNCE", 48] + 0.1
fast = [train(loss_of, 48, 0, rate=0.3)[0][-1] for loss_of in (info_nce, sigmoid_loss)]
assert fast[0] > fast[1] + 0.2, "the order is reversed"
assert final["sigmoid", 48] > final["sigmoid", 8] + 0.08 and final["InfoNCE", 48] > final["InfoNCE", 8]

# %% yes-code  The sigmoid tells matching from mismatched pairs.
assert yes[own].mean() > 0.7 and yes[~own].mean() < 0.03
