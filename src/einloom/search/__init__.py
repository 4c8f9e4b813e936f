"""Exploration: spaces, objectives, studies on Optuna, Pareto sets."""
