"""REINFORCE: a policy that learns from whole episodes, with a baseline and without.

Task       keep the pole upright (CartPole-v1), or any environment of vectors or images
Data       what the agent lives through; packages: pip install 'kzoo[rl]'
Paper      Williams (1992), Simple statistical gradient-following algorithms; 500 is the most that CartPole-v1 gives
Command    kzoo run reinforce --backend jax --seeds 3
Score      CartPole-v1, 3 seeds, jax: return 489.7, lowest 475.1 in 4.0 min*
           CartPole-v1, tensorflow: return 497.2 in 0.4 min*
           CartPole-v1, torch: return 500 in 0.5 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras

from kzoo import recipes, rl
from kzoo.learners import Reinforce
from kzoo.models.rl import actor_critic
from kzoo.runs import Run


def loop_for(seed, options):
    """Environments and an untrained agent for their spaces, in the loop that trains it."""
    environments = rl.Environments(options["environment"], options["environments"], seed=seed)
    network = actor_critic(
        environments.observation_space.shape,
        environments.num_actions,
        continuous=environments.continuous,
        value=options["baseline"],
    )
    agent = Reinforce(network, entropy_weight=options["entropy_weight"], name="reinforce")
    agent.compile(keras.optimizers.Adam(options["learning_rate"], global_clipnorm=1.0))
    return rl.WholeEpisodes(agent, environments, discount=options["discount"], seed=seed)


def main(
    environment: str = "CartPole-v1",
    steps: int = 400_000,
    environments: int = 8,
    baseline: bool = True,
    learning_rate: float = 3e-3,
    discount: float = 0.99,
    entropy_weight: float = 0.0,
    episodes: int = 100,
    seeds: int = 1,
    seed: int = 0,
) -> dict[str, float]:
    """Trains with so many seeds and evaluates each over `episodes` that training did not see.

    `steps` are of all `environments` together; each of these plays one episode before a step of the optimizer.
    """
    options = dict(locals())
    recipes.check_positive(steps=steps, environments=environments, episodes=episodes, seeds=seeds)
    kind, engine = "baseline" if baseline else "plain", keras.config.backend()
    run = Run("reinforce", f"{environment.replace('/', '_')}-{kind}-{engine}", options)
    title = f"REINFORCE on {environment} ({engine})"
    return rl.run_seeds(run, options, lambda one: loop_for(one, options), title)


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
