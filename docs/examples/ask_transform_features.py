"""Asks the signature `transform_features` over gRPC: what the model is given of a trip, after scaling, buckets and vocabularies.

    .venv/bin/python docs/examples/ask_transform_features.py --grpc 127.0.0.1:8500

It is there for evaluation; in operation it answers the question why a score is what it is.
"""

from __future__ import annotations

import argparse

import numpy as np
from tensorflow.core.example import example_pb2

from waybill.client.rpc import GrpcClient
from waybill.client.spec import Spec


def main() -> None:
    """Prints the transformed columns of a trip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grpc", default="127.0.0.1:8500", help="where the server's gRPC API is")
    parser.add_argument("--model", default="taxi", help="name of the model")
    args = parser.parse_args()
    example = example_pb2.Example()
    for name, value in (("fare", 12.25), ("tips", 3.0)):
        example.features.feature[name].float_list.value.append(value)
    trips = np.array([example.SerializeToString()], object)
    with GrpcClient(args.grpc) as client:
        answer = client.predict(Spec(args.model, signature="transform_features"), {"examples": trips})
    for name, values in sorted(answer.outputs.items()):
        print(f"{name:<28} {values.reshape(-1)[0]}")


if __name__ == "__main__":
    main()
