"""Instructions with the answers that a model should learn to give."""

import json
from dataclasses import dataclass
from pathlib import Path

from kzoo.data.fetch import File
from kzoo.data.reading import github, published_text, read_text

BOOK = github("rasbt/LLMs-from-scratch", "28c65cdfbc3338e2e040016eea4b7fdf556e4d57")
FACTORY = github("hiyouga/LLaMA-Factory", "ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30", "data")
ALPACA = github("tatsu-lab/stanford_alpaca", "761dc5bfbdeeffa89b8bff5d038781a4055f796a")
FILES = {
    name: File("instruction", filename, f"sha256:{digest}", size, (base,))
    for name, filename, digest, size, base in (
        (
            *("instructions", "instruction-data.json"),
            *("7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944", 203_524),
            f"{BOOK}/ch07/01_main-chapter-code",
        ),
        (
            *("preferences", "instruction-data-with-preference.json"),
            *("305315abf14f65fa42c01a0877572f832606571c2a7d49f152ac1d758b16756e", 386_968),
            f"{BOOK}/ch07/04_preference-tuning-with-dpo",
        ),
        (
            *("alpaca_demo", "alpaca_en_demo.json"),
            *("bcc37c64db1a739a0789a1b81f251146fcf4459f903474bc9e3c21bbb5628318", 859_893),
            FACTORY,
        ),
        (
            *("seed_tasks", "seed_tasks.jsonl"),
            *("7779004fa198fdf27cf70a159363879d8a26c53329e11b436af17b3941875f48", 110_934),
            ALPACA,
        ),
    )
}


@dataclass(frozen=True)
class Instruction:
    """What is asked for and what is to be answered.

    Attributes:
        instruction: what to do.
        input: what to do it with; may be empty.
        output: the answer.
        chosen, rejected: a better and a worse answer, where the data set has them.
    """

    instruction: str
    input: str
    output: str
    chosen: str | None = None
    rejected: str | None = None


@dataclass(frozen=True)
class InstructionData:
    """A data set of instructions in three parts.

    Attributes:
        name: the data set's name.
        train, validation, test: tuples of `Instruction`.
        source: where it comes from.
        licence: its terms, in a few words.
    """

    name: str
    train: tuple
    validation: tuple
    test: tuple
    source: str
    licence: str


def load_instructions(path):
    """A file of your own as an `InstructionData`: a JSON list of `{"instruction", "input", "output"}`, as Alpaca's.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of another format, or has fewer than 20 instructions.
    """
    try:
        rows = json.loads(read_text(path))
        examples = [Instruction(row["instruction"], row.get("input", ""), row["output"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must be a list of instruction, input and output. Received: {type(error).__name__} {error}"
        ) from error
    if len(examples) < 20:
        raise ValueError(f"{path} must have 20 instructions at least. Received: {len(examples)}")
    return InstructionData(Path(path).stem, *_parted(examples), str(path), "yours")


def _parted(examples):
    """In the order of the file, as the book does: 85 % to train on, the next 10 % to test, the rest to validate."""
    first, second = int(0.85 * len(examples)), int(0.1 * len(examples))
    train, test = examples[:first], examples[first : first + second]
    return tuple(train), tuple(examples[first + second :]), tuple(test)


def _load(name):
    text = published_text(FILES[name])
    rows = [json.loads(line) for line in text.splitlines()] if name == "seed_tasks" else json.loads(text)
    examples = []
    for row in rows:
        answers = row.get("instances", [row])
        for answer in answers:
            more = (row.get("chosen"), row.get("rejected"))
            examples.append(Instruction(row["instruction"], answer["input"], answer["output"], *more))
    return InstructionData(name, *_parted(examples), TABLE[name]["source"], TABLE[name]["licence"])


TABLE = {
    "instructions": {
        "line": "1,100 short instructions with answers; parts in the order of the file, 85 : 5 : 10",
        "load": lambda: _load("instructions"),
        "source": "Raschka (2024), https://github.com/rasbt/LLMs-from-scratch, chapter 7",
        "licence": "Apache-2.0",
    },
    "preferences": {
        "line": "the same 1,100 instructions with a better and a worse answer to each",
        "load": lambda: _load("preferences"),
        "source": "Raschka (2024), https://github.com/rasbt/LLMs-from-scratch, chapter 7",
        "licence": "Apache-2.0",
    },
    "alpaca_demo": {
        "line": "999 instructions in the manner of Alpaca with longer answers; 85 : 5 : 10",
        "load": lambda: _load("alpaca_demo"),
        "source": "https://github.com/hiyouga/LLaMA-Factory",
        "licence": "Apache-2.0",
    },
    "seed_tasks": {
        "line": "175 instructions written by people, from which Alpaca's were made; 85 : 5 : 10",
        "load": lambda: _load("seed_tasks"),
        "source": "Wang et al. (2022), arXiv:2212.10560; https://github.com/tatsu-lab/stanford_alpaca",
        "licence": "CC BY-NC 4.0",
    },
}
