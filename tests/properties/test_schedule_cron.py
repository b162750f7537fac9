"""Crons in general: what is accepted runs when its fields say, and can be said in words."""

from datetime import UTC, datetime

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pipelines.schedule.cron import FIELDS, Cron, Field

START = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)


def values(field: Field) -> st.SearchStrategy[str]:
    number = st.integers(field.low, field.high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = step_of(field).map(lambda gap: f"*/{gap}")
    from_on = st.tuples(number, step_of(field)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    within = st.tuples(span, step_of(field)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    listed = st.lists(number, min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
    return st.one_of(st.just("*"), number.map(str), span, step, from_on, within, listed)


def step_of(field: Field) -> st.SearchStrategy[int]:
    return st.integers(1, field.high)


# Seconds and minutes are single numbers, or nearly all would be refused as too frequent.
expressions = st.tuples(
    st.integers(0, 59).map(str), st.integers(0, 59).map(str), *(values(field) for field in FIELDS[2:])
).map(" ".join)


def admits(field: str, value: int, low_of_range: int = 0) -> bool:
    """An independent reading of one field."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if span == "*":
            if not step or (value - low_of_range) % int(step) == 0:
                return True
        elif step:  # from the first value on, in steps, up to the last or to the end of the field
            if int(low) <= value <= int(high or value) and (value - int(low)) % int(step) == 0:
                return True
        elif int(low) <= value <= int(high or low):
            return True
    return False


@settings(max_examples=150)
@given(expressions)
def test_every_time_is_one_that_the_fields_admit(text: str) -> None:
    try:
        cron = Cron(text)
    except ValueError:
        reject()  # 30 February, or several hours' worth of minutes
    second, minute, hour, day, month, weekday = text.split()
    assert cron.words().startswith("at ")
    for time in cron.times(START, 3):
        assert (time.second, time.minute) == (int(second), int(minute))
        assert admits(hour, time.hour)
        assert admits(month, time.month, 1)
        on_day, on_weekday = admits(day, time.day, 1), admits(weekday, time.isoweekday() % 7)
        # Both given: either is enough, as in every cron.
        either = not day.startswith("*") and not weekday.startswith("*")
        assert (on_day or on_weekday) if either else (on_day and on_weekday)
