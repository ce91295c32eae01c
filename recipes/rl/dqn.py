"""DQN: action values from a replay buffer, for CartPole and for Atari's pictures.

Task       keep the pole upright (CartPole-v1); play Atari from four grey frames
Data       what the agent lives through; packages: pip install 'kzoo[rl]'
Paper      Mnih et al. (2015), Human-level control through deep reinforcement learning, Nature 518; cleanrl's returns
           while training: CartPole-v1 489 after 500,000 steps, Pong 20.3 after 10,000,000
Command    kzoo run dqn --backend jax --seeds 3
           kzoo run dqn --backend torch --environment ALE/Pong-v5 --steps 200000
Score      CartPole-v1, 3 seeds, jax: return 500, lowest 500 in 1.4 min*
           CartPole-v1, tensorflow: return 500 in 0.9 min*
           CartPole-v1, torch: return 500 in 1.5 min*
           Pong, 100,000 steps of four frames, torch: return -15.40, steps per second 92.93 in 22.0 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras

from kzoo import recipes, rl
from kzoo.learners import DQN
from kzoo.models.rl import q_network
from kzoo.runs import Run

# What is not given on the command line, for vectors and for pictures. The buffer is small: rewards of several steps are
# those of the policy that took them, and with 200,000 rows of older ones returns stayed at 430 here.
VECTORS = dict(
    steps=150_000,
    capacity=20_000,
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


def loop_for(seed, options):
    """An environment and an untrained agent for its spaces, in the loop that trains it."""
    environments = rl.Environments(options["environment"], seed=seed)
    space = environments.observation_space
    network = q_network(space.shape, environments.num_actions, duelling=options["duelling"])
    clip = None if len(space.shape) == 1 else 1.0
    agent = DQN(network, double=options["double"], error_clip=clip, name="dqn")
    updates, rate = max(1, options["steps"] // options["every"]), options["learning_rate"]
    schedule = keras.optimizers.schedules.PolynomialDecay(rate, updates, rate / 20)
    agent.compile(keras.optimizers.Adam(schedule, global_clipnorm=10.0))
    kind = rl.PrioritisedReplay if options["prioritised"] else rl.Replay
    spans = dict(n_step=options["n_step"], discount=options["discount"])
    names = ("begin", "every", "renew", "batch_size", "exploration")
    return rl.OffPolicy(
        agent,
        environments,
        kind(options["capacity"], space.shape, space.dtype, **spans),
        total=options["steps"],
        exploring=(1.0, options["last"]),
        seed=seed,
        **{name: options[name] for name in names},
    )


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
    if one.continuous:
        raise ValueError(f"DQN needs choices to act. Received: {one.action_space}")
    pictures = len(one.observation_space.shape) > 1
    usual = PICTURES if pictures else VECTORS
    options = given | {name: value for name, value in usual.items() if given[name] is None}
    recipes.check_positive(**{name: options[name] for name in (*usual, "n_step", "episodes", "seeds")})
    engine = keras.config.backend()
    run = Run("dqn", f"{environment.replace('/', '_')}-{engine}", given)
    title = f"DQN on {environment} ({engine})"
    return rl.run_seeds(
        run,
        options,
        lambda one: loop_for(one, options),
        title,
        at_once=1 if pictures else 25,
        exploring=options["acting"],
    )


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
