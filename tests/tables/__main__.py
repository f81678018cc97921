"""Shows which rows of the product's tables are not confirmed; with --write the person who calls it confirms them.

python -m tests.tables [--write] [TABLE…]
"""

import sys

from tests.tables.ledger import CONFIRMED, changes, confirm, ledger_of, product_tables


def main(arguments: list[str]) -> int:
    """Return 1 where rows are not confirmed and --write was not given."""
    write = "--write" in arguments
    chosen = [argument for argument in arguments if argument != "--write"] or product_tables()
    open_rows = 0
    for table in chosen:
        unconfirmed, gone = changes(table)
        if unconfirmed or gone:
            print(f"{table}: {len(unconfirmed)} new or changed rows, {gone} confirmed rows gone")
            for row in unconfirmed[:40]:
                print(f"  {row[:300]}")
            open_rows += len(unconfirmed) + abs(gone)
            if write:
                confirm(table)
    if write:
        for left in set(CONFIRMED.iterdir()) - {ledger_of(table) for table in product_tables()}:
            left.unlink()
    if open_rows:
        print("Confirmed: compare each with its source before you commit." if write else "Not confirmed.")
    return 1 if open_rows and not write else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
