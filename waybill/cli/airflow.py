"""`waybill up`, `waybill down`: Airflow on this machine."""

from __future__ import annotations

import argparse

from waybill.cli import setup
from waybill.cli.services import AirflowService, AlreadyRunning
from waybill.records import settings as places


def up(args: argparse.Namespace) -> int:
    """Starts Airflow, with the lineage store made first, and says where its UI is."""
    settings = places.load()
    setup.init(args)
    service = AirflowService(settings)
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
    print(f"Everything is kept under {settings.home}. End it with: make down")
    return 0


def down(args: argparse.Namespace) -> int:
    """Ends what `up` started."""
    ended = AirflowService(places.load()).stop()
    print("Airflow was ended" if ended else "Airflow was not running")
    return 0
