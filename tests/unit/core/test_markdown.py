"""Any text can be shown in Markdown."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tessera.core.markdown import ROWS_SHOWN, plain, table

TEXTS = st.text(st.sampled_from("ab 1_*`|<>[]\\"), max_size=12)


@given(TEXTS)
def test_text_is_escaped(text: str) -> None:
    shown = MarkdownIt().parseInline(f"x {plain(text)}")[0].children or []
    assert {child.type for child in shown} <= {"text", "text_special"}
    assert "".join(child.content for child in shown).split() == ["x", *text.split()]


def test_a_plain_name_is_not_escaped() -> None:
    assert plain("nsfw_detection of a_b") == "nsfw_detection of a_b"


def test_a_long_table_says_how_much_is_left_out() -> None:
    made = table(["name", "count"], [[f"a|{number}", number] for number in range(ROWS_SHOWN + 3)])
    assert made.startswith("| name | count |\n| :-- | --: |\n| a\\|0 | 0 |\n")
    assert made.endswith("\nand 3 more, see the JSON beside this file\n")
    assert len(made.splitlines()) == 2 + ROWS_SHOWN + 2
