"""One engine's process of `test_agents_agree.py`: the first 20 losses of every agent's update."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents import KINDS, agent_of, batch_for
from keras import ops

if __name__ == "__main__":
    found = {}
    for kind in KINDS:
        agent, batches = agent_of(kind), [batch_for(kind, seed=i) for i in range(20)]
        data = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        logs = agent.learn(data, np.arange(240, dtype="int32").reshape(20, 12))
        found[kind] = ops.convert_to_numpy(logs["loss"])
    np.savez(sys.argv[1], **found)
