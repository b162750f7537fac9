"""The mutations that `make mutants` tries: each is one small mistake, in a text that still compiles."""

import pytest

from tests.mutants.mutations import mutations


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a < b", {"(a <= b)", "(a > b)"}),
        ("a - 1", {"(a + 1)", "a - 2"}),
        ("if a and b: pass", {"if ((a) or (b)): pass", "if ((a)): pass", "if ((b)): pass", "if (not (a and b)): pass"}),
        ("x = not a", {"x = (a)"}),
        ("x = [a, b]", {"x = [b]", "x = [a]"}),
        ("x = {'k': a, **b}", {"x = {**b}", "x = {'k': a}"}),
        ("f(a, b, key=c)", {"f(b, a, key=c)", "f(a, b)", "pass"}),
        ("for i in (a, b): f(i)", {"for i in (b, a): f(i)", "for i in (b): f(i)", "for i in (a): f(i)"}),
        ("with lock: f()", {"if True: f()", "with lock: pass"}),
        ("with file as handle: x = handle", set()),
        ("x = f(a, a, device=b)", set()),
        ("__all__ = ['a', 'b']", set()),
        ("x = [i for i in y if i]", {"x = [i for i in y if True]"}),
        ("x = bounds['low']", {"x = bounds['high']"}),
        ("raise KeyError('a')", {"pass"}),
        ("x = sorted(y)", {"x = list(y)"}),
        ("def f(a: int = 1): return True", {"def f(a: int = 2): return True", "def f(a: int = 1): return False"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_mistake_at_a_time(source: str, mutants: set[str]) -> None:
    found = {mutation.apply(source.encode()).decode() for mutation in mutations(source.encode())}
    statements = {"pass"} if source in ("a < b", "a - 1") else set()
    inner = {"for i in (a, b): pass"} if source.startswith("for") else set()
    assert found == mutants | statements | inner


def test_what_is_said_to_a_reader_is_left_alone() -> None:
    source = '''"""A docstring."""
_log.info("%d rows", 3)
x = f"{rows - 1} rows"
x = zip(a, strict=True)
assert a < b
'''
    assert mutations(source.encode()) == []
