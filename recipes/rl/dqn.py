"""DQN: action values from a replay buffer, for CartPole and for Atari's pictures.

Task       keep the pole upright (CartPole-v1); play Atari from four grey frames
Data       what the agent lives through; packages: pip install 'kzoo[rl]'
Paper      Mnih et al. (2015), Human-level control through deep reinforcement learning, Nature 518; cleanrl's returns
           while training: CartPole-v1 489 after 500,000 steps, Pong 20.3 after 10,000,000
Command    kzoo run dqn --backend jax --seeds 3
           kzoo run dqn --backend torch --environment ALE/Pong-v5 --steps 200000
Score      not run in full yet
"""

import functools

import keras

import kzoo
from kzoo import recipes, rl
from kzoo.learners import DQN
from kzoo.models.rl import q_network
from kzoo.runs import Run

# What is not given on the command line, for vectors and for pictures.
VECTORS = dict(
    steps=200_000,
    capacity=50_000,
    begin=1_000,
    every=4,
    renew=500,
    batch_size=128,
    learning_rate=5e-4,
    last=0.02,
)
PICTURES = dict(
    steps=1_000_000,
    capacity=50_000,
    begin=10_000,
    every=4,
    renew=2_000,
    batch_size=32,
    learning_rate=1e-4,
    last=0.01,
)


def agent_for(environments, options):
    """An untrained agent for the spaces of these environments."""
    if environments.continuous:
        raise ValueError(f"DQN needs choices to act. Received: {environments.action_space}")
    shape = environments.observation_space.shape
    network = q_network(shape, environments.num_actions, duelling=options["duelling"])
    clip = None if len(shape) == 1 else 1.0
    agent = DQN(network, double=options["double"], error_clip=clip, name="dqn")
    updates, rate = max(1, options["steps"] // options["every"]), options["learning_rate"]
    schedule = keras.optimizers.schedules.PolynomialDecay(rate, updates, rate / 20)
    agent.compile(keras.optimizers.Adam(schedule, global_clipnorm=10.0))
    return agent


def train(seed, options, run):
    """Trains with one seed, or takes up where it stopped, and gives its part of the run."""
    kzoo.set_seed(seed)
    environments = rl.Environments(options["environment"], seed=seed)
    agent = agent_for(environments, options)
    space = environments.observation_space
    kind = rl.PrioritisedReplay if options["prioritised"] else rl.Replay
    spans = dict(n_step=options["n_step"], discount=options["discount"])
    names = ("begin", "every", "renew", "batch_size", "exploration")
    loop = rl.OffPolicy(
        agent,
        environments,
        kind(options["capacity"], space.shape, space.dtype, **spans),
        total=options["steps"],
        exploring=(1.0, options["last"]),
        seed=seed,
        **{name: options[name] for name in names},
    )
    history = rl.train(
        loop,
        options["steps"],
        folder=run.path(f"resume-{seed}"),
        report=max(1, options["steps"] // 50),
        configuration=options | {"seed": seed},
        log=run.log,
        verbose=recipes.verbosity(),
    )
    agent.network.save_weights(run.path(f"seed-{seed}.weights.h5"))
    at_once = min(25, options["episodes"]) if len(space.shape) == 1 else 1
    returns = rl.evaluate(
        agent, options["environment"], options["episodes"], exploring=options["acting"], at_once=at_once
    )
    return rl.row_of(returns, history, environments)


def main(
    environment: str = "CartPole-v1",
    steps: int | None = None,
    capacity: int | None = None,
    begin: int | None = None,
    every: int | None = None,
    renew: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    last: float | None = None,
    exploration: float = 0.3,
    acting: float = 0.0,
    discount: float = 0.99,
    n_step: int = 3,
    double: bool = True,
    duelling: bool = False,
    prioritised: bool = False,
    episodes: int = 100,
    seeds: int = 1,
    seed: int = 0,
) -> dict[str, float]:
    """Trains with so many seeds and evaluates each over `episodes` that training did not see.

    A step of the optimizer is made `every` so many steps. Actions are drawn at first, and after the part `exploration`
    of the steps in the share `last`; in the evaluation in the share `acting`. What is not given depends on whether
    observations are vectors or pictures.
    """
    given = dict(locals())
    one = rl.Environments(environment)
    usual = VECTORS if len(one.observation_space.shape) == 1 else PICTURES
    options = given | {name: value for name, value in usual.items() if given[name] is None}
    recipes.check_positive(**{name: options[name] for name in (*usual, "n_step", "episodes", "seeds")})
    agent, engine = agent_for(one, options), keras.config.backend()
    run = Run("dqn", f"{environment.replace('/', '_')}-{engine}", options)
    rows = {
        i: run.once(f"seed {i}", functools.partial(train, i, options, run)) for i in range(seed, seed + seeds)
    }
    return rl.finish(run, rows, agent, environment, f"DQN on {environment} ({engine})")


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
