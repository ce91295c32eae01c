"""Agents of kzoo on three engines beside hand-written PyTorch, measured in turn in one run.

```
python benchmarks/rl.py [--quick] [--agents ppo,dqn] [--engines torch,jax] [--out FILE]
```

Every contender lives in a process of its own and computes only when asked; ratios are taken round by round, as in
`run.py`. A round of PPO collects 512 steps of four environments and takes 16 steps of the optimizer; one of DQN takes
400 steps of one environment and 100 of the optimizer. Networks and settings are the same; the environments' own time
is in both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
NATIVE = "native PyTorch"
HEADER = ("contender", "environment steps/s", "optimizer steps/s", "time ÷ native", "learning ÷ native")


def kzoo_contender(agent):
    """A function without arguments that runs one round, see `rl_native.PPO.round`."""
    import keras

    from kzoo import rl
    from kzoo.learners import DQN, PPO
    from kzoo.models.rl import actor_critic, q_network

    if agent == "ppo":
        learner = PPO(actor_critic((4,), 2))
        learner.compile(keras.optimizers.Adam(2.5e-4, epsilon=1e-5, global_clipnorm=0.5))
        loop = rl.OnPolicy(learner, rl.Environments("CartPole-v1", 4), length=128, epochs=4, minibatches=4)
        rounds, steps, learned = 1, 512, 16
    else:
        learner = DQN(q_network((4,), 2))
        learner.compile(keras.optimizers.Adam(2.5e-4))
        settings = dict(total=1, begin=128, every=4, exploration=1e-9, renew=10**9)
        loop = rl.OffPolicy(learner, rl.Environments("CartPole-v1"), rl.Replay(10_000, (4,)), **settings)
        rounds, steps, learned = 400, 400, 100
    learning, learn = [0.0], learner.learn

    def watched(*data):
        start = time.perf_counter()
        logs = learn(*data)
        keras.ops.convert_to_numpy(logs["loss"])
        learning[0] += time.perf_counter() - start
        return logs

    learner.__dict__["learn"] = watched

    def run():
        learning[0], start = 0.0, time.perf_counter()
        for _ in range(rounds):
            loop.advance()
        return time.perf_counter() - start - learning[0], learning[0], steps, learned

    return run


def contend(agent, engine):
    """Answers each line of standard input with the mean times of so many rounds."""
    answers, sys.stdout = sys.stdout, sys.stderr
    if engine == NATIVE:
        import rl_native

        run = getattr(rl_native, agent.upper())().round
    else:
        run = kzoo_contender(agent)
    for line in sys.stdin:
        found = [run() for _ in range(int(line))]
        living, learning, steps, learned = (sum(values) for values in zip(*found))
        answers.write(json.dumps([living, learning, steps, learned]) + "\n")
        answers.flush()


class Contender:
    """A process that runs rounds when asked."""

    def __init__(self, agent, engine):
        settings = {"KERAS_BACKEND": "torch" if engine == NATIVE else engine, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-W", "ignore", __file__, "--contend", agent, engine]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.process = subprocess.Popen(command, env=os.environ | settings, **pipes)

    def rounds(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contender failed:\n{self.process.stderr.read()[-2000:]}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(agent, engines, turns, rounds, console):
    """All turns of one agent: contender to [living s, learning s, steps, optimizer steps] per turn."""
    contenders = {name: Contender(agent, name) for name in (NATIVE, *engines)}
    times = {name: [] for name in contenders}
    try:
        for contender in contenders.values():
            contender.rounds(2)  # compiles and warms up; not counted
        for turn in range(turns):
            for name, contender in contenders.items():
                times[name].append(contender.rounds(rounds))
            console.print(f"{agent}: turn {turn + 1} of {turns}", end="\r", highlight=False)
    finally:
        for contender in contenders.values():
            contender.close()
    return times


def rows(times):
    """Per contender: its name, medians of its rates, and its time and learning as multiples of the native ones."""
    for name, own in times.items():
        cells = [name]
        cells.append(f"{statistics.median(steps / (a + b) for a, b, steps, _ in own):,.0f}")
        cells.append(f"{statistics.median(learned / b for _, b, _, learned in own):,.0f}")
        for part in (lambda one: one[0] + one[1], lambda one: one[1]):
            ratios = [part(a) / part(b) for a, b in zip(own, times[NATIVE])]
            low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
            cells.append("" if name == NATIVE else f"{statistics.median(ratios):.2f} ({low:.2f}–{high:.2f})")
        yield cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few turns: a look only")
    parser.add_argument("--agents", default="ppo,dqn", help="default: %(default)s")
    parser.add_argument("--engines", default="tensorflow,torch,jax", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=HERE / "rl.json", help="JSON; default: %(default)s")
    parser.add_argument("--contend", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contend:
        sys.path[:0] = [str(HERE), str(HERE.parent)]
        contend(*arguments.contend)
        return
    from measured import machine

    from kzoo.files import write_json

    console = Console()
    turns, rounds = (3, 3) if arguments.quick else (9, 6)
    report = {"machine": machine(), "quick": arguments.quick, "agents": {}}
    for agent in arguments.agents.split(","):
        times = report["agents"][agent] = measure(agent, arguments.engines.split(","), turns, rounds, console)
        table = Table(*HEADER, title=f"{agent} on CartPole-v1, {turns} turns of {rounds} rounds")
        for cells in rows(times):
            table.add_row(*cells)
        console.print(table)
        write_json(arguments.out, report)


if __name__ == "__main__":
    main()
