"""A map that forgets the oldest entry rather than grow."""

from bff.bounded_map import BoundedMap


def test_one_more_drops_the_entry_that_was_set_longest_ago() -> None:
    known: BoundedMap[int, int] = BoundedMap(3)
    for number in (1, 2, 3):
        assert known.keep(number, -number) == -number
    known[1] = 0  # set anew, and so the youngest
    known[4] = -4
    assert dict(known) == {3: -3, 1: 0, 4: -4}


def test_it_never_holds_more_than_it_may() -> None:
    known: BoundedMap[int, int] = BoundedMap(3)
    for number in range(100):
        known[number] = number
        assert known[number] == number
        assert len(known) <= 3


def test_the_order_of_use_may_be_kept() -> None:
    known: BoundedMap[int, int] = BoundedMap(2)
    known[1], known[2] = 1, 2
    known.move_to_end(1)
    known[3] = 3
    assert list(known) == [1, 3]
