"""A whole run of agents: seed after seed trained and evaluated, then curves, a film, figures and the best policy."""

import functools
import shutil

import numpy as np

import kzoo
from kzoo import plots, recipes
from kzoo.models.rl import policy_of
from kzoo.rl.film import film
from kzoo.rl.training import evaluate, train

REPORTS = 50  # rows of a seed's history


def run_seeds(run, options, loop_of, title, *, normalise=False, **evaluation):
    """Trains with one seed after another, evaluates each, and leaves curves, a film and the policy that scored most.

    What was stopped goes on when it is called again: with the next seed, and within one from its last checkpoint.

    Args:
        run: a `kzoo.runs.Run`.
        options: what the run depends on, its defaults filled in: `environment`, `steps`, `episodes`, `seeds` and the
            first `seed` are used here, and all of it is kept in the card as `settings`.
        loop_of: `loop_of(seed)` makes one of the loops of `kzoo.rl`, with an untrained agent.
        title: what stands above the curves.
        normalise: whether observations are brought to mean 0 and deviation 1, as they were for the loop.
        **evaluation: of `kzoo.rl.evaluate`.

    Returns:
        The figures: the mean `return` of all seeds' evaluations, the `lowest` and each seed's own; `steps`, and the
        `minutes` and `steps_per_second` of one training.
    """
    around = evaluation | {"normalise": normalise}
    rows = {
        seed: run.once(f"seed {seed}", functools.partial(_train_one, run, options, loop_of, seed, around))
        for seed in range(options["seed"], options["seed"] + options["seeds"])
    }
    curves = {
        f"seed {seed}": [[line[key] for line in row["history"]] for key in ("steps", "return")]
        for seed, row in rows.items()
    }
    plots.returns(curves, run.path("curves.png"), title)
    scores = {seed: float(np.mean(row["returns"])) for seed, row in rows.items()}
    best = max(scores, key=scores.get)
    row, agent = rows[best], loop_of(best).agent
    agent.network.load_weights(run.path(_weights(best)))
    mean, variance = (np.array(row[key]) if key in row else None for key in ("mean", "variance"))
    policy = policy_of(agent.network, mean, variance)
    statistics = None if mean is None else {"obs_rms": Moments(mean, variance)}
    pictures = run.path("film.png"), run.path("film.gif")
    film(agent, options["environment"], *pictures, statistics=statistics, normalise=normalise)
    lines = row["history"]
    steps = lines[-1]["steps"]
    seconds = float(np.mean([one["history"][-1]["seconds"] for one in rows.values()]))
    figures = {
        "return": float(np.mean(list(scores.values()))),
        "lowest": min(scores.values()),
        **{f"return_{seed}": score for seed, score in scores.items()},
        "steps": steps,
        "minutes": seconds / 60,
        "steps_per_second": steps / max(seconds, 1e-9),
    }
    known = [key for key in lines[-1] if all(line.get(key) is not None for line in lines)]
    history = {key: [line[key] for line in lines] for key in known}
    more = dict(data=options["environment"], outputs=policy.output_names[0], episodes=len(row["returns"]))
    run.save(policy, figures=figures, history=history, model=agent.name, settings=options, **more)
    for folder in run.folder.glob("resume-*"):  # what all seeds gave is kept by now
        shutil.rmtree(folder)
    return figures


def _train_one(run, options, loop_of, seed, around):
    """One seed's part of a run, as `Run.once` keeps it."""
    kzoo.set_seed(seed)
    loop = loop_of(seed)
    history = train(
        loop,
        options["steps"],
        folder=run.path(f"resume-{seed}"),
        report=max(1, options["steps"] // REPORTS),
        configuration=options | {"seed": seed},
        log=run.log,
        verbose=recipes.verbosity(),
    )
    loop.agent.network.save_weights(run.path(_weights(seed)))
    statistics = loop.environments.statistics
    loop.environments.close()
    returns = evaluate(
        loop.agent, options["environment"], options["episodes"], statistics=statistics, **around
    )
    row = {"returns": [float(one) for one in returns], "history": history}
    observations = statistics["obs_rms"]
    if observations is not None:
        row |= {"mean": observations.mean.tolist(), "variance": observations.var.tolist()}
    return row


def _weights(seed):
    return f"seed-{seed}.weights.h5"


class Moments:
    """A mean and a variance that stay as they are, for `freeze_statistics`."""

    def __init__(self, mean, variance):
        self.mean, self.var = mean, variance
