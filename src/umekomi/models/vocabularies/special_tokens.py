"""Puts a model's special tokens into a tokenizer: which are recognised in a text, which stand around it."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import Sequence, TemplateProcessing

from umekomi.errors import BrokenModel
from umekomi.models.vocabularies.families import Role
from umekomi.models.vocabularies.settings import TokenizerSettings


def add_special_tokens(tokenizer: Tokenizer, settings: TokenizerSettings) -> None:
    """Make ``tokenizer`` recognise the model's special and added tokens, each under the id that it should have.

    A token that is neither in the vocabulary nor declared with an id is left out: the model has no row for
    it, so that its text is ordinary text. Raises `BrokenModel` where an id does not fit the vocabulary.
    """
    known, new = [], []
    for token, number in (*settings.declared, *_from_family(settings)):
        present = tokenizer.token_to_id(token.content)
        if present is None and number is not None:
            new.append((number, token))
        elif present is not None:
            _check_id(settings, token, number, present)
            known.append(token)
    for token in known:
        _add(tokenizer, token)
    for number, token in sorted(new, key=lambda pair: pair[0]):
        _add(tokenizer, token)
        _check_id(settings, token, number, tokenizer.token_to_id(token.content))


def surround(tokenizer: Tokenizer, settings: TokenizerSettings) -> None:
    """Make ``tokenizer`` put the tokens of its class around every text or pair; nothing where the class has none.

    Raises `BrokenModel` where the vocabulary lacks such a token.
    """
    before, after = _around(settings)
    if before is None and after is None:
        return
    opening, closing = ([token] if token is not None else [] for token in (before, after))
    ids = {token: _id_of(tokenizer, settings, token) for token in (*opening, *closing)}
    family = settings.family
    first = [*opening, "$A", *closing * (family.between if family else 1)]
    second = ["$B", *closing] if closing else [*opening, "$B"]
    template = TemplateProcessing(
        single=[f"{piece}:0" for piece in (*opening, "$A", *closing)],
        pair=[*(f"{piece}:0" for piece in first), *(f"{piece}:{_second_type(settings)}" for piece in second)],
        special_tokens=list(ids.items()),
    )
    present = tokenizer.post_processor
    tokenizer.post_processor = template if present is None else Sequence([present, template])


def _second_type(settings: TokenizerSettings) -> int:
    return settings.family.second_type if settings.family else 0


def _from_family(settings: TokenizerSettings) -> list[tuple[AddedToken, None]]:
    """The class's own special tokens for the roles that the model does not declare."""
    tokens = settings.family.tokens if settings.family else {}
    return [
        (AddedToken(text, special=True, normalized=False), None)
        for role, text in tokens.items()
        if role not in settings.special
    ]


def _add(tokenizer: Tokenizer, token: AddedToken) -> None:
    if token.special:
        tokenizer.add_special_tokens([token])
    else:
        tokenizer.add_tokens([token])


def _check_id(settings: TokenizerSettings, token: AddedToken, wanted: int | None, present: int | None) -> None:
    if wanted is not None and wanted != present:
        raise BrokenModel(
            f"{settings.folder}: the token '{token.content}' is declared with the id {wanted}, "
            f"but the vocabulary gives it {present}"
        )


def _around(settings: TokenizerSettings) -> tuple[str | None, str | None]:
    """The tokens before and after a text."""
    family = settings.family
    if family is None:
        return None, None
    before, after = family.before, family.after
    if before == "bos_token" or after == "eos_token":
        # Language models say it with switches; their classes set the defaults.
        before = "bos_token" if settings.switch("add_bos_token", before is not None) else None
        after = "eos_token" if settings.switch("add_eos_token", after is not None) else None
    return _token_in(settings, before), _token_in(settings, after)


def _token_in(settings: TokenizerSettings, role: Role | None) -> str | None:
    return settings.token(role) if role else None


def _id_of(tokenizer: Tokenizer, settings: TokenizerSettings, token: str) -> int:
    number: int | None = tokenizer.token_to_id(token)
    if number is None:
        raise BrokenModel(f"{settings.folder}: the vocabulary lacks '{token}', which {settings.class_name} needs")
    return number
