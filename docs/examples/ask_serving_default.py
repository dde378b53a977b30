"""Asks the signature `serving_default` over gRPC: trips as serialized tf.Examples, in which any column may be missing.

    .venv/bin/python docs/examples/ask_serving_default.py --grpc 127.0.0.1:8500

The answer says which version gave it; whoever keeps scores for an audit keeps that beside them.
"""

from __future__ import annotations

import argparse

import numpy as np
from tensorflow.core.example import example_pb2

from waybill.client.rpc import GrpcClient
from waybill.client.spec import Spec


def trip(fare: float, payment_type: str) -> bytes:
    """A trip of which little is known."""
    example = example_pb2.Example()
    example.features.feature["fare"].float_list.value.append(fare)
    example.features.feature["payment_type"].bytes_list.value.append(payment_type.encode())
    return example.SerializeToString()


def main() -> None:
    """Prints the scores of two trips and the version that gave them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc", default="127.0.0.1:8500", help="where the server's gRPC API is")
    parser.add_argument("--model", default="taxi", help="name of the model")
    parser.add_argument("--label", default="", help="ask the version that bears this label; default: the highest")
    args = parser.parse_args()
    trips = np.array([trip(12.25, "Credit Card"), trip(12.25, "Cash")], object)
    with GrpcClient(args.grpc) as client:
        answer = client.predict(Spec(args.model, label=args.label), {"examples": trips})
    for score in answer.outputs["score"].reshape(-1):
        print(f"score {score:.4f} from version {answer.version}")


if __name__ == "__main__":
    main()
