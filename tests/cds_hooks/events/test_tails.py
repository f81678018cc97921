"""How unlikely few and many calls of a feed are."""

from cds_hooks.events.watch.tails import few, many


def test_how_unlikely_few_and_many_are() -> None:
    assert [
        float(f"{few(count, mean, spread):.4g}")
        for count, mean, spread in (
            (0, 9, 1.0),
            (5, 9, 1.0),
            (9, 9, 1.0),
            (5, 9, 1.0001),
            (5, 9, 1.00011),
            (5, 9, 2.0),
            (0, 9, 2.0),
            (9.9, 9, 2.0),
            (350, 400, 1.0),
            (350, 401, 1.0),
            (350, 401, 2.0),
            (3, 0, 1.0),
            (3, -1, 1.0),
            (30, 9, 1.0),
        )
    ] == [
        0.0001234,
        0.1157,
        0.5874,
        0.1157,
        0.1157,
        0.212,
        0.001953,
        0.5927,
        0.005862,
        0.005435,
        0.03586,
        1.0,
        1.0,
        1.0,
    ]
    assert [
        float(f"{many(count, mean, spread):.4g}")
        for count, mean, spread in (
            (2, 1, 1.0),
            (1, 1, 1.0),
            (1, 2, 1.0),
            (1, 0, 1.0),
            (0, 0, 1.0),
            (10, 2, 1.0),
            (100, 60, 1.0),
            (101, 60, 1.0),
            (10, 2, 2.0),
            (10.5, 2, 1.0),
        )
    ] == [0.2642, 1.0, 1.0, 0.0, 1.0, 4.65e-05, 1.482e-06, 9.181e-06, 0.01747, 2.005e-05]
