"""`waybill prune`, `keep`, `let-go`: how long releases stay."""

from __future__ import annotations

import argparse

from waybill.cli import load, person
from waybill.records import settings as places
from waybill.records.errors import RecordError
from waybill.records.person import one_line
from waybill.serving import retention
from waybill.store.connection import Store


def prune(args: argparse.Namespace) -> int:
    """Shows what would go and what stays; with --apply removes it."""
    settings = places.load()
    store = Store(settings.store_url)
    load.graph_of(args.pipeline)
    if args.apply and not args.why:
        raise RecordError("--apply removes releases; say with --why what made you decide so, for whoever asks later")
    for judged in retention.judge(store, args.pipeline, args.keep):
        print(f"{judged.release.version}  {'stays: ' + judged.stays if judged.stays else 'goes'}")
    if not args.apply:
        print("nothing was removed; --apply does it")
        return 0
    removed = retention.prune(store, settings, args.pipeline, args.keep, person.myself(), one_line("the reason", args.why))
    print(f"removed {len(removed)} releases; their digests and chains stay on record")
    return 0


def keep(args: argparse.Namespace) -> int:
    """Keeps a release for audit, or lets it go."""
    store = Store(places.load().store_url)
    load.graph_of(args.pipeline)
    kept = args.verb == "keep"
    changed = retention.keep(store, args.pipeline, args.version, kept, person.myself(), one_line("the reason", args.why))
    words = "kept for audit" if kept else "no longer kept for audit"
    print(f"release {args.version} is {words}{'' if changed else ' already'}")
    return 0
