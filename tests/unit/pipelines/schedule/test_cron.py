"""Six fields, seconds first, checked before the cluster sees them and said in words."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines.schedule.cron import Cron

FRIDAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "words", "first"),
    [
        ("0 0 3 * * *", "at 03:00:00 UTC every day", "2026-11-21T03:00:00"),
        ("0 30 2,14 * * MON-FRI", "at 02:30:00 and 14:30:00 UTC on Monday to Friday", "2026-11-20T14:30:00"),
        ("0 0 */6 * * *", "at 00:00:00, 06:00:00, 12:00:00 and 18:00:00 UTC every day", "2026-11-20T18:00:00"),
        ("0 */15 * * * ?", "at second 0 of every 15 minutes of every hour UTC every day", "2026-11-20T12:15:00"),
        ("30 5 */2 * * *", "at second 30 of minute 5 of every 2 hours UTC every day", "2026-11-20T12:05:30"),
        ("0 0 4 1 * ?", "at 04:00:00 UTC on day 1 of the month", "2026-12-01T04:00:00"),
        ("0 0 4 1 JAN,JUL *", "at 04:00:00 UTC on day 1 of the month in January and July", "2027-01-01T04:00:00"),
        ("0 0 0 1,15 * SUN", "at 00:00:00 UTC on day 1 and 15 of the month or Sunday", "2026-11-22T00:00:00"),
        (
            "0 0 4 */10 * MON",
            "at 04:00:00 UTC on day 1, 11, 21 and 31 of the month, if that is Monday",
            "2026-12-21T04:00:00",
        ),
        ("0 0 4 29 2 *", "at 04:00:00 UTC on day 29 of the month in February", "2028-02-29T04:00:00"),
        ("0 0 9-9 * * *", "at 09:00:00 UTC every day", "2026-11-21T09:00:00"),
        (
            "0 15 8-18 * * 1-5",
            "at second 0 of minute 15 of hour 8 to 18 UTC on Monday to Friday",
            "2026-11-20T12:15:00",
        ),
    ],
)
def test_an_expression_is_said_in_words_and_in_times(cron: str, words: str, first: str) -> None:
    clock = Cron(cron)
    assert clock.words() == words
    times = clock.times(FRIDAY)
    assert times[0].isoformat() == f"{first}+00:00"
    assert 2 <= len(times) <= 5, "29 February comes twice in nine years"
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("cron", "times"),
    [
        ("0 0 5/10 * * *", ["20T15:00:00", "21T05:00:00", "21T15:00:00"]),  # from 5 on, not every ten hours from 0
        ("0 5/20 13 * * *", ["20T13:05:00", "20T13:25:00", "20T13:45:00"]),
        ("0 0 8-20/6 * * *", ["20T14:00:00", "20T20:00:00", "21T08:00:00"]),
        ("0 0 23/1 * * *", ["20T23:00:00", "21T23:00:00", "22T23:00:00"]),
        ("0 0 3 * * SUN", ["22T03:00:00", "29T03:00:00"]),
        ("0 0 3 * * 0", ["22T03:00:00", "29T03:00:00"]),
        ("0 0 3 * * sat", ["21T03:00:00", "28T03:00:00"]),
        ("0 0 3 22 * ?", ["22T03:00:00"]),
        ("0 0 3 22 * MON", ["22T03:00:00", "23T03:00:00", "30T03:00:00"]),  # both given: either is enough
        ("0 0 3 */21 * SUN", ["22T03:00:00"]),  # a star gives no day: both must hold
        ("0 0 12 20 * *", []),  # noon of the 20th is not after itself
        ("0 0 3 ? 11 2/2", ["21T03:00:00", "24T03:00:00", "26T03:00:00"]),  # Tuesday, Thursday, Saturday
    ],
)
def test_when_it_runs_in_the_next_days(cron: str, times: list[str]) -> None:
    found = [time.isoformat() for time in Cron(cron).times(FRIDAY, 3)]
    assert found[: len(times)] == [f"2026-11-{time}+00:00" for time in times]
    assert found[0] > FRIDAY.isoformat()


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 5/20 3 * * *", "at 03:05:00, 03:25:00 and 03:45:00 UTC every day"),
        ("0 2/10 * * * *", "at second 0 of every 10 minutes from 2 of every hour UTC every day"),
        ("0 0 1/5 * * *", "at second 0 of minute 0 of every 5 hours from 1 UTC every day"),
        ("0 0 0/10 * * *", "at 00:00:00, 10:00:00 and 20:00:00 UTC every day"),
        ("0 0,10 2-5 * * *", "at second 0 of minute 0 and 10 of hour 2 to 5 UTC every day"),
        ("0 10,15 1,2 * * *", "at 01:10:00, 01:15:00, 02:10:00 and 02:15:00 UTC every day"),
        ("0 0 3 1-3,5 12 *", "at 03:00:00 UTC on day 1 to 3 and 5 of the month in December"),
        ("0 0 3 31 * 1,2", "at 03:00:00 UTC on day 31 of the month or Monday and Tuesday"),
        ("0 0 4,6,8,10,12 * * *", "at second 0 of minute 0 of hour 4, 6, 8, 10 and 12 UTC every day"),
    ],
)
def test_lists_spans_and_steps_in_words(cron: str, words: str) -> None:
    assert Cron(cron).words() == words


@pytest.mark.parametrize(
    ("cron", "allowed"), [("0 */5 * * * *", True), ("0 */4 * * * *", False), ("0 0,56 * * * *", False)]
)
def test_two_runs_are_five_minutes_apart_at_least(cron: str, allowed: bool) -> None:
    if allowed:
        assert Cron(cron).text == cron
    else:
        with pytest.raises(ValueError, match="runs 240 s apart, sooner than a training ends"):
            Cron(cron)


def test_times_are_told_in_utc_whatever_zone_is_asked_from() -> None:
    there = FRIDAY.astimezone(timezone(timedelta(hours=5)))
    assert Cron("0 30 12 * * *").times(there, 1)[0].isoformat() == "2026-11-20T12:30:00+00:00"


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 3 * * *", r"has 5 fields.*the 6-field form is '0 0 3 \* \* \*'"),
        ("@daily", "write six fields instead"),
        ("0 0 3 * *  * *", "must have 6 fields"),
        ("", "must have 6 fields"),
        ("* 0 3 * * *", "runs 1 s apart"),
        ("0 * 3 * * *", "runs 60 s apart, sooner than a training ends"),
        ("0 0-4 3 * * *", "runs 60 s apart"),
        ("0 0 25 * * *", r"the hour '25' must lie in \[0, 23\]"),
        ("0 60 3 * * *", r"the minute '60' must lie in \[0, 59\]"),
        ("0 0 3 0 * *", r"the day of month '0' must lie in \[1, 31\]"),
        ("0 0 3 * * 7", r"the day of week '7' must lie in \[0, 6\]"),
        ("0 0 3 L * *", r"the day of month 'L'"),
        ("0 0 3 * FOO *", r"the month 'FOO'"),
        ("0 0 5-3 * * *", "the hour '5-3' is empty"),
        ("0 0 */0 * * *", r"the hour '\*/0' is empty"),
        ("0 0 *-5 * * *", r"mixes \* with a range"),
        ("0 0 3 * * MON#1", r"the day of week 'MON#1' is none of"),
        ("0 0 3 30 2 *", "never runs, no date is like that"),
    ],
)
def test_what_the_scheduler_would_misread_is_refused(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cron(cron)


def test_five_fields_would_have_run_every_hour() -> None:
    """What the refusal prevents, by the scheduler's own reading: seconds first, day of week left out."""
    hourly = Cron("0 3 * * * *").times(FRIDAY, 2)
    assert [time.isoformat() for time in hourly] == ["2026-11-20T12:03:00+00:00", "2026-11-20T13:03:00+00:00"]
