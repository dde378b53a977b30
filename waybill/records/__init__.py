"""The words both Pythons share: plain, frozen, standard library only."""
