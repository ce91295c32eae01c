"""What a run of agents leaves: curves, a film, figures, and the best seed's policy for export."""

import shutil

import numpy as np

from kzoo import plots
from kzoo.models.rl import policy_of
from kzoo.rl.film import film


def row_of(returns, history, environments):
    """One seed's part of a run, as `Run.once` keeps it.

    Args:
        returns: of `kzoo.rl.evaluate`.
        history: of `kzoo.rl.train`.
        environments: those of the training.
    """
    observations = environments.statistics["obs_rms"]
    row = {"returns": [float(one) for one in returns], "history": history}
    if observations is not None:
        row |= {"mean": observations.mean.tolist(), "variance": observations.var.tolist()}
    return row


def finish(run, rows, agent, environment, title, **options):
    """Draws what was learned and saves the policy of the seed that scored most.

    Its weights are read from `seed-<seed>.weights.h5` of the run's folder, where training put them.

    Args:
        run: a `kzoo.runs.Run`.
        rows: seed to what `row_of` gave.
        agent: one like those that were trained, for the weights.
        environment: the environment's name.
        title: what stands above the curves.
        **options: of `kzoo.rl.wrappers.make`.

    Returns:
        The figures: the mean `return` of all seeds' evaluations, the `lowest` and each seed's own; `steps`, and the
        `minutes` and `steps_per_second` of one training.
    """
    curves = {
        f"seed {seed}": [[line[key] for line in row["history"]] for key in ("steps", "return")]
        for seed, row in rows.items()
    }
    plots.returns(curves, run.path("curves.png"), title)
    scores = {seed: float(np.mean(row["returns"])) for seed, row in rows.items()}
    best = max(scores, key=scores.get)
    agent.network.load_weights(run.path(f"seed-{best}.weights.h5"))
    mean, variance = (
        np.array(rows[best][key]) if key in rows[best] else None for key in ("mean", "variance")
    )
    policy = policy_of(agent.network, mean, variance)
    statistics = None if mean is None else {"obs_rms": Moments(mean, variance)}
    pictures = run.path("film.png"), run.path("film.gif")
    film(agent, environment, *pictures, statistics=statistics, **options)
    steps = rows[best]["history"][-1]["steps"]
    seconds = float(np.mean([row["history"][-1]["seconds"] for row in rows.values()]))
    figures = {
        "return": float(np.mean(list(scores.values()))),
        "lowest": min(scores.values()),
        **{f"return_{seed}": score for seed, score in scores.items()},
        "steps": steps,
        "minutes": seconds / 60,
        "steps_per_second": steps / max(seconds, 1e-9),
    }
    lines = rows[best]["history"]
    known = [key for key in lines[-1] if all(line.get(key) is not None for line in lines)]
    history = {key: [line[key] for line in lines] for key in known}
    more = dict(data=environment, outputs=policy.output_names[0], episodes=len(rows[best]["returns"]))
    run.save(policy, figures=figures, history=history, model=agent.name, **more)
    for folder in run.folder.glob("resume-*"):  # what all seeds gave is kept by now
        shutil.rmtree(folder)
    return figures


class Moments:
    """A mean and a variance that stay as they are, for `freeze_statistics`."""

    def __init__(self, mean, variance):
        self.mean, self.var = mean, variance
