r"""Formulas as MathML, which browsers draw without a script or a network, and screen readers read.

This is the part of LaTeX that the lessons use. What it does not know it refuses: a formula half drawn would be a wrong one.
"""

from __future__ import annotations

import re
from html import escape

LETTERS = {
    "theta": "θ", "lambda": "λ", "eta": "η", "beta": "β", "gamma": "γ", "rho": "ρ", "sigma": "σ", "Lambda": "Λ", "nabla": "∇",
    "partial": "∂", "dots": "…", "top": "⊤", "alpha": "α", "delta": "δ", "mu": "μ", "epsilon": "ε", "phi": "φ", "infty": "∞",
}  # fmt: skip
OPERATORS = {
    "cdot": "·", "odot": "⊙", "otimes": "⊗", "approx": "≈", "mid": "∣", "sim": "∼", "ne": "≠", "le": "≤", "ge": "≥",
    "leftarrow": "←", "rightarrow": "→", "times": "×", "in": "∈", "propto": "∝", "pm": "±",
}  # fmt: skip
FUNCTIONS = ("log", "max", "min", "exp")
UNDER = ("sum", "max", "min")  # whose indices stand below them in a formula on a line of its own
FENCES = {"lVert": "‖", "rVert": "‖", "{": "{", "}": "}", "|": "‖"}
SPACES = {",": "0.17em", ";": "0.28em", "quad": "1em", "qquad": "2em", " ": "0.33em", "!": "-0.17em"}
ACCENTS = {"bar": "¯", "tilde": "~", "hat": "^"}
SIZES = {"big": "1.2em", "Big": "1.8em"}
DOUBLE = {"E": "𝔼", "R": "ℝ", "P": "ℙ"}
BRACKETS = "()[]|"
SMALL = '<mstyle displaystyle="false">{}</mstyle>'


def mathml(latex: str, block: bool = False) -> str:
    """The formula ``latex`` (without its dollars) as a ``<math>`` element.

    Args:
        latex: such as ``\\frac{\\lambda}{2} \\sum_i F_i``.
        block: a formula on a line of its own, with tall fractions and with indices below sums.

    Raises:
        ValueError: a command that is not in the tables above, or braces that do not match.
    """
    kind = "block" if block else "inline"
    return f'<math display="{kind}">{_Formula(latex, block).all()}</math>'


class _Formula:
    """Reads from left to right; each method takes what it needs from ``left``, and gives MathML."""

    def __init__(self, latex: str, block: bool) -> None:
        self.latex, self.block = latex, block
        self.left: list[str] = re.findall(r"\\[A-Za-z]+|\\.|\S|\s+", latex, re.DOTALL)

    def all(self) -> str:
        found = self.row()
        if self.left:
            raise self.error(f"has {self.left[0]} that nothing opened")
        return found

    def error(self, words: str) -> ValueError:
        return ValueError(f"formula {words}: {' '.join(self.latex.split())[:200]}")

    def peek(self) -> str:
        while self.left and self.left[0].isspace():
            self.left.pop(0)
        return self.left[0] if self.left else ""

    def take(self) -> str:
        if not self.peek():
            raise self.error("ends too soon")
        return self.left.pop(0)

    def row(self, *ends: str) -> str:
        """What stands before one of ``ends``, which stays; or before any end if none is named."""
        parts: list[str] = []
        operand = False  # whether a minus here stands between two things
        while (token := self.peek()) and token not in (ends or ("}", r"\right", "&", r"\\", r"\end")):
            if token == r"\textstyle":
                self.take()
                block, self.block = self.block, False
                parts.append(SMALL.format(self.row(*ends)))
                self.block = block
            elif token in "+-" and not operand:
                self.take()
                parts.append(_operator("−" if token == "-" else "+", form="prefix"))
            else:
                parts.append(self.scripted())
                if token[1:] not in SPACES:
                    operand = token not in "+-=<>([,;/" and token[1:] not in OPERATORS
        return f"<mrow>{''.join(parts)}</mrow>" if len(parts) != 1 else parts[0]

    def scripted(self) -> str:
        """One thing with what stands above and below it."""
        token = self.peek()
        base, below, above = self.one(), "", ""
        while self.peek() == "'":
            self.take()
            base = f'<mrow>{base}<mo lspace="0" rspace="0">′</mo></mrow>'
        while (script := self.peek()) and script in "_^":
            self.take()
            if script == "_":
                below = self.argument()
            else:
                above += self.argument()
        under = token == r"\underbrace" or (self.block and token[1:] in UNDER)
        if below and above:
            return f"<munderover>{base}{below}{above}</munderover>" if under else f"<msubsup>{base}{below}{above}</msubsup>"
        if below:
            return f"<munder>{base}{below}</munder>" if under else f"<msub>{base}{below}</msub>"
        return f"<msup>{base}{above}</msup>" if above else base

    def argument(self) -> str:
        """What a command or an index takes: a group in braces, or one sign."""
        if self.peek().isdigit():
            return f"<mn>{self.take()}</mn>"
        return self.one()

    def words(self) -> str:
        """What stands in braces, as it is; spaces at its ends are kept."""
        self.expect("{")
        end = self.left.index("}") if "}" in self.left else len(self.left)
        text = escape("".join(self.left[:end]))
        del self.left[:end]
        self.expect("}")
        return re.sub(r"^\s+|\s+$", "\u00a0", text)

    def expect(self, token: str) -> None:
        if (found := self.peek()) != token:
            raise self.error(f"needs {token} where it has {found or 'its end'}")
        self.take()

    def fence(self) -> str:
        """The bracket after ``\\left``, ``\\big`` and the like."""
        token = self.take()
        return escape(FENCES[token[1:]] if token[0] == "\\" else token)

    def one(self) -> str:
        token = self.take()
        name = token[1:]
        if token == "{":
            inside = self.row("}")
            self.expect("}")
            return inside
        if token.isdigit():
            while self.left and (self.left[0].isdigit() or (self.left[0] == "." and self.left[1:2] and self.left[1].isdigit())):
                token += self.left.pop(0)
            return f"<mn>{token}</mn>"
        if token[0] != "\\":
            return self.sign(token)
        if name in LETTERS:
            upright = ' mathvariant="normal"' if name in ("Lambda", "nabla", "partial", "top") else ""
            return f"<mi{upright}>{LETTERS[name]}</mi>"
        if name in OPERATORS:
            return _operator(OPERATORS[name])
        if name == "sum":
            return _operator("∑", movablelimits="false")
        if name in FUNCTIONS or name == "operatorname":
            return _operator(name if name in FUNCTIONS else self.words(), lspace="0.17em", rspace="0.17em")
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"></mspace>'
        if name in FENCES:
            return _operator(FENCES[name], stretchy="false", lspace="0", rspace="0")
        if name in SIZES:
            return _operator(self.fence(), stretchy="false", mathsize=SIZES[name], lspace="0", rspace="0")
        if name in ("text", "mathrm"):
            return f"<mtext>{self.words()}</mtext>"
        return self.command(name)

    def sign(self, token: str) -> str:
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token in BRACKETS:
            return _operator(token, stretchy="false", lspace="0", rspace="0")
        if token == "/":
            return _operator(token, lspace="0", rspace="0")
        if token in "}&^_$#%~":
            raise self.error(f"has {token} where something else must stand")
        return _operator({"-": "−", "*": "∗"}.get(token, escape(token)))

    def command(self, name: str) -> str:
        if name in ("frac", "tfrac"):
            fraction = f"<mfrac>{self.argument()}{self.argument()}</mfrac>"
            return SMALL.format(fraction) if name == "tfrac" else fraction
        if name == "sqrt":
            return f"<msqrt>{self.argument()}</msqrt>"
        if name == "mathbb":
            letters = re.sub("<.*?>", "", self.argument())
            if letters not in DOUBLE:
                raise self.error(rf"has \mathbb{{{letters}}}, which is none of {', '.join(DOUBLE)}")
            return f"<mi>{DOUBLE[letters]}</mi>"
        if name in ACCENTS:
            return f'<mover accent="true">{self.argument()}<mo stretchy="false">{ACCENTS[name]}</mo></mover>'
        if name == "underbrace":
            return f'<mrow class="braced">{self.argument()}</mrow>'  # a sign would need a font for mathematics to grow
        if name == "left":
            left = _operator(self.fence(), lspace="0", rspace="0")
            inside = self.row(r"\right")
            self.expect(r"\right")
            return f"<mrow>{left}{inside}{_operator(self.fence(), lspace='0', rspace='0')}</mrow>"
        if name == "begin" and (what := self.words()) == "aligned":
            return self.aligned()
        raise self.error(f"has \\{name if name != 'begin' else 'begin{' + what + '}'}, which formulas.py does not know")

    def aligned(self) -> str:
        """Lines under each other, with their signs of equality in one column."""
        lines: list[list[str]] = [[]]
        while True:
            lines[-1].append(self.row("&", r"\\", r"\end"))
            token = self.take()
            if token == r"\end":
                break
            if token == r"\\":
                lines.append([])
        self.words()
        rows = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in line)}</mtr>" for line in lines)
        return f'<mtable displaystyle="true">{rows}</mtable>'


def _operator(sign: str, **attributes: str) -> str:
    named = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<mo{named}>{sign}</mo>"
