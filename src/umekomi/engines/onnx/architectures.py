"""One reader for each architecture: config.json and the names in the checkpoint to a `Blueprint`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from umekomi.engines.onnx.blueprint import Attention, Blueprint, FeedForward, Layer, Linear, Norm, Positions
from umekomi.engines.onnx.modernbert import read_modernbert
from umekomi.engines.onnx.settings import Settings
from umekomi.models.checkpoint import Checkpoint

_DISTILBERT_EPSILON = 1e-12  # fixed in that architecture, not in its config.json


def read_blueprint(settings: Settings, checkpoint: Checkpoint) -> Blueprint:
    """The blueprint of the model that ``settings`` describe.

    Raises `UnsupportedModel` for another architecture or a setting that changes the computation, `BrokenModel` for
    values that are missing or do not fit.
    """
    reader = _READERS.get(settings.values.get("model_type", ""))
    if reader is None:
        raise settings.unsupported("model_type", f"{', '.join(_READERS)}, and others that ship an onnx/model.onnx")
    return reader(settings, checkpoint)


def _read_bert(settings: Settings, checkpoint: Checkpoint) -> Blueprint:
    return _read_bert_family(settings, checkpoint, after_pad=None)


def _read_roberta(settings: Settings, checkpoint: Checkpoint) -> Blueprint:
    """RoBERTa, XLM-R, and LUKE's word half: entity tensors are never read."""
    return _read_bert_family(settings, checkpoint, after_pad=settings.integer("pad_token_id", 1, least=0))


def _read_bert_family(settings: Settings, checkpoint: Checkpoint, *, after_pad: int | None) -> Blueprint:
    settings.require("position_embedding_type", "absolute")
    settings.require("is_decoder", False)
    settings.require("add_cross_attention", False)
    settings.divided("hidden_size", by="num_attention_heads")
    hidden = settings.integer("hidden_size")
    words = "embeddings.word_embeddings.weight"
    prefix = checkpoint.prefix(words)
    epsilon = settings.number("layer_norm_eps", 1e-12)
    return Blueprint(
        vocabulary=settings.integer("vocab_size"),
        hidden=hidden,
        words=prefix + words,
        positions=Positions(
            table=f"{prefix}embeddings.position_embeddings.weight",
            rows=settings.integer("max_position_embeddings"),
            after_pad=after_pad,
        ),
        token_types=f"{prefix}embeddings.token_type_embeddings.weight",
        token_type_rows=settings.integer("type_vocab_size", 2),
        embedding_norm=_norm(f"{prefix}embeddings.LayerNorm", hidden, epsilon),
        layers=tuple(
            _bert_layer(f"{prefix}encoder.layer.{index}.", settings)
            for index in range(settings.layers("num_hidden_layers"))
        ),
    )


def _bert_layer(prefix: str, settings: Settings) -> Layer:
    hidden = settings.integer("hidden_size")
    inner = settings.integer("intermediate_size")
    epsilon = settings.number("layer_norm_eps", 1e-12)
    own = f"{prefix}attention.self."
    return Layer(
        attention=Attention(
            qkv=_linear((f"{own}query", f"{own}key", f"{own}value"), hidden, hidden * 3),
            out=_linear((f"{prefix}attention.output.dense",), hidden, hidden),
            heads=settings.integer("num_attention_heads"),
        ),
        attention_norm=_norm(f"{prefix}attention.output.LayerNorm", hidden, epsilon),
        feed_forward=FeedForward(
            up=_linear((f"{prefix}intermediate.dense",), hidden, inner),
            down=_linear((f"{prefix}output.dense",), inner, hidden),
            activation=settings.activation("hidden_act"),
        ),
        feed_forward_norm=_norm(f"{prefix}output.LayerNorm", hidden, epsilon),
    )


def _read_distilbert(settings: Settings, checkpoint: Checkpoint) -> Blueprint:
    settings.divided("dim", by="n_heads")
    hidden = settings.integer("dim")
    words = "embeddings.word_embeddings.weight"
    prefix = checkpoint.prefix(words)
    return Blueprint(
        vocabulary=settings.integer("vocab_size"),
        hidden=hidden,
        words=prefix + words,
        positions=Positions(
            f"{prefix}embeddings.position_embeddings.weight", settings.integer("max_position_embeddings")
        ),
        token_types=None,
        token_type_rows=0,
        embedding_norm=_norm(f"{prefix}embeddings.LayerNorm", hidden, _DISTILBERT_EPSILON),
        layers=tuple(
            _distilbert_layer(f"{prefix}transformer.layer.{index}.", settings)
            for index in range(settings.layers("n_layers"))
        ),
    )


def _distilbert_layer(prefix: str, settings: Settings) -> Layer:
    hidden, inner = settings.integer("dim"), settings.integer("hidden_dim")
    own = f"{prefix}attention."
    return Layer(
        attention=Attention(
            qkv=_linear((f"{own}q_lin", f"{own}k_lin", f"{own}v_lin"), hidden, hidden * 3),
            out=_linear((f"{own}out_lin",), hidden, hidden),
            heads=settings.integer("n_heads"),
        ),
        attention_norm=_norm(f"{prefix}sa_layer_norm", hidden, _DISTILBERT_EPSILON),
        feed_forward=FeedForward(
            up=_linear((f"{prefix}ffn.lin1",), hidden, inner),
            down=_linear((f"{prefix}ffn.lin2",), inner, hidden),
            activation=settings.activation("activation"),
        ),
        feed_forward_norm=_norm(f"{prefix}output_layer_norm", hidden, _DISTILBERT_EPSILON),
    )


def _linear(modules: tuple[str, ...], in_features: int, out_features: int) -> Linear:
    return Linear(
        weights=tuple(f"{module}.weight" for module in modules),
        biases=tuple(f"{module}.bias" for module in modules),
        in_features=in_features,
        out_features=out_features,
    )


def _norm(module: str, features: int, epsilon: float) -> Norm:
    return Norm(f"{module}.weight", f"{module}.bias", features, epsilon)


_READERS: Mapping[str, Callable[[Settings, Checkpoint], Blueprint]] = {
    "bert": _read_bert,
    "roberta": _read_roberta,
    "xlm-roberta": _read_roberta,
    "distilbert": _read_distilbert,
    "luke": _read_roberta,
    "modernbert": read_modernbert,
}
