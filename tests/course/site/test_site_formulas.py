"""Formulas: what each piece of LaTeX becomes, what is refused, and that all formulas of the lessons can be drawn."""

import json
import re
from pathlib import Path
from xml.dom.minidom import parseString

import pytest

from cl_teach.course.site.formulas import mathml

NOTEBOOKS = sorted((Path(__file__).parents[3] / "notebooks").rglob("*.ipynb"))
MINUS = '<mo form="prefix">−</mo>'
COMMA = "<mo>,</mo>"


def bracket(sign: str) -> str:
    return f'<mo stretchy="false" lspace="0" rspace="0">{sign}</mo>'


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("x", "<mi>x</mi>"),
        ("6000", "<mn>6000</mn>"),
        ("0.5", "<mn>0.5</mn>"),
        ("1.", "<mrow><mn>1</mn><mo>.</mo></mrow>"),
        (r"\theta_A", "<msub><mi>θ</mi><mi>A</mi></msub>"),
        ("g^2", "<msup><mi>g</mi><mn>2</mn></msup>"),
        ("x^23", "<mrow><msup><mi>x</mi><mn>2</mn></msup><mn>3</mn></mrow>"),
        ("a^*_j", "<msubsup><mi>a</mi><mi>j</mi><mo>∗</mo></msubsup>"),
        (r"\theta_{A,i}", f"<msub><mi>θ</mi><mrow><mi>A</mi>{COMMA}<mi>i</mi></mrow></msub>"),
        ("d'", '<mrow><mi>d</mi><mo lspace="0" rspace="0">′</mo></mrow>'),
        ("d'_i", '<msub><mrow><mi>d</mi><mo lspace="0" rspace="0">′</mo></mrow><mi>i</mi></msub>'),
        ("a - b", "<mrow><mi>a</mi><mo>−</mo><mi>b</mi></mrow>"),
        ("-b", f"<mrow>{MINUS}<mi>b</mi></mrow>"),
        ("= -b", f"<mrow><mo>=</mo>{MINUS}<mi>b</mi></mrow>"),
        (r"a \cdot -b", f"<mrow><mi>a</mi><mo>·</mo>{MINUS}<mi>b</mi></mrow>"),
        ("(-b)", f"<mrow>{bracket('(')}{MINUS}<mi>b</mi>{bracket(')')}</mrow>"),
        ("(a)-b", f"<mrow>{bracket('(')}<mi>a</mi>{bracket(')')}<mo>−</mo><mi>b</mi></mrow>"),
        ("j<T", "<mrow><mi>j</mi><mo>&lt;</mo><mi>T</mi></mrow>"),
        (r"\tfrac12", '<mstyle displaystyle="false"><mfrac><mn>1</mn><mn>2</mn></mfrac></mstyle>'),
        (r"\frac{a}{b}", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
        (r"\frac1B", "<mfrac><mn>1</mn><mi>B</mi></mfrac>"),
        (r"\sqrt n", "<msqrt><mi>n</mi></msqrt>"),
        (r"\bar g", '<mover accent="true"><mi>g</mi><mo stretchy="false">¯</mo></mover>'),
        (r"\mathbb{E}", "<mi>𝔼</mi>"),
        (r"\mathbb E_x", "<msub><mi>𝔼</mi><mi>x</mi></msub>"),
        (r"\text{by Bayes.}", "<mtext>by Bayes.</mtext>"),
        (r"\text{ by <B> }", "<mtext>\u00a0by &lt;B&gt;\u00a0</mtext>"),
        (r"\log p", '<mrow><mo lspace="0.17em" rspace="0.17em">log</mo><mi>p</mi></mrow>'),
        (r"\operatorname{diag}", '<mo lspace="0.17em" rspace="0.17em">diag</mo>'),
        (r"a\,b", '<mrow><mi>a</mi><mspace width="0.17em"></mspace><mi>b</mi></mrow>'),
        (r"a\,-b", '<mrow><mi>a</mi><mspace width="0.17em"></mspace><mo>−</mo><mi>b</mi></mrow>'),
        (r"\lVert", bracket("‖")),
        (r"\nabla", '<mi mathvariant="normal">∇</mi>'),
        (r"\big[", '<mo stretchy="false" mathsize="1.2em" lspace="0" rspace="0">[</mo>'),
        (r"\left(a\right)", '<mrow><mo lspace="0" rspace="0">(</mo><mi>a</mi><mo lspace="0" rspace="0">)</mo></mrow>'),
        (r"\sum_i", '<msub><mo movablelimits="false">∑</mo><mi>i</mi></msub>'),
    ],
)
def test_what_becomes_of_it(latex, expected):
    assert mathml(latex) == f'<math display="inline">{expected}</math>'


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\sum_i", '<munder><mo movablelimits="false">∑</mo><mi>i</mi></munder>'),
        (r"\sum_i^n", '<munderover><mo movablelimits="false">∑</mo><mi>i</mi><mi>n</mi></munderover>'),
        (r"x_i", "<msub><mi>x</mi><mi>i</mi></msub>"),
        (
            r"a \textstyle \sum_i b",
            '<mrow><mi>a</mi><mstyle displaystyle="false"><mrow><msub><mo movablelimits="false">∑</mo><mi>i</mi></msub>'
            "<mi>b</mi></mrow></mstyle></mrow>",
        ),
        (r"\underbrace{a}_{\text{b}}", '<munder><mrow class="braced"><mi>a</mi></mrow><mtext>b</mtext></munder>'),
        (
            r"\begin{aligned} a &= 1 \\ b &= 2 \end{aligned}",
            '<mtable displaystyle="true">'
            "<mtr><mtd><mi>a</mi></mtd><mtd><mrow><mo>=</mo><mn>1</mn></mrow></mtd></mtr>"
            "<mtr><mtd><mi>b</mi></mtd><mtd><mrow><mo>=</mo><mn>2</mn></mrow></mtd></mtr></mtable>",
        ),
    ],
)
def test_what_becomes_of_it_on_a_line_of_its_own(latex, expected):
    assert mathml(latex, block=True) == f'<math display="block">{expected}</math>'


@pytest.mark.parametrize(
    ("latex", "words"),
    [
        (r"a \foo b", r"formula has \foo, which formulas.py does not know: a \foo b"),
        (r"\begin{matrix} a", r"has \begin{matrix}, which formulas.py does not know"),
        (r"\frac{a", "needs } where it has its end"),
        (r"\frac{a}", "ends too soon"),
        ("x^", "ends too soon"),
        ("a}", "has } that nothing opened"),
        ("a & b", "has & that nothing opened"),
        (r"\text a", "needs { where it has a"),
        (r"\left( a", r"needs \right where it has its end"),
        ("^2", "has ^ where something else must stand"),
        (r"\mathbb{Q}", r"has \mathbb{Q}, which is none of E, R, P"),
    ],
)
def test_what_is_refused(latex, words):
    with pytest.raises(ValueError) as error:
        mathml(latex)
    assert words in str(error.value) and str(error.value).startswith("formula ") and "\n" not in str(error.value)


def test_the_formulas_of_all_lessons_are_drawn():
    seen = 0
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                text = re.sub(r"```.*?```|`[^`]*`", "", "".join(cell["source"]), flags=re.S)
                for block, inline in re.findall(r"\$\$(.*?)\$\$|\$([^$]*)\$", text, flags=re.S):
                    parseString(mathml(block or inline, block=bool(block)))
                    seen += 1
    assert seen >= 150
