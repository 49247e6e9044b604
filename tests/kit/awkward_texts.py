"""Texts on which tokenizers and encoders tend to differ."""

from __future__ import annotations

from hypothesis import strategies as st

AWKWARD = (
    "",
    " ",
    "\u3000",
    "a",
    "  two  spaces, and a trailing one ",
    "埋め込みモデルを社内で動かす。",
    "半角ｶﾅとﾊﾞﾋﾟﾌﾞ、全角ＡＢＣ１２３、㈱①㍿",
    "か\u3099は\u309a と がぱ",
    "～〜ー―‐−－",
    "e\u0301 é ñ n\u0303 A\u030a Å Å",
    "İSTANBUL ΑΣ ẞ ﬁ",
    "👨‍👩‍👧‍👦 🇯🇵 👍🏽 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ☃☃",
    "line\r\nline\rline\n\ttab",
    "\x01\x1b[0m\x7f\u200b\u200d\u2028\u2029\ufeff\u00a0\u0085",
    "[CLS] [MASK] <s> </s> <mask> ##a",
    "한국어 العربية עברית हिन्दी ไทย 中文",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~「」『』【】・、。",
    "https://example.com/a?b=c&d=%E3%81%82#e 3.14 1,000,000",
    "あ" * 3000,
    "word " * 2000,
    "supercalifragilistic" * 40,
    "😀" * 2000,
)

texts = st.text(
    st.one_of(
        st.sampled_from("abcdeXYZ 019,.\n"),
        st.sampled_from("あいうえおかがきくけこ漢字東京都日本語、。ー"),
        st.sampled_from("ｱｶﾞﾊﾟＡ１\u3000\u3099\u309a\u0301"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=60,
)
"""Any text that a model may be given: no lone surrogates, no NUL."""
