"""A3C: workers that do not wait for each other move the same weights, each in a process of its own.

Task       keep the pole upright (CartPole-v1), or any environment of vectors or images
Data       what the agent lives through; packages: pip install 'kzoo[rl]'
Paper      Mnih et al. (2016), Asynchronous Methods for Deep Reinforcement Learning, arXiv:1602.01783; 500 is the most
           that CartPole-v1 gives
Command    kzoo run a3c --backend jax
Score      CartPole-v1, 3 seeds, 2 workers, jax: return 500, lowest 500, steps per second 7,351.5 in 3.5 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras

from kzoo import recipes, rl
from kzoo.learners import ActorCritic
from kzoo.models.rl import actor_critic
from kzoo.runs import Run


def loop_for(seed, options):
    """Workers, and an untrained agent for the spaces of their environments, in the loop that trains it."""
    spaces = rl.Environments(options["environment"])
    shape, actions = spaces.observation_space.shape, spaces.num_actions
    network = actor_critic(shape, actions, continuous=spaces.continuous)
    spaces.close()
    agent = ActorCritic(network, entropy_weight=options["entropy_weight"], name="a3c")
    agent.compile(keras.optimizers.RMSprop(options["learning_rate"]))  # the workers' own has the same rate
    names = ("workers", "length", "discount", "trace", "learning_rate")
    settings = {one: options[one] for one in names}
    return rl.Asynchronous(agent, options["environment"], total=options["steps"], seed=seed, **settings)


def main(
    environment: str = "CartPole-v1",
    steps: int = 500_000,
    workers: int = 2,
    length: int = 5,
    learning_rate: float = 7e-4,
    discount: float = 0.99,
    trace: float = 1.0,
    entropy_weight: float = 0.01,
    episodes: int = 100,
    seeds: int = 1,
    seed: int = 0,
) -> dict[str, float]:
    """Trains with so many seeds and evaluates each over `episodes` that training did not see.

    `steps` are of all `workers` together, each of which takes `length` before it moves the weights. A seed settles how
    everything begins, but not which worker is faster: two runs differ.
    """
    options = dict(locals())
    recipes.check_positive(steps=steps, workers=workers, length=length, episodes=episodes, seeds=seeds)
    engine = keras.config.backend()
    run = Run("a3c", f"{environment.replace('/', '_')}-{engine}", options)
    title = f"A3C on {environment} ({engine})"
    return rl.run_seeds(run, options, lambda one: loop_for(one, options), title)


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
