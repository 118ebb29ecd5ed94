"""The demo of the closed loop, and simulated traffic."""
