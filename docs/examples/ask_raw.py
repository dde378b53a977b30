"""Asks the signature `raw` over REST: one trip as named columns, `[n, 1]` each.

    .venv/bin/python docs/examples/ask_raw.py --rest http://127.0.0.1:8501

What is not known of a trip is sent as a sign for it, because every column must be there: "" for a text, NaN for a number with a point, -1
for a whole one.
"""

from __future__ import annotations

import argparse
from typing import Any

from waybill.client.rest import RestClient
from waybill.client.spec import Spec

KNOWN: dict[str, Any] = {"fare": 12.25, "trip_miles": 3.1, "trip_seconds": 840, "payment_type": "Credit Card", "trip_start_hour": 20}
MISSING = {"DT_STRING": "", "DT_FLOAT": float("nan"), "DT_INT64": -1}


def main() -> None:
    """Prints the score of a trip: how likely it is that the tip is above a fifth of the fare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rest", default="http://127.0.0.1:8501", help="where the server's REST API is")
    parser.add_argument("--model", default="taxi", help="name of the model")
    parser.add_argument("--label", default="", help="ask the version that bears this label; default: the highest")
    args = parser.parse_args()
    client, spec = RestClient(args.rest), Spec(args.model, label=args.label, signature="raw")
    columns = client.signatures(spec)["raw"]["inputs"]
    trip = {name: [[KNOWN.get(name, MISSING[info["dtype"]])]] for name, info in columns.items()}
    answer = client.predict(spec, trip)
    print(f"score {answer['score'][0][0]:.4f}")


if __name__ == "__main__":
    main()
