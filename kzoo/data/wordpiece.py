"""Learning a WordPiece vocabulary, the same from the same texts each time.

The library `tokenizers` numbers the pieces `##x` in the order in which its hash table gives the words, which differs
from call to call, and with the numbers it breaks ties differently. Given all of them before, in order, it has no
choice.
"""

import collections
import json

CHARACTERS = 1000  # of which there are pieces at most, the most frequent ones: the library's own limit
PREFIX = "##"


def learn(tokenizer, texts, specials, options):
    """A trained tokenizer, from an empty one with its normalizer and pre-tokenizer.

    Args:
        tokenizer: a `tokenizers.Tokenizer` of an empty WordPiece model.
        texts: an iterable of strings; of them the different words are held in memory.
        specials: entries with a meaning of their own.
        options: others of `tokenizers.trainers.WordPieceTrainer`.
    """
    from tokenizers import Tokenizer, trainers

    words = collections.Counter()
    for text in texts:
        parts = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        words.update(word for word, _ in parts)
    characters = collections.Counter()
    for word, count in words.items():
        for character in word[1:]:
            characters[character] += count
    known = sorted(characters, key=lambda character: (-characters[character], character))[:CHARACTERS]
    given = [*specials, *(PREFIX + character for character in sorted(known))]
    trainer = trainers.WordPieceTrainer(
        special_tokens=given, continuing_subword_prefix=PREFIX, limit_alphabet=CHARACTERS, **options
    )
    tokenizer.train_from_iterator(
        (word for word, count in sorted(words.items()) for _ in range(count)), trainer
    )
    # In texts `##x` is three characters: only what was meant to be special stays so.
    told = json.loads(tokenizer.to_str())
    told["added_tokens"] = [entry for entry in told["added_tokens"] if entry["content"] in specials]
    return Tokenizer.from_str(json.dumps(told))
