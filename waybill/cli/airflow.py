"""`waybill up`, `waybill down`: Airflow on this machine, and beside it the warm host and the model server."""

from __future__ import annotations

import argparse

from waybill.cli import setup
from waybill.cli.services import AirflowService, AlreadyRunning
from waybill.records import settings as places


def up(args: argparse.Namespace) -> int:
    """Starts Airflow, with the lineage store made first, and says where its UI and the model server's page are."""
    settings = places.load()
    setup.init(args)
    serve = settings.serve and not args.no_serve
    service = AirflowService(settings, serve=serve)
    try:
        service.start()
    except AlreadyRunning as error:
        print(error)
    record = service.record()
    if record is None:
        return 1
    user, password = service.login()
    print(f"Airflow's UI: {record.address}   user {user}, password {password}")
    if settings.airflow_users:
        print(f"Others who can log in: {', '.join(settings.airflow_users)}; their passwords are in {service.home / 'passwords.json'}")
    if serve:
        address = service.await_server()
        print(f"Models answer, and have a page, at {address.rest}/   gRPC: {address.grpc}")
    print(f"Everything is kept under {settings.home}. End it with: make down")
    return 0


def down(args: argparse.Namespace) -> int:
    """Ends what `up` started."""
    ended = AirflowService(places.load()).stop()
    print("Airflow was ended" if ended else "Airflow was not running")
    return 0
