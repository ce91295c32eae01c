"""Teaching a GPT to follow instructions: all its weights, or LoRA's small matrices alone.

Task       answer an instruction
Data       1,100 short instructions with answers (Raschka 2024, chapter 7): 935 to learn from, 55 to validate, 110 held
           out. What is tuned is GPT-2 in a folder of Transformers' files, or else a small GPT that learns to write from
           English text sets first
Paper      Ouyang et al. (2022), arXiv:2203.02155; LoRA: Hu et al. (2022), arXiv:2106.09685. The loss is that of the
           answers, not of what was asked
Command    kzoo run instruction_tuning --backend torch
           kzoo run instruction_tuning --base path/to/gpt2 --learning-rate 0.00005
Score      1,100 instructions, nats of held-out answers, torch: full before loss 4.6027, full after loss 3.1302,
           lora after loss 3.4854 in 41.1 min*
           * AMD EPYC, 2 cores; from start to finish, with whatever else was running
"""

import functools
from pathlib import Path

import keras
import numpy as np

import kzoo
from kzoo import adapters, plots, recipes
from kzoo.callbacks import Resume
from kzoo.data import SequenceBatches, Subwords, WindowBatches, load_text
from kzoo.data.instructed import instructed, prompt_of
from kzoo.data.instructions import load_instructions
from kzoo.data.sentences import written
from kzoo.data.sequences import IGNORED
from kzoo.models.text import nats_per_symbol
from kzoo.optimizers.fine_tuning import fine_tuning_adamw
from kzoo.runs import Run
from kzoo.weights.decoders import text_decoder

END = "<|endoftext|>"
BLOCKS = dict(depth=4, num_heads=4)  # of the GPT that learns to write here
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)


def learn_to_write(run, settings):
    """A small GPT that has read English text sets, and its vocabulary, kept in the run folder."""
    lines = [line for name in settings["sets"].split(",") for line in written(name)][: settings["samples"]]
    tokens = Subwords.train(lines, "bpe", settings["pieces"], specials=(END,))
    text = np.concatenate([np.append(ids, tokens.id_of(END)) for ids in tokens.encode_all(lines)])
    epochs = max(1, settings["steps"] // 250)  # a state is kept after each
    per_epoch = settings["steps"] // epochs
    data = WindowBatches(text, settings["length"], 16, steps=per_epoch, seed=settings["seed"])
    sizes = dict(max_sequence_length=settings["length"], dim=settings["dim"])
    network = kzoo.create_model("nanogpt", vocabulary_size=tokens.vocabulary_size, **sizes, **BLOCKS)
    kzoo.accelerate(network)
    network.compile(fine_tuning_adamw(network, 1e-3, settings["steps"], weight_decay=0.1), LOSS)
    resume = Resume(run.path("resume-base"), data=data, configuration=settings)
    network.fit(data, epochs=epochs, callbacks=[resume, run.log], verbose=recipes.verbosity())
    run.path("base").mkdir(exist_ok=True)
    tokens.save(run.path("base/tokenizer.json"))
    network.save(run.path("base/model.keras"))
    return {"loss": resume.history["loss"][-1]}


def tune(method, parts, settings, base, run):
    """Tunes the whole network, or adapters, and gives losses of held-out answers, samples and the history."""
    kzoo.set_seed(settings["seed"])
    network, tokens = text_decoder(base)
    end = tokens.id_of(END)
    if method == "lora":
        adapters.add_adapters(network, settings["rank"])
    kzoo.accelerate(network)
    data, shape = {}, dict(batch_size=settings["batch_size"], seed=settings["seed"])
    for part, examples in parts.items():
        x, y = instructed(tokens, examples, settings["length"], end)
        data[part] = SequenceBatches(x, y, **shape, shuffle=part == "train")
    before = nats_per_symbol(network, data["test"])
    rate = settings["learning_rate"] * (settings["lora_factor"] if method == "lora" else 1)
    network.compile(fine_tuning_adamw(network, rate, settings["epochs"] * len(data["train"])), LOSS)
    resume = Resume(run.path(f"resume-{method}"), data["train"], settings)
    watched = dict(validation_data=data["validation"], callbacks=[resume, run.log])
    network.fit(data["train"], epochs=settings["epochs"], verbose=recipes.verbosity(), **watched)
    trained = int(sum(np.prod(variable.shape) for variable in network.trainable_variables))
    after = nats_per_symbol(network, data["test"])
    if method == "lora":
        adapters.save_adapters(network, run.path("adapters.npz"))
        network = adapters.merged(network)
    network.save(run.path(f"{method}.keras"))
    asked = parts["test"][: settings["shown"]]
    prompts = [tokens.encode(prompt_of(one))[-settings["length"] // 2 :] for one in asked]
    said = kzoo.generate(network, prompts, settings["length"] // 2, end_token=end)
    answers = [tokens.decode(row[row != end]).strip() for row in said]
    return dict(before=before, after=after, trained=trained, answers=answers, history=resume.history)


def main(
    data: str = "instructions",
    base: str | None = None,
    methods: str = "full,lora",
    epochs: int = 3,
    batch_size: int = 8,
    learning_rate: float = 5e-4,
    lora_factor: float = 4.0,
    rank: int = 8,
    length: int = 128,
    sets: str = "alpaca_demo,ag_news,xquad,republic,rt_polarity",
    pieces: int = 4000,
    steps: int = 3000,
    dim: int = 256,
    shown: int = 20,
    samples: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Tunes by each method, and leaves the networks, the adapters alone, the losses and answers to held-out prompts.

    Without `base` a GPT of width `dim` first reads `sets` for so many `steps`. LoRA's rate is `lora_factor` times the
    other's. `length` is the pieces of a prompt with its answer, `samples` cuts every part and text set.
    """
    settings = dict(locals())
    recipes.check_positive(epochs=epochs, batch_size=batch_size, steps=steps, rank=rank, samples=samples)
    instructions = load_instructions(data) if Path(data).is_file() else load_text(data)
    parts = {part: getattr(instructions, part)[:samples] for part in ("train", "validation", "test")}
    engine = keras.config.backend()
    run = Run("instruction_tuning", f"{instructions.name}-{Path(base or 'small').name}-{engine}", settings)
    if base is None:
        kzoo.set_seed(seed)
        run.once("base", functools.partial(learn_to_write, run, settings))
    folder = Path(base) if base else run.path("base")
    rows = {}
    for one in methods.split(","):
        rows[one] = run.once(one, functools.partial(tune, one, parts, settings, folder, run))
    figures = {f"{name}_{key}_loss": row[key] for name, row in rows.items() for key in ("before", "after")}
    figures |= {f"{name}_weights": row["trained"] for name, row in rows.items()}
    figures["seconds"] = round(run.seconds, 1)
    lines = []
    for i, one in enumerate(parts["test"][:shown]):
        lines += [
            "---",
            prompt_of(one) + one.output,
            *(f"{name}: {rows[name]['answers'][i]}" for name in rows),
        ]
    run.path("answers.txt").write_text("\n".join(lines) + "\n")
    curves = {name: [row["history"]["val_loss"]] for name, row in rows.items()}
    title = f"Following instructions ({engine})"
    plots.bands(curves, run.path("losses.png"), title, y="validation loss of answers, nats")
    best = min(rows, key=lambda name: rows[name]["after"])
    network, tokens = keras.models.load_model(run.path(f"{best}.keras")), text_decoder(folder)[1]
    tokens.save(run.path("tokenizer.json"))
    card = dict(model="gpt", data=data, outputs="logits")
    run.save(network, figures=figures, history=rows[best]["history"], **card)
    return figures


if __name__ == "__main__":
    raise SystemExit(recipes.run(main))
