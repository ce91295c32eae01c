"""Writing on with a GPT beside Transformers and keras-hub on the same engine, in turn in one run.

```
python benchmarks/generation.py --engine torch [--rounds 7] [--quick] [--out FILE]
```

The architecture of GPT-2 with random weights, 6 layers, 384 wide, 6 heads, a vocabulary of 5,000; 4 prompts of 16
symbols and 112 new ones, the likeliest each time, with a cache. Ours is accelerated. A round writes once with each, the
first rounds compile and are not counted. Ratios are of tokens a second, ours over theirs, round by round. The cost of a
symbol by its position is that of `kzoo.generation.stream`, symbol by symbol, in quarters of what is written.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
LAYERS, DIM, HEADS, VOCABULARY, BATCH, PROMPT, NEW = 6, 384, 6, 5000, 4, 16, 112
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--engine", default="torch", choices=("tensorflow", "torch", "jax"))
parser.add_argument("--rounds", type=int, default=7, help="counted rounds; default: %(default)s")
parser.add_argument("--quick", action="store_true", help="a small network, to see that it runs")
parser.add_argument("--out", type=Path, default=HERE / "generation.json")
ARGUMENTS = parser.parse_args()
os.environ["KERAS_BACKEND"] = ARGUMENTS.engine
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(HERE), str(HERE.parent)]
if ARGUMENTS.quick:
    LAYERS, DIM, HEADS, VOCABULARY, NEW = 2, 32, 2, 50, 16

import keras  # noqa: E402
import numpy as np  # noqa: E402
from measured import machine, ratio  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import kzoo  # noqa: E402
from kzoo.files import write_json  # noqa: E402
from kzoo.generation import stream  # noqa: E402
from kzoo.models.text.gpt import gpt  # noqa: E402


def prompts():
    return np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, PROMPT)).astype("int32")


def ours():
    model = gpt(VOCABULARY, max_sequence_length=PROMPT + NEW, dim=DIM, depth=LAYERS, num_heads=HEADS)
    kzoo.accelerate(model)
    return model


def transformers_peer():
    """Transformers' GPT-2, which runs on PyTorch alone."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = dict(n_layer=LAYERS, n_embd=DIM, n_head=HEADS, n_positions=PROMPT + NEW, vocab_size=VOCABULARY)
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    ids = torch.from_numpy(prompts()).long()
    options = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)

    def write():
        with torch.inference_mode():
            return model.generate(ids, attention_mask=torch.ones_like(ids), **options)[:, PROMPT:].numpy()

    return write


def keras_hub_peer():
    """keras-hub's GPT-2 on the engine in use."""
    import keras_hub

    sizes = dict(num_layers=LAYERS, hidden_dim=DIM, num_heads=HEADS, intermediate_dim=4 * DIM)
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=VOCABULARY, max_sequence_length=PROMPT + NEW, **sizes
    )
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    model.compile(sampler="greedy")
    token_ids = np.pad(prompts(), ((0, 0), (0, NEW)))
    mask = np.pad(np.ones((BATCH, PROMPT), "int32"), ((0, 0), (0, NEW)))

    def write():
        given = {"token_ids": token_ids.copy(), "padding_mask": mask.copy()}
        written = model.generate(given, stop_token_ids=None)
        return np.asarray(written["token_ids"])[:, PROMPT:]

    return write


def seconds(write):
    began = time.perf_counter()
    written = np.asarray(write())
    taken = time.perf_counter() - began
    if written.shape != (BATCH, NEW):
        raise RuntimeError(f"{NEW} symbols should be written after each prompt. Received: {written.shape}")
    return taken


def by_position(model):
    """Milliseconds a step in each quarter of what is written, of one text."""
    stamps = [time.perf_counter()]
    for _ in stream(model, prompts(), NEW):
        stamps.append(time.perf_counter())
    steps = 1000 * np.diff(stamps)[1:]  # the first reads the prompt
    return [float(np.median(part)) for part in np.array_split(steps, 4)]


def main():
    console, model = Console(), ours()
    contenders = {"kzoo": lambda: kzoo.generate(model, prompts(), NEW)}
    if ARGUMENTS.engine == "torch":
        contenders["Transformers"] = transformers_peer()
    contenders["keras-hub"] = keras_hub_peer()
    times, quarters = {name: [] for name in contenders}, []
    for index in range(ARGUMENTS.rounds + 2):
        for name, write in contenders.items():
            taken = seconds(write)
            if index > 1:
                times[name].append(taken)
        quarters.append(by_position(model))
    rates = {name: [BATCH * NEW / taken for taken in own] for name, own in times.items()}
    found = {
        "machine": machine(),
        "rounds": ARGUMENTS.rounds,
        "tokens_per_second": {name: statistics.median(own) for name, own in rates.items()},
        "ours_over": {name: ratio(rates["kzoo"], own) for name, own in rates.items() if name != "kzoo"},
        "step_ms_by_quarter": np.median(quarters[2:], axis=0).tolist(),
    }
    table = Table("writer", "tokens a second", "ours ÷ it", title=f"{ARGUMENTS.engine}, {keras.__version__}")
    for name, rate in found["tokens_per_second"].items():
        ratios = found["ours_over"].get(name)
        table.add_row(name, f"{rate:,.0f}", "{:.2f} ({:.2f}–{:.2f})".format(*ratios) if ratios else "")
    console.print(table)
    steps = ", ".join(f"{value:.2f}" for value in found["step_ms_by_quarter"])
    console.print(f"ms a step by quarter of what is written: {steps}")
    if not ARGUMENTS.quick:
        before = json.loads(ARGUMENTS.out.read_text()) if ARGUMENTS.out.exists() else {}
        write_json(ARGUMENTS.out, before | {ARGUMENTS.engine: found})


if __name__ == "__main__":
    main()
