"""A workshop's notes on machines that do not exist, and its own words for their parts, which no model can know.

Each note is on one part of one machine. Whoever searches types the workshop's word for the part and the machine's
name; notes use the ordinary word. So a model finds the machine by its name and has to be taught the part.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORDS = {
    "battery": "zorbic",
    "screen": "plimsen",
    "hinge": "tavorn",
    "motor": "quellit",
    "filter": "drosque",
    "antenna": "fenwalt",
}
"""The ordinary word for a part, and the workshop's."""

_OPENINGS = (
    "The {part} of the {name} was replaced in {month}",
    "For the {name} a new {part} has been in use since {month}",
    "In {month} the {name} came back with a broken {part}",
    "Our {month} check of the {name} found its {part} worn",
)
_MONTHS = ("January", "March", "April", "June", "August", "September", "November", "December")
_PEOPLE = ("Ms Okafor", "Mr Lindqvist", "the night shift", "a trainee", "the supplier", "Dr Haas", "two engineers")
_ACTIONS = ("signed it off", "took photographs", "asked for a refund", "kept the old one", "weighed it twice")
_ENDS = (
    "and the costs went to the repair budget",
    "before it was sent back to the customer",
    "while the line stood still",
    "since no other one was in stock",
    "and nothing else was changed",
    "as the manual asks",
)
_ASKED = ("{word} {name}", "{name} {word} news", "which {word} in {name}?", "is the {word} of {name} fine?")
_SYLLABLES = ("bra", "kel", "vor", "dun", "mis", "tar", "ole", "gri", "san", "pul", "nex", "wha", "jor", "cit")


@dataclass(frozen=True)
class Note:
    """A text on one part of one machine, and what somebody of the workshop would type to find it."""

    machine: str
    part: str
    text: str
    query: str


def write_notes(machines: int, *, seed: int = 0) -> list[Note]:
    """Notes on every part of so many machines, machine by machine; the same ones for the same seed."""
    rng = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < machines:
        names["".join(rng.sample(_SYLLABLES, 3)).capitalize()] = None
    return [_note(name, part, rng) for name in names for part in WORDS]


def _note(name: str, part: str, rng: random.Random) -> Note:
    opening = rng.choice(_OPENINGS).format(part=part, name=name, month=rng.choice(_MONTHS))
    more = [f"{who} {rng.choice(_ACTIONS)} {rng.choice(_ENDS)}" for who in rng.sample(_PEOPLE, 2)]
    text = ". ".join([opening, *more]) + "."
    return Note(name, part, text, rng.choice(_ASKED).format(word=WORDS[part], name=name))


def write_documents(folder: Path, notes: Iterable[Note]) -> Path:
    """A text file for each note."""
    folder.mkdir(parents=True, exist_ok=True)
    for note in notes:
        (folder / f"{note.machine}-{note.part}.txt").write_text(note.text, encoding="utf-8")
    return folder


def build_writer(
    notes: Sequence[Note], *, wrong: Callable[[Note], bool] = lambda note: False
) -> Callable[[dict[str, Any]], str]:
    """An LLM for `kit.chat_server` that writes what the workshop would type.

    wrong  whether it types the word for another part, for that note
    """

    def say(body: dict[str, Any]) -> str:
        task = body["response_format"]["json_schema"]["name"]
        if task == "probe":
            return '{"umekomi_probe": "enforced"}'
        asked = body["messages"][-1]["content"]
        place = next(place for place, note in enumerate(notes) if note.text in asked)
        first = place - place % len(WORDS)
        meant = notes[first + (place + wrong(notes[place])) % len(WORDS)]
        return json.dumps({"query": meant.query})

    return say


def save_word_model(folder: Path, notes: Iterable[Note], *, seed: int = 0) -> Path:
    """A model that tells texts by their words and knows nothing of them: random, one vector a word, one layer.

    It learns in seconds on a processor, at a learning rate of 0.01.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    cut = pre_tokenizers.BertPreTokenizer()
    texts = [text.lower() for note in notes for text in (note.text, note.query)]
    words = sorted({word for text in texts for word, _ in cut.pre_tokenize_str(text)})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate([*special, *words])}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = cut
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
    model = BertModel(
        BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=128, pad_token_id=0, **sizes)
    )
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.normal_()
    inner = folder.with_name(f"{folder.name}-transformer")
    model.save_pretrained(inner)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **names).save_pretrained(inner)
    transformer = modules.Transformer(str(inner), max_seq_length=128)
    parts = [transformer, modules.Pooling(64, pooling_mode="mean"), modules.Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder), create_model_card=False)
    return folder
