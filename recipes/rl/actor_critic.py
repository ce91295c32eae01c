"""A2C: many environments take a few steps together, and a value tells what was better than expected.

Task       keep the pole upright (CartPole-v1), or any environment of vectors or images
Data       what the agent lives through; packages: pip install 'kzoo[rl]'
Paper      Mnih et al. (2016), Asynchronous Methods for Deep Reinforcement Learning, arXiv:1602.01783; 500 is the most
           that CartPole-v1 gives
Command    kzoo run actor_critic --backend jax --seeds 3
Score      CartPole-v1, 3 seeds, jax: return 499.9, lowest 499.8 in 2.9 min*
           CartPole-v1, tensorflow: return 500 in 1.2 min*
           CartPole-v1, torch: return 500 in 1.4 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras

from kzoo import recipes, rl
from kzoo.learners import ActorCritic
from kzoo.models.rl import actor_critic
from kzoo.runs import Run


def loop_for(seed, options):
    """Environments and an untrained agent for their spaces, in the loop that trains it."""
    environments = rl.Environments(options["environment"], options["environments"], seed=seed)
    network = actor_critic(
        environments.observation_space.shape,
        environments.num_actions,
        continuous=environments.continuous,
    )
    agent = ActorCritic(network, entropy_weight=options["entropy_weight"], name="actor_critic")
    updates = max(1, options["steps"] // (options["length"] * options["environments"]))
    rate = keras.optimizers.schedules.PolynomialDecay(options["learning_rate"], updates, 0.0)
    agent.compile(keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-5, global_clipnorm=0.5))
    names = ("length", "discount", "trace")
    return rl.OnPolicy(agent, environments, seed=seed, **{one: options[one] for one in names})


def main(
    environment: str = "CartPole-v1",
    steps: int = 500_000,
    environments: int = 16,
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

    `steps` are of all `environments` together, each of which takes `length` before a step of the optimizer.
    """
    options = dict(locals())
    recipes.check_positive(
        steps=steps, environments=environments, length=length, episodes=episodes, seeds=seeds
    )
    engine = keras.config.backend()
    run = Run("actor_critic", f"{environment.replace('/', '_')}-{engine}", options)
    title = f"A2C on {environment} ({engine})"
    return rl.run_seeds(run, options, lambda one: loop_for(one, options), title)


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
