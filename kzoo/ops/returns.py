"""Returns and advantages of what agents lived through, `(t, n)`: steps by environments.

In NumPy: rewards come from the host, step after step, and a compiled loop over them would cost more than the loop.

Two endings are told apart. A `terminated` episode has no future and nothing is to be added. A truncated one (a time
limit) would have gone on: what its last observation was worth stands in for the rest.
"""

import numpy as np


def discounted_returns(rewards, ended, discount, last=0.0):
    """`G_t = r_t + γ G_{t+1}`, anew after each end.

    Args:
        rewards: `(t, …)`.
        ended: boolean `(t, …)`, where an episode's last step is.
        discount: γ, from 0 to 1.
        last: `(…)`, what follows the last step if its episode goes on.

    Returns:
        float32 `(t, …)`.

    Source: Williams (1992), Simple statistical gradient-following algorithms.
    """
    rewards, going = np.asarray(rewards, "float64"), 1.0 - np.asarray(ended, "float64")
    _check(rewards, going, discount=discount)
    found, after = np.empty_like(rewards), np.broadcast_to(np.asarray(last, "float64"), rewards.shape[1:])
    for t in range(len(rewards) - 1, -1, -1):
        found[t] = after = rewards[t] + discount * going[t] * after
    return found.astype("float32")


def generalised_advantages(rewards, values, next_values, terminated, ended, discount, trace):
    """Advantages `A_t = δ_t + γ λ A_{t+1}` of `δ_t = r_t + γ V(s_{t+1}) - V(s_t)`, and the returns `A_t + V(s_t)`.

    Args:
        rewards, values: `(t, …)`; `values` is `V(s_t)`.
        next_values: `(t, …)`, the value of what followed: at a truncated end of the episode's own last observation,
            not of the next episode's first.
        terminated: boolean `(t, …)`: nothing follows.
        ended: boolean `(t, …)`: terminated or truncated.
        discount: γ, from 0 to 1.
        trace: λ, from 0 (one step) to 1 (the whole return).

    Returns:
        Advantages and returns, float32 `(t, …)`.

    Source: Schulman et al. (2016), arXiv:1506.02438, equation 16.
    """
    rewards, values, next_values = (np.asarray(x, "float64") for x in (rewards, values, next_values))
    future, going = (1.0 - np.asarray(x, "float64") for x in (terminated, ended))
    _check(rewards, values, next_values, future, going, discount=discount, trace=trace)
    errors = rewards + discount * future * next_values - values
    decay, advantage = discount * trace * going, 0.0
    found = np.empty_like(errors)
    for t in range(len(errors) - 1, -1, -1):
        found[t] = advantage = errors[t] + decay[t] * advantage
    return found.astype("float32"), (found + values).astype("float32")


def n_step_targets(rewards, terminated, discount):
    """What n steps gave, and the factor of the value after them.

    Args:
        rewards: `(n, …)`, of one episode: its later steps are zero if it ended before.
        terminated: boolean `(…)`: whether the episode ended within, so that no value follows.
        discount: γ.

    Returns:
        `Σ γ^i r_i` and `γ^n`, or 0 where terminated: float32 `(…)`.

    Source: Sutton and Barto (2018), section 7.1.
    """
    rewards = np.asarray(rewards, "float64")
    _check(rewards, discount=discount)
    sums = 0.0
    for reward in rewards[::-1]:  # a replay buffer asks this once a step, for few rewards
        sums = reward + discount * sums
    following = discount ** len(rewards) * (1.0 - np.asarray(terminated))
    return np.asarray(sums, "float32"), np.asarray(following, "float32")


def _check(first, *others, **shares):
    if first.ndim < 1 or any(other.shape != first.shape for other in others):
        shapes = ", ".join(str(x.shape) for x in (first, *others))
        raise ValueError(f"rewards and what belongs to them must have one shape (t, …). Received: {shapes}")
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1. Received: {name}={value!r}")
