"""A pipeline's recipe -> a trained model: reading rows, going on after a cut, stopping in time. What every trainer would write again."""
