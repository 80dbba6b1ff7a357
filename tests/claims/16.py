# %% exam-code  One of sixteen answers is wrong: the drawing of the banana prefers the caption of the moon.
assert by_row == n and by_column == n - 1 and cosines[:, 0].argmax() == 1

# %% circle-code  The valley is beyond its own image.
assert 2.4 < angles[min(range(100), key=lambda k: loss_at(angles[k]).item())] < 2.9

# %% curves-code  At a rate of 0.1 the sigmoid loss ends ahead; at 0.3 it learns next to nothing: its scale goes to 0.
final = {k: np.mean([r[0][-1] for r in v]) for k, v in runs.items()}
assert final["sigmoid", 0.1] > 0.88 and 0.55 < final["InfoNCE", 0.1] < 0.84
assert final["sigmoid", 0.1] > final["InfoNCE", 0.1] + 0.1
assert final["sigmoid", 0.3] < 0.25 and 0.5 < final["InfoNCE", 0.3] < 0.84
assert all(r[2] < 1e-3 and len(set(r[0][1:])) == 1 for r in runs["sigmoid", 0.3]), "nothing moves any more"
early = {name: np.mean([r[0][1] for r in runs[name, 0.1]]) for name in ("InfoNCE", "sigmoid")}
assert early["InfoNCE"] > early["sigmoid"] + 0.2, "faster at first"

# %% yes-code  The sigmoid tells matching from mismatched pairs.
assert yes[own].mean() > 0.7 and yes[~own].mean() < 0.03

# %% ex3-code  A smaller rate lets the loss fall to 2.25 with all pairs alike; a bias of -4 repairs it.
slow = train_points(lambda i, t: sigmoid_loss(i, t, 5, -2), rate=0.1)[-1]
low = train_points(lambda i, t: sigmoid_loss(i, t, 5, -4))[-1]
assert abs(slow[1] - 2.249) < 0.01 and ((slow[0][0] @ slow[0][1].T) < 0.3).all()
assert low[1] < 0.5 and ((low[0][0] * low[0][1]).sum(-1) > 0.95).all()
assert history[-1][1] > history[0][1]
