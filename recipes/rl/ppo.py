"""PPO: several epochs on the same experience, for choices (CartPole) and for forces (MuJoCo).

Task       keep the pole upright (CartPole-v1); walk, run and balance in MuJoCo
Data       what the agent lives through; packages: pip install 'kzoo[rl]'
Paper      Schulman et al. (2017), Proximal Policy Optimization Algorithms, arXiv:1707.06347; cleanrl's returns while
           training: CartPole-v1 489 after 500,000 steps, HalfCheetah-v4 1,443 and Hopper-v4 2,382 after 1,000,000
Command    kzoo run ppo --backend jax --seeds 3
           kzoo run ppo --backend jax --environment InvertedPendulum-v5
Score      CartPole-v1, 3 seeds, jax: return 500, lowest 500 in 0.9 min*
           CartPole-v1, tensorflow: return 500 in 0.6 min*
           CartPole-v1, torch: return 500 in 1.2 min*
           InvertedPendulum-v5, jax: return 1,000 in 2.5 min*
           HalfCheetah-v5, jax: return 1,839.1 in 4.2 min*
           Hopper-v5, jax: return 1,880.9 in 36.5 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import keras

from kzoo import recipes, rl
from kzoo.learners import PPO
from kzoo.models.rl import actor_critic
from kzoo.runs import Run

# What is not given on the command line, for choices and for forces: table 3 of the paper for MuJoCo, with minibatches
# and rates of its code.
CHOICES = dict(
    steps=500_000,
    environments=4,
    length=128,
    epochs=4,
    minibatches=4,
    learning_rate=2.5e-4,
    entropy_weight=0.01,
)
FORCES = dict(
    steps=1_000_000,
    environments=1,
    length=2048,
    epochs=10,
    minibatches=32,
    learning_rate=3e-4,
    entropy_weight=0.0,
)


def loop_for(seed, options, normalise):
    """Environments and an untrained agent for their spaces, in the loop that trains it."""
    around = dict(normalise=normalise, discount=options["discount"])
    environments = rl.Environments(options["environment"], options["environments"], seed=seed, **around)
    network = actor_critic(
        environments.observation_space.shape,
        environments.num_actions,
        continuous=environments.continuous,
    )
    agent = PPO(network, entropy_weight=options["entropy_weight"], name="ppo")
    rounds = max(1, options["steps"] // (options["length"] * options["environments"]))
    updates = rounds * options["epochs"] * options["minibatches"]
    rate = keras.optimizers.schedules.PolynomialDecay(options["learning_rate"], updates, 0.0)
    agent.compile(keras.optimizers.Adam(rate, epsilon=1e-5, global_clipnorm=0.5))
    names = ("length", "epochs", "minibatches", "discount", "trace")
    return rl.OnPolicy(agent, environments, seed=seed, **{one: options[one] for one in names})


def main(
    environment: str = "CartPole-v1",
    steps: int | None = None,
    environments: int | None = None,
    length: int | None = None,
    epochs: int | None = None,
    minibatches: int | None = None,
    learning_rate: float | None = None,
    entropy_weight: float | None = None,
    discount: float = 0.99,
    trace: float = 0.95,
    episodes: int = 100,
    seeds: int = 1,
    seed: int = 0,
) -> dict[str, float]:
    """Trains with so many seeds and evaluates each over `episodes` that training did not see.

    `steps` are of all `environments` together, each of which takes `length` before `epochs` of `minibatches`. What is
    not given depends on whether actions are choices or forces; of forces observations and rewards are normalised.
    """
    given = dict(locals())
    normalise = rl.Environments(environment).continuous
    usual = FORCES if normalise else CHOICES
    options = given | {name: value for name, value in usual.items() if given[name] is None}
    recipes.check_positive(
        **{name: options[name] for name in (*usual, "episodes", "seeds") if name != "entropy_weight"}
    )
    engine = keras.config.backend()
    run = Run("ppo", f"{environment.replace('/', '_')}-{engine}", given)
    title = f"PPO on {environment} ({engine})"
    return rl.run_seeds(
        run, options, lambda one: loop_for(one, options, normalise), title, normalise=normalise
    )


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
